"""graphc ops [TYPE]."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from typing import Any

import click

from graphc.cli.nets import use_ops
from graphc.cli.options import json_option, ops_option
from graphc.cli.output import emit_json, say, table
from graphc.errors import fail
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops.spec import OpSpec, Sample

_REPEATED = re.compile(r"(.*?)[1-9]\d*")


@click.command("ops")
@click.argument("type_name", metavar="[TYPE]", required=False)
@ops_option
@click.option("--check", "prove", is_flag=True, help="Prove TYPE's declaration on its samples.")
@json_option
def command(type_name: str | None, ops_files: tuple[str, ...], prove: bool, as_json: bool) -> None:
    """List layer types, or describe one: formula, blobs, options, what its backward reads.

    With --check the gradient, reads, costs, ties and traits of TYPE are compared with its
    reference; exit code 1 if something does not hold.
    """
    from graphc.ops.registry import all_ops, find

    use_ops(ops_files)
    if prove:
        _check(type_name, as_json)
        return
    if type_name is not None:
        entry = describe(find(type_name))
        if as_json:
            emit_json(entry)
        else:
            _print(entry)
        return
    entries = [describe(op) for op in all_ops().values()]
    if as_json:
        emit_json({"ops": entries})
        return
    table(
        ("type", "runs on", "what it computes"),
        [(e["type"], ", ".join(e["runs_on"]), e["formula"]) for e in entries],
    )
    say(f"\n{len(entries)} types; `graphc ops TYPE` describes one; reference: float64, slow")


def _check(type_name: str | None, as_json: bool) -> None:
    from graphc.check import check
    from graphc.ops.registry import find

    if type_name is None:
        fail("GC-C001", "--check needs a TYPE", "`graphc ops` lists the types")
    report = check(find(type_name))
    if as_json:
        emit_json({**asdict(report), "ok": report.ok})
    else:
        say(str(report))
    if not report.ok:
        raise click.exceptions.Exit(1)


def _backends(op: type[OpSpec]) -> list[str]:
    from graphc.lower.cuda import has_kernels

    return ["reference", *sorted({k.backend for k in op.kernels}), *["cuda"] * has_kernels(op)]


def describe(op: type[OpSpec]) -> dict[str, Any]:
    """A declaration as one JSON-ready object."""
    doc = inspect.cleandoc(op.__doc__ or "")
    params, reads = _parts(op)
    return {
        "type": op.type,
        "formula": doc.partition("\n")[0],
        "doc": doc,
        "bottoms": [_spell(s) for s in op.bottoms],
        "tops": [_spell(s) for s in op.tops],
        "params": params,
        "backward": reads,
        "param_field": op.param_field,
        "options": {f.name: _plain(_default(f)) for f in fields(op.Attrs)},
        "traits": sorted(t.value for t in op.traits),
        "effects": sorted(e.value for e in op.effects),
        "runs_on": _backends(op),
        "limitations": [x.why for x in op.limitations],
    }


def _parts(op: type[OpSpec]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Kinds of the blobs the layer owns, and what each backward part reads, as seen in the
    layer's samples; options and shapes decide which of them a use has."""
    params: dict[str, str] = {}
    reads: dict[str, list[str]] = {}
    for sample in op.samples:
        try:
            attrs, sig = _use(op, sample)
        except Exception:  # a sample of a user's layer may be wrong; graphc.ops.check tells
            continue
        params |= {p.name: p.kind.value for p in op.params(attrs, sig)}
        for grad in op.grads(attrs, sig):
            if _REPEATED.fullmatch(grad.part) and _REPEATED.sub(r"\g<1>0", grad.part) in reads:
                continue  # the second of several like bottoms reads what the first does
            seen = reads.setdefault(grad.part, [])
            seen += [role for role in grad.reads if role not in seen]
    return params, reads


def _use(op: type[OpSpec], sample: Sample) -> tuple[Any, Sig]:
    attrs = op.Attrs() if sample.attrs is None else sample.attrs
    ins, tops = op.roles(attrs, len(sample.ins), sample.tops)
    types = {role: Type(shape) for role, shape in zip(ins, sample.ins, strict=True)}
    sig = Sig(types, tops, "TRAIN" if sample.phase == "TRAIN" else "TEST")
    outs = op.infer(attrs, sig)
    params = {p.name: Type(p.shape) for p in op.params(attrs, sig)}
    return attrs, Sig(types, tops, sig.phase, outs, params)


def _spell(stem: str) -> str:
    return stem[:-1] + "..." if stem.endswith("*") else stem


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return None if field.default is MISSING else field.default


def _plain(value: Any) -> Any:
    """A default as JSON has it; None: not set."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return list(value) if isinstance(value, tuple) else value


def _print(entry: dict[str, Any]) -> None:
    say(f"{entry['type']}: {entry['doc']}\n")
    rows = [
        ("bottoms", ", ".join(entry["bottoms"])),
        ("tops", ", ".join(entry["tops"])),
        (
            "params",
            ", ".join(n if k == "param" else f"{n} ({k})" for n, k in entry["params"].items()),
        ),
        ("backward", "; ".join(f"{p} reads {_list(r)}" for p, r in entry["backward"].items())),
        ("traits", ", ".join(entry["traits"])),
        ("effects", ", ".join(entry["effects"])),
        ("runs on", ", ".join(entry["runs_on"])),
    ]
    for title, text in rows:
        say(f"{title + ':':10}{text or 'none'}")
    if entry["options"]:
        where = f" ({entry['param_field']})" if entry["param_field"] else ""
        say(f"\noptions{where}:")
        spelled = [(f"  {name}", _prototxt(value)) for name, value in entry["options"].items()]
        table(("  field", "default"), spelled)
    for why in entry["limitations"]:
        say(f"limitation: {why}")


def _list(roles: list[str]) -> str:
    return ", ".join(roles) or "nothing"


def _prototxt(value: Any) -> str:
    """A default as a prototxt would spell it; of a message, the fields it has."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"{{ {' '.join(value)} }}"
    if value is None or value in ("", []):
        return "-"
    return str(value)
