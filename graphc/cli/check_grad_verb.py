"""graphc check-grad NET."""

from __future__ import annotations

from typing import Any

import click

from graphc.cli.compare_verb import Tolerance
from graphc.cli.inputs import print_notes, read_feeds
from graphc.cli.nets import is_artefact, open_graph
from graphc.cli.options import (
    given,
    input_options,
    json_option,
    net_options,
    target_option,
    threads_option,
)
from graphc.cli.output import count_text, emit_json, say, shape_text, table
from graphc.gradient_check import DIRECTIONS, TOLERANCE, WRONG, BlobSlopes, GradientReport

FEW = 5


@click.command("check-grad")
@click.argument("net")
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Only its parameters.")
@click.option(
    "--directions",
    type=click.IntRange(min=1, max=10_000),
    default=DIRECTIONS,
    show_default=True,
    metavar="N",
    help="How many ways to move each blob.",
)
@click.option(
    "--tolerance",
    type=Tolerance(),
    default=TOLERANCE,
    show_default=True,
    metavar="T",
    help="Largest relative error of a slope.",
)
@target_option
@threads_option
@input_options
@net_options
@json_option
def command(
    net: str,
    layers: tuple[str, ...],
    directions: int,
    tolerance: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Check the gradients of NET, in phase TRAIN, against finite differences of its loss.

    Every parameter and input is moved a little, in random directions, and the loss, which the
    reference computes in float64, must change as the gradients say. Right at a kink of ReLU or max
    pooling no gradient can be judged, and that is said. A net without a loss gets one from random
    weights of its outputs.

    The exit code is 1 if a gradient is wrong. Large networks take long: name a --layer.
    """
    from graphc.gradient_check import check_grad

    if not given("phase"):
        options["phase"] = "TRAIN"
    graph, _ = open_graph(net, options)
    print_notes(graph, is_artefact(net))
    feeds, _ = read_feeds(graph, options["inputs"], options)
    report = check_grad(
        graph,
        inputs=feeds,
        layers=layers,
        directions=directions,
        tolerance=tolerance,
        target=options["target"],
        threads=options["threads"],
    )
    emit_json(describe(report)) if as_json else _tell(report)
    if not report.ok:
        click.get_current_context().exit(1)


def describe(report: GradientReport) -> dict[str, Any]:
    """The report as one JSON-ready object."""
    return {
        "name": report.name,
        "target": report.target,
        "objective": report.objective,
        "tolerance": report.tolerance,
        "ok": report.ok,
        "blobs": [
            {
                "blob": blob.blob,
                "shape": list(blob.shape),
                "norm": blob.norm,
                "verdict": blob.verdict,
                "slopes": [
                    {"told": s.told, "found": s.found, "error": s.error, "verdict": s.verdict}
                    for s in blob.slopes
                ],
            }
            for blob in report.blobs
        ],
    }


def _tell(report: GradientReport) -> None:
    rows = [_row(blob) for blob in report.blobs]
    columns = ("blob", "shape", "norm of gradient", "it tells", "found", "error", "verdict")
    table(columns, rows, right="norm of gradient,it tells,found,error")
    say("")
    wrong = [blob.blob for blob in report.blobs if blob.verdict == WRONG]
    checked = count_text(len(report.blobs), "gradient")
    if wrong:
        more = f" and {len(wrong) - FEW} more" if len(wrong) > FEW else ""
        say(f"WRONG: {', '.join(wrong[:FEW])}{more}, of {checked} on target {report.target}")
    else:
        say(f"right: {checked} on target {report.target}; told and found: the worst direction's")


def _row(blob: BlobSlopes) -> tuple[str, ...]:
    worst = blob.worst
    figures = (f"{blob.norm:.3e}", f"{worst.told:.4e}", f"{worst.found:.4e}", f"{worst.error:.1e}")
    return (blob.blob, shape_text(blob.shape), *figures, worst.verdict)


__all__ = ["command", "describe"]
