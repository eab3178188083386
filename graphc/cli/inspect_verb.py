"""graphc inspect NET."""

from __future__ import annotations

from typing import Any

import click

from graphc.cli import lowered as listing
from graphc.cli.nets import open_graph, open_lowering
from graphc.cli.options import given, json_option, net_options, spelled, threads_option
from graphc.cli.output import emit_json, say, shape_text, size_text, table
from graphc.count import macs
from graphc.errors import fail
from graphc.ir.graph import Graph, Node, typed
from graphc.ir.op import Kind
from graphc.ir.versions import blob_of


@click.command("inspect")
@click.argument("net")
@click.option("--text", is_flag=True, help="Print the graph in the IR's text form.")
@click.option("--prototxt", is_flag=True, help="Print the net as prototxt, upgraded and filtered.")
@click.option(
    "--lowered",
    is_flag=True,
    help="Print what runs: kernel calls in order, what they fuse, views, buffers.",
)
@click.option("--train", is_flag=True, help="Of --lowered: forward and backward.")
@click.option(
    "--target",
    type=click.Choice(["cpu", "model", "cuda"]),
    default="cpu",
    show_default=True,
    help="Of --lowered: for the C++ core, a GPU, or as memory figures are published.",
)
@threads_option
@net_options
@json_option
def command(
    net: str,
    text: bool,
    prototxt: bool,
    lowered: bool,
    train: bool,
    target: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Show layers, shapes, costs and history of NET, a prototxt or an artefact."""
    if text + prototxt + lowered > 1:
        fail("GC-C001", "--text, --prototxt and --lowered exclude each other")
    for name in ("train", "target", "threads"):
        if given(name) and not lowered:
            fail("GC-C001", f"{spelled(name)} is an option of --lowered", "add --lowered")
    if lowered:
        low = open_lowering(net, options, train, target, ())
        emit_json(listing.describe(low)) if as_json else listing.show(low)
        return
    graph, meta = open_graph(net, options)
    if not text and not prototxt:
        if as_json:
            emit_json(describe(graph, meta))
        else:
            _print(graph, meta)
        return
    if text:
        from graphc.ir.text import print_graph

        printed = print_graph(graph)
    else:
        from graphc.front.export import to_prototxt

        printed = to_prototxt(graph)
    if as_json:
        emit_json({"text" if text else "prototxt": printed})
    else:
        click.echo(printed, nl=False)


def describe(graph: Graph, meta: dict[str, Any]) -> dict[str, Any]:
    """The network as one JSON-ready object; `artefact` holds what an artefact says of itself."""
    learned, size = _weights(graph)
    return {
        "name": graph.name,
        "phase": graph.phase,
        "inputs": {blob_of(v): list(typed(v).shape) for v in graph.inputs},
        "outputs": {v.name: list(typed(v).shape) for v in graph.outputs},
        "params": learned,
        "weight_bytes": size,
        "macs": sum(map(macs, graph.forward_nodes())),
        "layers": [_describe_layer(node) for node in graph.forward_nodes()],
        "history": [
            {
                "name": r.name,
                "changed": r.changed,
                "detail": list(r.detail),
                "max_change": r.max_change,
            }
            for r in graph.history
        ],
        "notes": graph.notes,
        "artefact": meta or None,
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


def _weights(graph: Graph) -> tuple[int, int]:
    """Learned elements, and bytes of all blobs a weight file holds (statistics included)."""
    kept = [v for v in graph.param_values() if v.kind is not Kind.CARRY]
    learned = sum(typed(v).size for v in kept if v.kind is Kind.PARAM)
    return learned, sum(typed(v).nbytes for v in kept)


def _print(graph: Graph, meta: dict[str, Any]) -> None:
    _print_head(graph, meta)
    say("")
    rows = []
    for node in graph.forward_nodes():
        tops = [f"{node.outs[r].name} {shape_text(typed(node.outs[r]).shape)}" for r in node.tops]
        params = [f"{r} {shape_text(typed(v).shape)}" for r, v in node.params.items()]
        work = macs(node)
        bottoms = ", ".join(v.name for v in node.ins.values())
        told = f"{work:,}" if work else ""
        rows.append((node.name, node.op.type, bottoms, ", ".join(tops), told, ", ".join(params)))
    table(("layer", "type", "bottoms", "tops", "MACs", "params"), rows, right="MACs")
    tail = [f"pass {_told(record)}" for record in graph.history if record.changed]
    tail += [f"note: {remark}" for remark in graph.notes]
    for line in ["", *tail] if tail else []:
        say(line)


def _print_head(graph: Graph, meta: dict[str, Any]) -> None:
    nodes = list(graph.forward_nodes())
    learned, size = _weights(graph)
    say(f"{graph.name or 'a net without a name'}, phase {graph.phase}: {len(nodes)} layers")
    for title, values in (("input", graph.inputs), ("output", graph.outputs)):
        for value in values:
            say(f"{title} {blob_of(value)}: {shape_text(typed(value).shape)}")
    if size:
        say(f"weights: {learned:,} parameters, {size_text(size)} with statistics")
    source = meta.get("source")
    if isinstance(source, dict):
        weights = f", weights {source['weights']}" if source.get("weights") else ""
        gradients = " with gradients" if meta.get("train") is True else ""
        say(
            f"compiled{gradients} from {source.get('net')}{weights} "
            f"by graphc {source.get('graphc')} for {source.get('target')}"
        )
    if meta.get("keep"):
        kept = meta["keep"]
        say(f"kept: {', '.join(map(str, kept)) if isinstance(kept, list) else kept}")
    for index, line in enumerate(recipe_lines(meta.get("recipe"))):
        say(f"{'        ' if index else 'recipe: '}{line}")


def recipe_lines(recipe: object) -> list[str]:
    """A recipe's text with one line per pass: `drop_identity.py:DropIdentity tolerance = 1e-06`."""
    blocks = recipe.split("[[pass]]\n")[1:] if isinstance(recipe, str) else []
    lines = []
    for block in blocks:
        first, *rest = block.strip().splitlines() or [""]
        lines.append(", ".join([first.partition(" = ")[2].strip('"'), *rest]))
    return lines


def _told(record: Any) -> str:
    from graphc.driver import format_record

    return format_record(record)
