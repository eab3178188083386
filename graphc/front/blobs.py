"""What a graph's values and parameters are called and hold in Caffe's files."""

from __future__ import annotations

from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ir.op import Kind, Trait
from graphc.ir.versions import blob_of


def saved_blobs(graph: Graph, node: Node) -> list[Array]:
    """PARAM and STATE arrays of a layer in Caffe's order, in the shapes the layer sees."""
    return [
        graph.weight(v).reshape(typed(v).shape)
        for v in node.params.values()
        if v.kind in (Kind.PARAM, Kind.STATE)
    ]


def blob_names(graph: Graph) -> dict[Value, str]:
    """The Caffe blob of every value that a forward node makes.

    An earlier version takes the name of the blob it is a version of, where that is what Caffe
    would do: the next version is written in place of it (same position among bottoms and tops),
    by its last reader, and it is no output itself. Where passes have made that impossible, it gets
    a new name (`blob_layer`), but a net input, whose name is its interface, if it can keep it. Any
    other value keeps its own.
    """
    last: dict[Value, Node] = {}
    for node in graph.forward_nodes():
        last.update((value, node) for value in node.ins.values())
    kept, taken = set(graph.outputs), {value.name for value in graph.values()}
    names: dict[Value, str] = {}
    for node in reversed(list(graph.forward_nodes())):
        for role in node.tops:
            value, blob = node.outs[role], blob_of(node.outs[role])
            names[value] = blob
            if blob == value.name or (node.has(Trait.FEED) and blob not in taken):
                continue
            reader = None if value in kept else last.get(value)
            if reader is None or blob not in _written_in_place(reader, value, names):
                names[value] = _fresh(f"{blob}_{node.name}", taken)
    return names


def hidden_tops(graph: Graph) -> set[Value]:
    """The only tops of losses whose layers name none, and which nobody reads."""
    nodes = list(graph.forward_nodes())
    used = {v for node in nodes for v in node.ins.values()} | set(graph.outputs)
    lone = [n for n in nodes if Trait.LOSS in n.op.traits and len(n.tops) == 1]
    return {
        node.outs[node.tops[0]]
        for node in lone
        if node.outs[node.tops[0]] not in used
        and node.outs[node.tops[0]].name.startswith(f"{node.name}:{node.tops[0]}")
    }


def _written_in_place(node: Node, value: Value, names: dict[Value, str]) -> list[str]:
    """Blobs of the tops of `node` that stand where `value` does among its bottoms."""
    pairs = zip(node.ins.values(), node.tops, strict=False)
    return [names[node.outs[role]] for bottom, role in pairs if bottom is value]


def _fresh(name: str, taken: set[str]) -> str:
    fresh, count = name, 2
    while fresh in taken:
        fresh, count = f"{name}_{count}", count + 1
    taken.add(fresh)
    return fresh


__all__ = ["blob_names", "hidden_tops", "saved_blobs"]
