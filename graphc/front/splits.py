"""The layers of a graph as Caffe holds them: with a Split after each blob that is read twice."""

from __future__ import annotations

from dataclasses import field

from graphc.front.blobs import blob_names, hidden_tops
from graphc.ir.graph import Graph, Node, Value
from graphc.ops.split import Split
from graphc.records import record


@record(slots=True)
class CaffeLayer:
    """A layer of Caffe's net: `node` of the graph, or None for a Split that Caffe inserts.

    `tops`: of a loss whose top nobody has named, none. `loss_weights`: one for each top, or none.
    """

    name: str
    type: str
    bottoms: list[str]
    tops: list[str]
    node: Node | None = None
    loss_weights: list[float] = field(default_factory=list)


def caffe_layers(graph: Graph) -> list[CaffeLayer]:
    """Every forward layer in order, bottoms renamed to the tops of Splits.

    A loss weight that was written out counts as a reader of its top, and moves to the first top
    of the Split. Source: Caffe's insert_splits.cpp.
    """
    names, hidden = blob_names(graph), hidden_tops(graph)
    readers = _readers(graph)
    given: dict[Value, int] = {}
    copies: dict[Value, str] = {}
    layers: list[CaffeLayer] = []
    for node in graph.forward_nodes():
        bottoms = []
        for value in node.ins.values():
            name = names[value]
            if value in copies:
                name = f"{copies[value]}_{given[value]}"
                given[value] += 1
            bottoms.append(name)
        shown = [role for role in node.tops if node.outs[role] not in hidden]
        tops = [names[node.outs[role]] for role in shown]
        layer = CaffeLayer(node.name, node.op.type, bottoms, tops, node)
        layers.append(layer)
        if node.loss:
            layer.loss_weights = [node.loss.get(role, 0.0) for role in node.tops]
        for index, role in enumerate(shown):
            value = node.outs[role]
            if readers.get(value, 0) < 2:
                continue
            copies[value] = f"{tops[index]}_{node.name}_{index}_split"
            split = CaffeLayer(copies[value], Split.type, [tops[index]], [], None)
            split.tops = [f"{split.name}_{k}" for k in range(readers[value])]
            given[value] = 0
            if value in graph.outputs and node.loss.get(role):
                given[value] = 1
                split.loss_weights = [node.loss[role]] + [0.0] * (readers[value] - 1)
                layer.loss_weights = []
            layers.append(split)
    return layers


def _readers(graph: Graph) -> dict[Value, int]:
    """How often each value is read by layers; a weighted output that is read counts once more."""
    found: dict[Value, int] = {}
    for node in graph.forward_nodes():
        for value in node.ins.values():
            found[value] = found.get(value, 0) + 1
    for node in graph.forward_nodes():
        for role in node.loss:
            value = node.outs[role]
            if value in graph.outputs and value in found:
                found[value] += 1
    return found


__all__ = ["CaffeLayer", "caffe_layers"]
