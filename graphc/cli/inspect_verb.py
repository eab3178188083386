"""graphc inspect NET."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from graphc.cli.options import is_artefact, json_option, load_net, net_options
from graphc.cli.output import emit_json, shape_text, table
from graphc.ir.graph import Graph, Node, typed
from graphc.ir.versions import blob_of
from graphc.ops.spec import OpSpec


@click.command("inspect")
@click.argument("net")
@net_options
@click.option("--text", is_flag=True, help="Print the graph in the IR's text form.")
@click.option("--prototxt", is_flag=True, help="Print the upgraded, filtered net as prototxt.")
@json_option
def command(net: str, text: bool, prototxt: bool, as_json: bool, **options: Any) -> None:
    """Show layers, shapes, costs and history of NET, a prototxt or an artefact."""
    graph = open_graph(net, options)
    if text:
        from graphc.ir.text import print_graph

        click.echo(print_graph(graph), nl=False)
    elif prototxt:
        from graphc.front.export import to_prototxt

        click.echo(to_prototxt(graph), nl=False)
    elif as_json:
        emit_json(describe(graph))
    else:
        _print(graph)


def open_graph(net: str, options: dict[str, Any]) -> Graph:
    """The shaped graph of a prototxt or an artefact."""
    from graphc import driver

    if is_artefact(net):
        from graphc.runtime.artefact import read_artefact

        return read_artefact(Path(net), driver.limits_for(options["strict"]))[0]
    return driver.shape(load_net(net, options))


def describe(graph: Graph) -> dict[str, Any]:
    """The network as one JSON-ready object."""
    return {
        "name": graph.name,
        "phase": graph.phase,
        "inputs": {blob_of(v): list(typed(v).shape) for v in graph.inputs},
        "outputs": {v.name: list(typed(v).shape) for v in graph.outputs},
        "layers": [_describe_layer(node) for node in graph.forward_nodes()],
        "notes": graph.notes,
        "history": [
            {"name": r.name, "detail": list(r.detail), "max_change": r.max_change}
            for r in graph.history
        ],
    }


def _describe_layer(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "type": node.op.type,
        "bottoms": [v.name for v in node.ins.values()],
        "tops": {node.outs[r].name: list(typed(node.outs[r]).shape) for r in node.tops},
        "params": {r: list(typed(v).shape) for r, v in node.params.items()},
        "macs": macs(node),
        "line": node.loc.line if node.loc else 0,
    }


def macs(node: Node) -> int:
    """Multiply-adds of a node's forward, all its parts together."""
    op = cast("type[OpSpec]", node.op)
    return sum(op.macs(node.attrs, f.name, node.sig()) for f in op.forwards(node.attrs, node.sig()))


def _print(graph: Graph) -> None:
    click.echo(f"net {graph.name!r}, phase {graph.phase}, {len(graph.nodes)} layers")
    rows = []
    for node in graph.forward_nodes():
        tops = [f"{node.outs[r].name} {shape_text(typed(node.outs[r]).shape)}" for r in node.tops]
        params = [f"{r} {shape_text(typed(v).shape)}" for r, v in node.params.items()]
        work = macs(node)
        rows.append(
            (
                node.name,
                node.op.type,
                ", ".join(v.name for v in node.ins.values()),
                ", ".join(tops),
                ", ".join(params),
                f"{work:,}" if work else "",
            )
        )
    table(("layer", "type", "bottoms", "tops", "params", "MACs"), rows, right="MACs")
    for title, values in (("input", graph.inputs), ("output", graph.outputs)):
        for value in values:
            click.echo(f"{title} {blob_of(value)}: {shape_text(typed(value).shape)}")
    for record in graph.history:
        from graphc.driver import format_record

        click.echo(f"pass {format_record(record)}")
    for remark in graph.notes:
        click.echo(f"note: {remark}")
