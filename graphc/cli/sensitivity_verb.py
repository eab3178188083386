"""graphc sensitivity NET."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from graphc.cli.inputs import print_notes, read_calibration, read_feeds
from graphc.cli.nets import open_graph
from graphc.cli.options import (
    calibration_option,
    input_options,
    json_option,
    net_options,
    target_option,
)
from graphc.cli.output import emit_json, say, table
from graphc.errors import fail
from graphc.floats import as_array
from graphc.layer_sensitivity import POINTS, Point, Sensitivity


@click.command("sensitivity")
@click.argument("net")
@click.option(
    "--pass",
    "spec",
    default="low_rank",
    show_default=True,
    metavar="PASS[:K=V,..]",
    help="What is done to each layer in turn.",
)
@click.option(
    "--points",
    type=click.IntRange(min=1, max=1000),
    default=POINTS,
    show_default=True,
    metavar="N",
    help="How many strengths are tried on each layer.",
)
@click.option("--chart", metavar="F.html", help="Write a page of charts.")
@calibration_option
@target_option
@input_options
@net_options
@json_option
def command(
    net: str,
    spec: str,
    points: int,
    chart: str | None,
    target: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Say how much each layer of NET can lose to a pass, the others left as they are.

    For each layer and strength (of low_rank: the rank): how far outputs move, ||change|| /
    ||outputs||, for how many samples the largest output stays where it is, how many of the five
    largest stay among them, and, with labels in --calibration, the accuracy; and what is left of
    the network's multiply-adds and parameters.
    """
    from graphc.layer_sensitivity import sensitivity

    graph, _ = open_graph(net, options)
    print_notes(graph, compiled=False)
    feeds = read_calibration(graph, options["calibration"], options["strict"])
    if options["inputs"] and feeds is not None:
        fail("GC-C001", "--input contradicts --calibration", "leave one of them out")
    if feeds is None:
        given, _ = read_feeds(graph, options["inputs"], options)
        feeds = {name: as_array(held) for name, held in given.items()}
    found = sensitivity(graph, spec, calibration=feeds, points=points, target=target)
    if chart is not None:
        _draw(chart, graph.name or net, found)
    emit_json(asdict(found)) if as_json else _tell(found, chart)


def _tell(found: Sensitivity, chart: str | None) -> None:
    points = [(layer, point) for layer, each in found.layers.items() for point in each]
    if not points:
        say(f"{found.name} can do nothing to this network")
        return
    columns = ["layer", found.option, "output error", "MACs left", "params left"]
    extra = [
        name for name in ("agree", "top5", "accuracy") if getattr(points[0][1], name) is not None
    ]
    table(
        [*columns, *extra],
        [_row(layer, point, extra) for layer, point in points],
        right=",".join([*columns[1:], *extra]),
    )
    if found.accuracy is not None:
        say(f"accuracy of the network as it is: {found.accuracy:.4f}")
    if chart is not None:
        say(f"wrote {chart}")


def _row(layer: str, point: Point, extra: list[str]) -> tuple[str, ...]:
    shares = (f"{100 * share:.1f} %" for share in (point.macs, point.params))
    more = (f"{getattr(point, name):.4f}" for name in extra)
    return (layer, f"{point.strength}", f"{point.error:.3g}", *shares, *more)


def _draw(path: str, title: str, found: Sensitivity) -> None:
    from graphc.report.sensitivity_page import write

    def column(key: str) -> dict[str, list[float]]:
        return {name: [getattr(p, key) for p in each] for name, each in found.layers.items()}

    curves = {"Output error": column("error")}
    if found.accuracy is not None:
        curves["Share right"] = column("accuracy")
    write(path, column("strength"), curves, title=f"{found.name} on {title}", option=found.option)
