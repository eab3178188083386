"""graphc compare A [B]."""

from __future__ import annotations

from typing import Any

import click

from graphc.cli.inputs import print_notes, read_feeds
from graphc.cli.nets import existing, is_artefact, open_graph, refuse_fixed
from graphc.cli.options import input_options, json_option, net_options
from graphc.cli.output import emit_json, say, shape_text, table
from graphc.comparison import TOLERANCE, CompareReport
from graphc.difference import NANS, SHAPES, BlobDifference
from graphc.errors import fail
from graphc.ir.graph import Graph

FEW = 5
FED = {
    "given": "the input given",
    "random": "random input",
    "b": "the input that B's file holds",
    "source": "what the data layers read",
}


class Tolerance(click.ParamType[float]):
    """A number that is 0 or more."""

    name = "tolerance"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            tolerance = float(value)
        except ValueError:
            tolerance = -1.0
        if not 0 <= tolerance < float("inf"):
            self.fail(f"{value!r} is no tolerance; write 1e-4, or 0 for equal", param, ctx)
        return tolerance


@click.command("compare")
@click.argument("a")
@click.argument("b", required=False)
@click.option("--weights-b", metavar="FILE", help="Weights of B.  [default: those of A]")
@click.option(
    "--target-a", metavar="T", help="Where A runs.  [default: cpu, or where it was compiled for]"
)
@click.option(
    "--target-b", metavar="T", help="Where B runs.  [default: likewise; without B, reference]"
)
@click.option(
    "--tolerance",
    type=Tolerance(),
    default=TOLERANCE,
    show_default=True,
    metavar="T",
    help="Largest difference, relative to the blob's largest value in B.",
)
@click.option("--unfused", is_flag=True, help="Compare every blob; then no layers are fused.")
@input_options
@net_options
@json_option
def command(
    a: str,
    b: str | None,
    weights_b: str | None,
    target_a: str | None,
    target_b: str | None,
    tolerance: float,
    unfused: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run A and B on the same input, and say which layer is the first to differ.

    A and B are prototxts, run as they are written, without passes, or artefacts; B may also be an
    .npz of blobs by name, as `run --keep all -o` writes, and its input is then taken from there,
    unless --input gives it. Without B, A is compared with itself on target reference. Blobs are
    compared by name, and each by the value that its last in-place layer leaves.

    The exit code is 1 if a blob differs by more than the tolerance: if max|a - b| is above T x
    max(max|b|, 0.001), or shapes or NaNs differ.
    """
    from graphc.comparison import compare

    if _is_blobs(a):
        fail("GC-C001", f"{a!r} holds blobs, and A must be a network", "name the network first")
    if weights_b is not None and (b is None or _is_blobs(b) or is_artefact(b)):
        fail("GC-C001", "--weights-b is for a prototxt B", "leave it out")
    first, compiled = _net(a, options, a, b)
    second: Graph | str | None = None
    if b is not None and _is_blobs(b):
        second = existing(b)
    elif b is not None:
        weights = options["weights"] if weights_b is None else weights_b
        second, target = _net(b, options | {"weights": weights}, a, b)
        target_b = target_b or target
    files, feeds = options["inputs"], None
    if files:
        feeds, _ = read_feeds(first, files, options)
    report = compare(
        first,
        second,
        inputs=feeds,
        target_a=target_a or compiled,
        target_b=target_b,
        tolerance=tolerance,
        fused=not unfused,
    )
    emit_json(describe(report)) if as_json else _tell(report)
    if not report.ok:
        click.get_current_context().exit(1)


def _is_blobs(path: str) -> bool:
    return path.endswith(".npz")


def _net(path: str, options: dict[str, Any], a: str, b: str | None) -> tuple[Graph, str | None]:
    """One side's graph, and the target an artefact was compiled for. Options that an artefact
    cannot obey are refused only where there is no prototxt to obey them."""
    from graphc.runtime.artefact import settings

    if not is_artefact(path):
        graph, meta = open_graph(path, options)
        print_notes(graph, compiled=False)
        return graph, None
    nets = [net for net in (a, b) if net is not None and not _is_blobs(net)]
    if all(map(is_artefact, nets)):
        refuse_fixed(path)
    graph, meta = open_graph(path, options, checked=True)
    print_notes(graph, compiled=True)
    return graph, settings(meta, path)[0]


def describe(report: CompareReport) -> dict[str, Any]:
    """The report as one JSON-ready object."""
    return {
        "a": report.a,
        "b": report.b,
        "input": report.fed,
        "tolerance": report.tolerance,
        "ok": report.ok,
        "first": report.first.made.blob if report.first is not None else None,
        "blobs": [_blob(blob) for blob in report.blobs],
        "only_a": list(report.only_a),
        "only_b": list(report.only_b),
    }


def _blob(blob: BlobDifference) -> dict[str, Any]:
    return {
        "blob": blob.made.blob,
        "layer": blob.made.layer,
        "type": blob.made.type,
        "layers": list(blob.made.layers),
        "shape": list(blob.shape),
        "shape_b": list(blob.shape_b),
        "verdict": blob.verdict,
        "ok": blob.ok,
        "max_abs": blob.max_abs,
        "relative": blob.relative,
        "rms": blob.rms,
        "index": None if blob.index is None else list(blob.index),
        "a": blob.at_a,
        "b": blob.at_b,
    }


def _tell(report: CompareReport) -> None:
    say(f"A: {report.a}\nB: {report.b}\non {FED[report.fed]}\n")
    columns = ("blob", "type", "shape", "max |a-b|", "of max |b|", "rms", "at", "a", "b", "")
    rows = [_row(blob) for blob in report.blobs]
    table(columns, rows, right="max |a-b|,of max |b|,rms,a,b")
    say("")
    for side, names in (("A", report.only_a), ("B", report.only_b)):
        if names:
            more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
            say(f"only in {side}: {', '.join(names[:FEW])}{more}")
    count, first, worst = len(report.blobs), report.first, report.worst
    blobs = f"{count} blob{'' if count == 1 else 's'}"
    if first is None:
        far = f", at most {worst.relative:.2g} at {worst.made.blob!r}" if worst else ""
        say(f"{blobs} agree within {report.tolerance:g} of max |b|{far}")
        return
    bad = sum(not blob.ok for blob in report.blobs)
    say(f"{bad} of {blobs} differ by more than {report.tolerance:g} of max |b|")
    chain = first.made.layers
    made = f", made in place by {', '.join(chain)}" if len(chain) > 1 else ""
    say(f"first at layer {first.made.layer!r} ({first.made.type}), blob {first.made.blob!r}{made}")


def _row(blob: BlobDifference) -> tuple[str, ...]:
    shape = shape_text(blob.shape)
    if blob.verdict == SHAPES:
        shape = f"{shape} and {shape_text(blob.shape_b)}"
    mark = "" if blob.ok else f"<- {blob.verdict}"
    if blob.index is None:
        figures = ("", "", "", "", "", "")
    elif blob.verdict == NANS:
        figures = ("", "", "", _index(blob), f"{blob.at_a:.6g}", f"{blob.at_b:.6g}")
    elif not blob.max_abs:
        figures = ("0", "0", "0", "", "", "")
    else:
        numbers = (f"{blob.max_abs:.2e}", f"{blob.relative:.2e}", f"{blob.rms:.2e}")
        figures = (*numbers, _index(blob), f"{blob.at_a:.6g}", f"{blob.at_b:.6g}")
    return (blob.made.blob, blob.made.type, shape, *figures, mark)


def _index(blob: BlobDifference) -> str:
    return ",".join(map(str, blob.index or ())) or "-"
