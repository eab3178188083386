"""What a graph's values and parameters are called and hold in Caffe's files."""

from __future__ import annotations

from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ir.op import Kind
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
    by its last reader, and it is no output itself. Any other value keeps its own name.
    """
    last: dict[Value, Node] = {}
    for node in graph.forward_nodes():
        last.update((value, node) for value in node.ins.values())
    kept = set(graph.outputs)
    names: dict[Value, str] = {}
    for node in reversed(list(graph.forward_nodes())):
        for role in node.tops:
            value = node.outs[role]
            names[value] = value.name
            reader = last.get(value)
            if reader is not None and value not in kept:
                bottoms = zip(reader.ins.values(), reader.tops, strict=False)
                successors = [reader.outs[top] for bottom, top in bottoms if bottom is value]
                if any(names[s] == blob_of(value) for s in successors):
                    names[value] = blob_of(value)
    return names


__all__ = ["blob_names", "saved_blobs"]
