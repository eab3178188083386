"""graphc ops [TYPE]."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import click

from graphc.cli.options import json_option
from graphc.cli.output import emit_json, table
from graphc.ops.spec import OpSpec


@click.command("ops")
@click.argument("type_name", metavar="TYPE", required=False)
@click.option("--ops", "ops_files", multiple=True, help="A Python file with layers of your own.")
@json_option
def command(type_name: str | None, ops_files: tuple[str, ...], as_json: bool) -> None:
    """List layer types, or describe one: formula, blobs, options, what backward reads."""
    from graphc.ops.registry import all_ops, find, load_file

    for path in ops_files:
        load_file(path)
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
        ("type", "bottoms", "tops", "runs on", "what it computes"),
        [
            (e["type"], ", ".join(e["bottoms"]), ", ".join(e["tops"]), e["runs_on"], e["formula"])
            for e in entries
        ],
    )


def describe(op: type[OpSpec]) -> dict[str, Any]:
    """A declaration as one JSON-ready object."""
    doc = inspect.cleandoc(op.__doc__ or "")
    backends = sorted({k.backend for k in op.kernels})
    return {
        "type": op.type,
        "formula": doc.splitlines()[0] if doc else "",
        "doc": doc,
        "bottoms": [_spell(s) for s in op.bottoms],
        "tops": [_spell(s) for s in op.tops],
        "param_field": op.param_field,
        "options": {f.name: _default(f) for f in fields(op.Attrs)},
        "traits": sorted(t.value for t in op.traits),
        "effects": sorted(e.value for e in op.effects),
        "runs_on": ", ".join(["reference (slow)", *backends]),
        "limitations": [x.why for x in op.limitations],
    }


def _spell(stem: str) -> str:
    return stem[:-1] + "..." if stem.endswith("*") else stem


def _default(field: Any) -> str:
    value = field.default
    return repr(value) if isinstance(value, (int, float, str, bool, type(None))) else str(value)


def _print(entry: dict[str, Any]) -> None:
    click.echo(f"{entry['type']}: {entry['doc']}\n")
    click.echo(f"bottoms: {', '.join(entry['bottoms']) or 'none'}")
    click.echo(f"tops:    {', '.join(entry['tops']) or 'none'}")
    for key in ("traits", "effects"):
        if entry[key]:
            click.echo(f"{key}: {', '.join(entry[key])}")
    click.echo(f"runs on: {entry['runs_on']}")
    if entry["options"]:
        click.echo(f"\noptions ({entry['param_field']}):")
        table(("field", "default"), entry["options"].items())
    for why in entry["limitations"]:
        click.echo(f"limitation: {why}")
