"""Small edits from which passes are made; each keeps names unique and producers linked."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir.graph import Graph, Node, Value


def replace_uses(graph: Graph, old: Value, new: Value) -> None:
    """Let every reader of `old`, and the output list, take `new` instead."""
    for node in graph.nodes:
        for role, value in node.ins.items():
            if value is old:
                node.ins[role] = new
    graph.outputs = [new if v is old else v for v in graph.outputs]


def bypass(graph: Graph, node: Node, top: Value, bottom: Value, pinned: Iterable[str]) -> bool:
    """Remove `node`, whose `top` always equals `bottom`; False if a name forbids it.

    An output or pinned name survives: where the top has one, the bottom takes it over, unless the
    bottom's own name is needed as well.
    """
    needed = {v.name for v in (*graph.outputs, *graph.inputs)} | set(pinned)
    keep_top = top.name in needed or top.name == _blob_name(bottom, top)
    if keep_top and bottom.name in needed:
        return False
    replace_uses(graph, top, bottom)
    graph.nodes = [n for n in graph.nodes if n is not node]
    if keep_top:
        bottom.name = top.name
    return True


def _blob_name(bottom: Value, top: Value) -> str:
    """The top's name if the bottom is an earlier version of the same blob."""
    from graphc.ir.versions import blob_of

    return top.name if blob_of(bottom) == top.name else ""


def erase(graph: Graph, dead: set[Node]) -> None:
    """Drop nodes, and the weights only they used."""
    graph.nodes = [n for n in graph.nodes if n not in dead]
    alive = {v.storage.name for v in graph.values() if v.kind.value != "act"}
    graph.weights = {name: w for name, w in graph.weights.items() if name in alive}
