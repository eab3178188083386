"""graphc count NET."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from graphc.cli.nets import open_graph
from graphc.cli.options import json_option, net_options
from graphc.cli.output import emit_json, say, table
from graphc.count import Counts, batch_size, count
from graphc.ir.graph import Graph


@click.command("count")
@click.argument("net")
@click.option(
    "--with-bn", is_flag=True, help="Count BatchNorm, Scale, Bias and PReLU layers as well."
)
@click.option("--layers", "per_layer", is_flag=True, help="One row per layer, not per type.")
@net_options
@json_option
def command(net: str, with_bn: bool, per_layer: bool, as_json: bool, **options: Any) -> None:
    """Count multiply-adds, parameters and activations of NET, a prototxt or an artefact.

    MACs are the multiply-adds of sums of products and activations the elements of all tops, both
    per sample. Parameters are the weights and biases of layers that combine elements; --with-bn
    adds the factors and shifts of those that do not (Scale, Bias, PReLU), and counts the elements
    that they and BatchNorm scale. Statistics are not counted.
    """
    graph, _ = open_graph(net, options)
    found = describe(graph, with_bn=with_bn)
    if as_json:
        emit_json(found)
        return
    columns = ["MACs", "params", "activations", *(["scalings"] if with_bn else [])]
    keys = [name.lower() for name in columns]
    if per_layer:
        title = ["layer", "type"]
        rows = [
            [row["name"], row["type"], *(f"{row[k]:,}" for k in keys)] for row in found["layers"]
        ]
    else:
        title = ["type", "layers"]
        rows = [
            [name, str(row["layers"]), *(f"{row[k]:,}" for k in keys)]
            for name, row in found["types"].items()
        ]
    second = "" if per_layer else str(len(found["layers"]))
    rows.append(["total", second, *(f"{found[k]:,}" for k in keys)])
    table([*title, *columns], rows, right=",".join(["layers", *columns]))
    say(f"per sample, batch {found['batch']}; 2 x MACs = {flop_text(found['macs'])}")
    if found["uncounted_params"]:
        say(f"{found['uncounted_params']:,} parameters of layers that scale: --with-bn adds them")


def describe(graph: Graph, *, with_bn: bool = False) -> dict[str, Any]:
    """The counts of a graph, of its types of layer, and of its layers, as one JSON-ready object."""
    counted = count(graph)
    types: dict[str, list[Counts]] = {}
    for node, counts in counted:
        types.setdefault(node.op.type, []).append(counts)
    total = _sum(counts for _, counts in counted)
    return {
        "name": graph.name,
        "batch": batch_size(graph),
        **_row(total, with_bn),
        "uncounted_params": 0 if with_bn else total.factors,
        "types": {
            t: {"layers": len(rows), **_row(_sum(rows), with_bn)} for t, rows in types.items()
        },
        "layers": [
            {"name": node.name, "type": node.op.type, **_row(counts, with_bn)}
            for node, counts in counted
        ],
    }


def _row(counts: Counts, with_bn: bool) -> dict[str, int]:
    row = {"macs": counts.macs, "params": counts.params, "activations": counts.activations}
    if with_bn:
        row |= {"params": counts.params + counts.factors, "scalings": counts.scalings}
    return row


def _sum(rows: Iterable[Counts]) -> Counts:
    return sum(rows, Counts())


def flop_text(macs: int) -> str:
    """Floating point operations, two per multiply-add: 30.94 GFLOP, 0.775 GFLOP, 4.586 MFLOP."""
    flop, unit = (2 * macs / 1e9, "GFLOP") if macs >= 5e7 else (2 * macs / 1e6, "MFLOP")
    return f"{flop:,.{2 if flop >= 10 else 3}f} {unit}"
