"""Small edits from which passes are made; each keeps names unique and producers linked.

All take time linear in the graph, so a pass collects what it wants and calls each once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.op import Kind
from graphc.ir.versions import blob_of

Bypass: TypeAlias = tuple[Node, Value, Value]
"""A node to remove, its only top, and the bottom that always equals it."""


def replace_uses(graph: Graph, replaced: Mapping[Value, Value]) -> None:
    """Let every reader of a key, and the output list, take the key's value instead.

    A value may be a key itself: chains are followed to their end.
    """
    if not replaced:
        return
    for node in graph.nodes:
        for role, value in node.ins.items():
            node.ins[role] = _end(value, replaced)
    graph.outputs = [_end(v, replaced) for v in graph.outputs]


def _end(value: Value, replaced: Mapping[Value, Value]) -> Value:
    while value in replaced:
        value = replaced[value]
    return value


def bypass(
    graph: Graph, node: Node, top: Value, bottom: Value, pinned: Collection[str] = ()
) -> bool:
    """Remove `node`, whose only `top` always equals `bottom`; False if that would lose something.

    See `bypass_all`, which removes many nodes in one go.
    """
    return bool(bypass_all(graph, [(node, top, bottom)], pinned))


def bypass_all(graph: Graph, wanted: Iterable[Bypass], pinned: Collection[str] = ()) -> list[Node]:
    """Remove nodes whose only top always equals a bottom; returns those that could be removed.

    The names of outputs, pinned blobs and net inputs survive with their values: where the top has
    such a name, the bottom takes it over, unless the bottom's own name is needed too. A node with
    a loss weight, or one that stops a gradient, stays.
    """
    needed = {v.name for v in graph.outputs} | set(pinned)
    inputs = {v: blob_of(v) for v in graph.inputs}
    replaced: dict[Value, Value] = {}
    dropped: list[Node] = []
    for node, top, before in wanted:
        bottom = _end(before, replaced)
        if len(node.outs) > 1 or any(node.loss.values()) or not all(node.propagate):
            continue
        takes_name = top.name in needed or top.name == blob_of(bottom)
        if takes_name and (bottom.name in needed or inputs.get(bottom, top.name) != top.name):
            continue
        if takes_name:
            bottom.name = top.name
        replaced[top] = bottom
        dropped.append(node)
    gone = set(dropped)
    graph.nodes = [n for n in graph.nodes if n not in gone]
    replace_uses(graph, replaced)
    return dropped


def erase(graph: Graph, dead: set[Node]) -> None:
    """Drop nodes, and the weights only they used; a view of these becomes their owner."""
    graph.nodes = [n for n in graph.nodes if n not in dead]
    params = {v: None for n in graph.nodes for v in n.params.values()}
    heirs: dict[Value, Value] = {}
    for value in params:
        old = value.view_of
        if old is None or old in params:
            continue
        heir = heirs.setdefault(old, value)
        value.view_of = None if heir is value else heir
        if heir is value and old.name in graph.weights:
            graph.weights[value.name] = graph.weights[old.name].reshape(typed(value).shape)
        value.lr_mult, value.decay_mult = old.lr_mult, old.decay_mult
    alive = {v.storage.name for v in params if v.kind is not Kind.ACT}
    graph.weights = {name: w for name, w in graph.weights.items() if name in alive}
