"""graphc compile NET."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from graphc import __version__
from graphc.cli.inputs import read_calibration
from graphc.cli.nets import (
    existing,
    is_artefact,
    keep_option,
    load_net,
    parse_overrides,
    shape_hint,
)
from graphc.cli.options import (
    allow_extensions_option,
    calibration_option,
    host_option,
    json_option,
    mbs_option,
    memory_option,
    net_options,
    override_option,
    pin_option,
    policy_option,
)
from graphc.cli.output import emit_json, note, note_budget, say, shape_text, size_text, table
from graphc.driver import PassLike
from graphc.errors import fail
from graphc.ir.graph import Graph
from graphc.ir.provenance import STAYS, Record, format_record, layer_table
from graphc.runtime.executable import Executable

GENERIC = ("deploy", "train", "train_val", "train_test", "test")
TOLD = 5  # changes per pass that are printed; `inspect` shows all


@click.command("compile", options_metavar="[OPTIONS]")
@click.argument("net")
@click.option(
    "-o", "--output", metavar="F.gcz", help="Artefact to write; by default named after NET, here."
)
@click.option("--recipe", metavar="R.toml", help="Passes to run in place of the default ones.")
@click.option(
    "--pass",
    "--passes",
    "pass_specs",
    multiple=True,
    metavar="PASS[:K=V,..]",
    help="A pass to run, by name or as FILE.py:CLASS, after the recipe's and in this order; "
    "without a recipe in place of the default ones (repeatable).",
)
@click.option("--no-passes", is_flag=True, help="Run no pass at all.")
@click.option("--train", is_flag=True, help="Compile forward and backward.")
@click.option(
    "--target",
    metavar="T",
    help="Where it will run: cpu or reference.  [default: cpu, with --train reference]",
)
@memory_option
@host_option
@policy_option
@override_option
@pin_option
@mbs_option
@click.option(
    "--keep",
    multiple=True,
    metavar="BLOB",
    help="A blob that passes must leave alone and `run` returns, or `all` (repeatable).",
)
@click.option(
    "--max-error",
    type=float,
    metavar="E",
    help="Largest change of an output that lossy passes may make together.",
)
@click.option(
    "--measure/--no-measure",
    default=None,
    help="Compare the outputs before and after each pass.  [default: for small networks]",
)
@calibration_option
@allow_extensions_option
@click.option("--dump", metavar="FOLDER", help="Write the graph's text form after each pass.")
@net_options
@json_option
def command(net: str, output: str | None, as_json: bool, **options: Any) -> None:
    """Compile NET, a prototxt, into an artefact that `graphc run` executes."""
    from graphc import driver

    started = time.perf_counter()
    if options["target"] is None:
        options["target"] = driver.DEFAULT_TARGET
    note_budget(options["memory"])
    overrides = parse_overrides(options["override_specs"], options["recipe"])
    how = {key: options[key] for key in ("memory", "policy", "host", "train")}
    wish = driver.checked_wish(options["target"], **how, overrides=overrides)
    passes = _passes(options)
    target = _target(net, output)
    with shape_hint():
        graph = driver.shape(load_net(net, options))
    for remark in graph.notes:
        note(f"note: {remark}")
    keep = keep_option(options["keep"])
    calibration = read_calibration(graph, options["calibration"], options["strict"])
    optimized, report = driver.optimize(
        graph,
        passes,
        keep=keep,
        measure=options["measure"],
        max_error=options["max_error"],
        calibration=calibration,
        dump=options["dump"],
        train=options["train"],
        allow_extensions=options["allow_extensions"],
    )
    meta = {"recipe": report.recipe, "source": _source(net, graph, options)}
    exe = driver.assemble(
        optimized,
        target=options["target"],
        train=options["train"],
        keep=keep,
        meta=meta,
        pin_variants=options["pin_variants"],
        wish=wish,
        mbs=options["mbs"],
    )
    exe.save(target)
    elapsed = time.perf_counter() - started
    size = target.stat().st_size
    if as_json:
        emit_json(_describe(target, size, exe, report.passes, graph.notes, elapsed))
        return
    _tell(report.passes)
    for title, blobs in (("input", exe.inputs), ("output", exe.outputs)):
        for name, shape in blobs.items():
            say(f"{title} {name}: {shape_text(shape)}")
    say(f"wrote {target} ({size_text(size)}) in {elapsed:.1f} s")


def _passes(options: dict[str, Any]) -> list[PassLike] | str:
    """The passes asked for: the recipe's, then the single ones; none for --train unless asked."""
    from graphc.passes.recipe import parse_spec, read_recipe

    recipe, specs = options["recipe"], options["pass_specs"]
    if options["no_passes"]:
        if recipe or specs:
            fail("GC-C001", "--no-passes contradicts --pass and --recipe", "leave one of them out")
        return []
    if not recipe and not specs:
        return [] if options["train"] else "default"
    chosen: list[PassLike] = list(read_recipe(Path(existing(recipe)))) if recipe else []
    if not chosen and not specs:
        note(f"note: {recipe} has no [[pass]]: none runs, the default ones neither")
    return chosen + [parse_spec(spec) for spec in specs]


def _target(net: str, output: str | None) -> Path:
    """Where the artefact goes. Raises before any work is done for a place that cannot be meant."""
    if is_artefact(existing(net)):
        hint = "compile the prototxt it was made from; `graphc inspect` says which"
        fail("GC-R003", f"{net!r} is an artefact already", hint)
    target = Path(output) if output is not None else default_output(net)
    if target.suffix != ".gcz":
        fail(
            "GC-C001",
            f"-o {str(target)!r}: an artefact is called .gcz",
            f"write -o {target.with_suffix('.gcz')}",
        )
    if not target.parent.is_dir():
        fail("GC-F002", f"cannot write {str(target)!r}: no folder {str(target.parent)!r}")
    return target


def default_output(net: str) -> Path:
    """lenet/deploy.prototxt -> lenet.gcz, lenet/train.prototxt -> lenet_train.gcz, x.prototxt ->
    x.gcz; in the current folder."""
    path = Path(net)
    folder = path.resolve().parent.name
    if path.stem not in GENERIC or not folder:
        return Path(f"{path.stem}.gcz")
    return Path(f"{folder}.gcz" if path.stem == GENERIC[0] else f"{folder}_{path.stem}.gcz")


def _source(net: str, graph: Graph, options: dict[str, Any]) -> dict[str, Any]:
    """Where an artefact comes from, for its meta data."""
    return {
        "graphc": __version__,
        "net": net,
        "weights": options["weights"],
        "phase": graph.phase,
        "level": options["level"],
        "stages": list(options["stages"]),
        "layers": list(options["ops_files"]),
        "set": [f"{path}={value}" for path, value in options["set"]],
        "target": options["target"],
    }


def _tell(records: Sequence[Record]) -> None:
    """Print what each pass did, a line per change where there are several, a table where it decided
    layer by layer; the idle ones at the end."""
    for record in records:
        for line in _told(record):
            say(line)
        if record.layers:
            columns, *rows = layer_table(record.layers)
            left = ("layer", "decision", "reason")
            table(columns, rows, right=",".join(c for c in columns if c not in left))
    idle = [r.name for r in records if not r.changed and not r.detail and not r.layers]
    if idle:
        say(f"nothing to do: {', '.join(idle)}")


def _told(record: Record) -> Iterator[str]:
    title = format_record(replace(record, detail=()))
    if len(record.detail) == 1:
        yield format_record(record)
    elif record.detail:
        yield title.replace(": done", "", 1).replace(": nothing to do", "", 1)
        yield from (f"  {line}" for line in _shortened(record.detail))
    elif record.changed or record.layers:
        yield title


def _shortened(detail: Sequence[str]) -> Iterator[str]:
    """The first changes, and the first refusals, which say that a layer stays."""
    stays = [line for line in detail if STAYS in line]
    for lines in ([line for line in detail if STAYS not in line], stays):
        yield from lines[:TOLD]
        if len(lines) > TOLD:
            yield f"and {len(lines) - TOLD} more{' that stay' * (lines is stays)}"


def _describe(
    target: Path,
    size: int,
    exe: Executable,
    passes: Sequence[Record],
    notes: Sequence[str],
    elapsed: float,
) -> dict[str, Any]:
    return {
        "artefact": str(target),
        "bytes": size,
        "target": exe.target,
        "train": exe.train,
        "inputs": {name: list(shape) for name, shape in exe.inputs.items()},
        "outputs": {name: list(shape) for name, shape in exe.outputs.items()},
        "passes": [
            {
                "name": r.name,
                "changed": r.changed,
                "detail": list(r.detail),
                "max_change": r.max_change,
                "layers": [asdict(each) for each in r.layers],
            }
            for r in passes
        ],
        "notes": list(notes),
        "seconds": elapsed,
    }
