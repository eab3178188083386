"""graphc count NET."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import click

from graphc.cli.inspect_verb import macs, open_graph
from graphc.cli.options import json_option, net_options
from graphc.cli.output import emit_json, table
from graphc.ir.graph import Graph, Node, typed
from graphc.ir.op import Kind, Trait
from graphc.ops.spec import OpSpec


@click.command("count")
@click.argument("net")
@net_options
@click.option("--with-bn", is_flag=True, help="Count normalisation layers' parameters as well.")
@click.option("--layers", "per_layer", is_flag=True, help="One row per layer, not per type.")
@json_option
def command(net: str, with_bn: bool, per_layer: bool, as_json: bool, **options: Any) -> None:
    """Count multiply-adds per sample, parameters and activations of NET.

    Parameters are those of layers that multiply (convolution, inner product, recurrent); with
    --with-bn also those of scale, bias and PReLU layers. Statistics are never counted.
    """
    counts = count(open_graph(net, options), with_bn=with_bn)
    if as_json:
        emit_json(counts)
        return
    key = "layers" if per_layer else "types"
    rows = [
        (name, f"{c['macs']:,}", f"{c['params']:,}", f"{c['activations']:,}")
        for name, c in counts[key].items()
    ]
    total = ("total", *(f"{counts[k]:,}" for k in ("macs", "params", "activations")))
    title = "layer" if per_layer else "type"
    table(
        (title, "MACs", "params", "activations"),
        [*rows, total],
        right="MACs,params,activations",
    )
    click.echo(f"per sample; batch {counts['batch']}; {2 * counts['macs'] / 1e9:.3f} GFLOP")


def count(graph: Graph, *, with_bn: bool = False) -> dict[str, Any]:
    """`macs` and `activations` (elements of tops) per sample, `params` of the whole net, all also
    by layer and by type."""
    batch = next((typed(v).shape[0] for v in graph.inputs if typed(v).shape), 1) or 1
    layers: dict[str, dict[str, int]] = {}
    types: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_KEYS, 0))
    seen: set[str] = set()
    for node in graph.forward_nodes():
        row = {
            "macs": macs(node) // batch,
            "params": _params(node, seen, with_bn),
            "activations": sum(typed(node.outs[r]).size for r in node.tops) // batch,
        }
        layers[node.name] = row
        for k in _KEYS:
            types[node.op.type][k] += row[k]
    totals = {k: sum(row[k] for row in layers.values()) for k in _KEYS}
    return {"name": graph.name, "batch": batch, **totals, "types": dict(types), "layers": layers}


_KEYS = ("macs", "params", "activations")


def _params(node: Node, seen: set[str], with_bn: bool) -> int:
    """Elements of the learned parameters this node is the first to use."""
    multiplies = issubclass(node.op, OpSpec) and (macs(node) > 0 or not _is_affine(node))
    total = 0
    for value in node.params.values():
        owner = value.storage
        if owner.kind is Kind.PARAM and owner.name not in seen and (with_bn or multiplies):
            seen.add(owner.name)
            total += typed(owner).size
    return total


def _is_affine(node: Node) -> bool:
    """A layer whose parameters scale or shift single elements, rather than combine them."""
    return Trait.LINEAR not in node.op.traits or Trait.ELEMENTWISE in node.op.traits
