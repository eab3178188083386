"""units_of: a network as a chain of units, and what each moves, per sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from graphc.count import batch_size
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.op import Effect, Kind, Trait
from graphc.ops.spec import OpSpec
from graphc.records import record
from graphc.slices import sliced_types


@record(frozen=True, slots=True)
class Primitive:
    """A layer's operands in bytes: activations it reads (`x`) and makes (`y`), per sample, and
    parameters (`w`)."""

    name: str
    x: float
    y: float
    w: int


@record(frozen=True, slots=True)
class Unit:
    """Layers between two places where a single activation passes. Bytes per sample: `x`, what
    enters; `y`, what leaves; `live`, the most that is needed at once; `stash`, what a backward
    reads of what is made inside; `keeps_x`, `keeps_y`: does it read these, too? Bytes: `w`,
    parameters; `back`, those that a backward reads; `learned`, those it makes gradients of.
    `mixed`: layers that need the whole batch; `apart`: all layers can run on slices of it. `nodes`:
    the layers, and views among them."""

    first: str
    last: str
    x: float
    y: float
    w: int
    stash: float
    live: float
    mixed: tuple[str, ...]
    layers: tuple[Primitive, ...]
    keeps_x: bool = False
    keeps_y: bool = False
    back: int = 0
    learned: int = 0
    apart: bool = True
    nodes: tuple[Node, ...] = ()


def units_of(graph: Graph) -> list[Unit]:
    """The chain of a shaped graph without gradients; what the caller or a data layer gives is read
    where it is first needed, labels aside. Views move nothing, and belong to what follows."""
    every = [n for n in graph.forward_nodes() if not _is_source(n)]
    nodes = [n for n in every if not _is_view(n, graph)]
    given = {v for n in graph.forward_nodes() if _is_source(n) for v in n.outs.values()}
    last = {_storage(v, graph): at for at, n in enumerate(nodes) for v in n.ins.values()}
    alive = {value for value in given if _counts(value, given) and value in last}
    found, begun, rest = [], 0, 0
    for at, node in enumerate(nodes):
        alive.update(_storage(node.outs[role], graph) for role in node.tops)
        alive = {value for value in alive if last.get(value, -1) > at}
        is_last = at == len(nodes) - 1
        if len(alive) == 1 or is_last:
            (out,) = alive or (node.outs[node.tops[0]],) if node.tops else (None,)
            end = len(every) if is_last else every.index(node, rest) + 1
            own = _Own(graph, nodes[begun : at + 1], every[rest:end], given, out)
            found.append(own.unit())
            begun, rest = at + 1, end
    return found


def _is_source(node: Node) -> bool:
    return node.has(Trait.FEED) or node.has(Effect.SOURCE)


def _is_view(node: Node, graph: Graph) -> bool:
    op = cast("type[OpSpec]", node.op)
    return set(op.views(node.attrs, node.sig(graph.env))) == set(node.tops)


def _storage(value: Value, graph: Graph) -> Value:
    """The value whose bytes a view's are."""
    while value.producer is not None and not _is_source(value.producer):
        if not _is_view(value.producer, graph) or len(value.producer.ins) != 1:
            break
        (value,) = value.producer.ins.values()
    return value


def _counts(value: Value, given: set[Value]) -> bool:
    """Is it an activation, or an image that is given? Labels are next to nothing."""
    return value not in given or typed(value).rank > 2


class _Own:
    """A unit's layers, `every`: with views, and what leaves it."""

    def __init__(
        self,
        graph: Graph,
        nodes: list[Node],
        every: list[Node],
        given: set[Value],
        out: Value | None,
    ) -> None:
        self.graph, self.nodes, self.every, self.out = graph, nodes, every, out
        self.given, self.batch = given, batch_size(graph)
        self.made = {node.outs[role] for node in nodes for role in node.tops}
        reads = {self._storage(v) for node in nodes for v in node.ins.values() if self._counts(v)}
        self.enters = reads - self.made
        self.read: set[Value] = set()
        self.aux = 0.0
        self._look_back()

    def unit(self) -> Unit:
        params = {v.storage for node in self.nodes for v in node.params.values()}
        return Unit(
            self.nodes[0].name,
            self.nodes[-1].name,
            self._bytes(self.enters),
            0.0 if self.out is None else self._bytes({self.out}),
            sum(typed(v).nbytes for v in params),
            self._bytes((self.read & self.made) - {self.out}) + self.aux,
            self._live(),
            tuple(node.name for node in self.nodes if self._mixes(node)),
            tuple(self._primitive(node) for node in self.nodes),
            keeps_x=not self.read.isdisjoint(self.enters),
            keeps_y=self.out in self.read,
            back=sum(typed(v).nbytes for v in params & self.read),
            learned=sum(typed(v).nbytes for v in params if v.kind is Kind.PARAM and v.lr_mult),
            apart=self.batch > 1 and all(map(self._is_apart, self.every)),
            nodes=tuple(self.every),
        )

    def _look_back(self) -> None:
        """What the backward reads: values, and what forwards make for it alone."""
        for node in self.nodes:
            op, sig = cast("type[OpSpec]", node.op), node.sig(self.graph.env)
            roles = {role for part in op.grads(node.attrs, sig) for role in part.reads}
            for role in roles:
                value = node.ins.get(role) or node.params.get(role) or node.outs.get(role)
                if value is not None:
                    is_param = role in node.params
                    self.read.add(value.storage if is_param else self._storage(value))
            aux = op.aux(node.attrs, sig)
            if self._joins(node) and not self.read.isdisjoint(node.ins.values()):
                self.read -= set(node.ins.values())
                self.read.add(node.outs[node.tops[0]])
            self.aux += sum(aux[role].nbytes for role in roles & set(aux)) / self.batch

    def _is_apart(self, node: Node) -> bool:
        return sliced_types(self.graph, node, (0, 1, self.batch)) is not None

    def _mixes(self, node: Node) -> bool:
        op = cast("type[OpSpec]", node.op)
        traits = op.traits_of(node.attrs, node.sig(self.graph.env))
        return not node.has(Trait.LOSS) and Trait.BATCH_SEPARABLE not in traits

    def _joins(self, node: Node) -> bool:
        """Are its bottoms parts of its top, as a Concat's, so that it moves nothing?"""
        op = cast("type[OpSpec]", node.op)
        return set(op.views(node.attrs, node.sig(self.graph.env))) == set(node.ins)

    def _primitive(self, node: Node) -> Primitive:
        if self._joins(node):
            return Primitive(node.name, 0.0, 0.0, 0)
        ins = {self._storage(v) for v in node.ins.values() if self._counts(v)}
        tops = {node.outs[role] for role in node.tops}
        weights = sum(typed(v).nbytes for v in node.params.values())
        return Primitive(node.name, self._bytes(ins), self._bytes(tops), weights)

    def _live(self) -> float:
        """The most that one sample needs while the unit runs, layer by layer."""
        last = {self._storage(v): at for at, n in enumerate(self.nodes) for v in n.ins.values()}
        alive, most = set(self.enters), 0.0
        for at, node in enumerate(self.nodes):
            if self._joins(node):
                alive -= set(node.ins.values())
            alive.update(node.outs[role] for role in node.tops)
            most = max(most, self._bytes(alive))
            alive = {value for value in alive if last.get(value, len(self.nodes)) > at}
        return most

    def _counts(self, value: Value) -> bool:
        return _counts(value, self.given)

    def _storage(self, value: Value) -> Value:
        return _storage(value, self.graph)

    def _bytes(self, values: Iterable[Value | None]) -> float:
        return sum(typed(value).nbytes for value in values if value is not None) / self.batch


__all__ = ["Primitive", "Unit", "units_of"]
