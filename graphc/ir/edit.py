"""Small edits from which passes are made; each keeps names unique and producers linked.

All take time linear in the graph, so a pass collects what it wants and calls each once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ir.names import Names
from graphc.ir.op import Kind
from graphc.ir.types import Type
from graphc.ir.versions import blob_of, moved_version

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

    See `Replacement` for what must not be lost.
    """
    found = Replacement(graph, pinned)
    for node, top, bottom in wanted:
        found.drop(node, {top: bottom})
    return found.apply()


class Replacement:
    """Nodes to remove because each top always equals another value; collected, then done at once.

    The names of outputs, pinned blobs and net inputs survive with their values: where a top has
    such a name, its equal takes it over, unless that one's own name is needed too. A node with a
    loss weight, or one that stops a gradient, stays. So does one without which an output would be
    read by a layer, for in a prototxt it would then be none.
    """

    def __init__(self, graph: Graph, pinned: Collection[str] = ()) -> None:
        self.graph = graph
        self.needed = needed_names(graph, pinned)
        self.dropped: dict[Node, None] = {}
        self._inputs = {v: blob_of(v) for v in graph.inputs}
        self._input_names = frozenset(self._inputs.values())
        self._outputs = set(graph.outputs)
        self._readers = Counter(v for n in graph.nodes for v in n.ins.values())
        self._overwritten = overwritten_inputs(graph)
        self._last_read = {v: at for at, n in enumerate(graph.nodes) for v in n.ins.values()}
        self._replaced: dict[Value, Value] = {}

    def end(self, value: Value) -> Value:
        """What stands for `value` after all that was dropped so far."""
        return _end(value, self._replaced)

    def drop(self, node: Node, equals: Mapping[Value, Value]) -> bool:
        """Drop `node`, `equals` mapping its tops to their equals; False if that would lose any."""
        if len(node.outs) != len(equals) or any(node.loss.values()) or not all(node.propagate):
            return False
        ends = {top: self.end(equal) for top, equal in equals.items()}
        names = self._names(ends)
        if names is None or self._hides_output(node, ends) or self._reads_late(ends):
            return False
        for equal, name in names.items():
            equal.name = name
        for value in node.ins.values():
            self._readers[self.end(value)] -= 1
        for top, equal in ends.items():
            self._replaced[top] = equal
            self._readers[equal] += self._readers[top]
            self._last_read[equal] = max(self._last_read.get(v, -1) for v in (top, equal))
            if top in self._outputs:
                self._outputs.add(equal)
        self.dropped[node] = None
        return True

    def _names(self, ends: Mapping[Value, Value]) -> dict[Value, str] | None:
        """New names of equals that take one over; None if a name would be lost."""
        names: dict[Value, str] = {}
        for top, equal in ends.items():
            is_version = top.name == blob_of(equal)
            if top.name not in self.needed and not is_version:
                continue
            is_inputs = top.name in self._input_names and not is_version
            if is_inputs or names.get(equal, equal.name) in self.needed:
                return None
            if self._inputs.get(equal, top.name) != top.name:
                return None
            names[equal] = top.name
        return names

    def _hides_output(self, node: Node, ends: Mapping[Value, Value]) -> bool:
        """Would a layer read an output that none reads now?"""
        own = Counter(self.end(value) for value in node.ins.values())
        for equal in set(ends.values()):
            same = [equal, *(top for top, end in ends.items() if end is equal)]
            outputs = [value for value in same if value in self._outputs]
            is_read = sum(self._readers[value] for value in same) > own[equal]
            if outputs and is_read and not any(self._readers[value] for value in outputs):
                return True
        return False

    def _reads_late(self, ends: Mapping[Value, Value]) -> bool:
        """Would a layer read a net input after another has written it in place?"""
        return any(
            equal in self._overwritten
            and top.name != blob_of(equal)
            and self._last_read.get(top, -1) > self._overwritten[equal]
            for top, equal in ends.items()
        )

    def apply(self) -> list[Node]:
        """Take the dropped nodes, and what only they used, out of the graph; returns them."""
        erase(self.graph, set(self.dropped))
        replace_uses(self.graph, self._replaced)
        return list(self.dropped)


def needed_names(graph: Graph, pinned: Collection[str] = ()) -> frozenset[str]:
    """Names that must survive with their values: of outputs and of pinned blobs."""
    return frozenset(pinned).union(v.name for v in graph.outputs)


def overwritten_inputs(graph: Graph) -> dict[Value, int]:
    """Net inputs that a layer writes in place, and the index of the node that does so first."""
    inputs = {v: blob_of(v) for v in graph.inputs if blob_of(v) != v.name}
    found: dict[Value, int] = {}
    for at, node in enumerate(graph.nodes if inputs else ()):
        tops = {blob_of(value) for value in node.outs.values()}
        for value in node.ins.values():
            if inputs.get(value) in tops:
                found.setdefault(value, at)
    return found


def take_over(
    node: Node, role: str, value: Value, needed: Collection[str], taken: set[str]
) -> None:
    """Let `node` make `value`, another node's top so far, as its top `role`.

    An earlier version gets the name that it has as a version made by `node`, unless its name is
    `needed`; `taken` are the names in use.
    """
    if value.name not in needed:
        value.name = moved_version(value, node.name, taken)
        taken.add(value.name)
    node.outs[role], value.producer = value, node


def set_params(graph: Graph, names: Names, node: Node, arrays: Mapping[str, Array]) -> None:
    """Give `node` the arrays of all parameters that its layer declares, by role.

    Those that it does not have yet are made. The arrays must have the declared shapes.
    """
    old = dict(node.params)
    node.params = {}
    for param in node.op.params(node.attrs, node.sig(graph.env)):
        value = old.get(param.name)
        if value is None:
            value = Value(names.fresh(f"{node.name}:{param.name}"), kind=param.kind, spec=param)
            value.type = Type(param.shape)
        node.params[param.name] = value
        owner = value.storage
        graph.weights[owner.name] = arrays[param.name].reshape(typed(owner).shape)


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
