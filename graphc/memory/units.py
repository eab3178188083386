"""units_of: a network as a chain of units, and what each moves, per sample."""

from __future__ import annotations

from typing import cast

from graphc.count import batch_size
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.op import Effect, Kind, Trait
from graphc.ops.spec import OpSpec
from graphc.records import record


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
    reads of all that it makes. `w`: parameters. `mixed`: layers that need the whole
    batch."""

    first: str
    last: str
    x: float
    y: float
    w: int
    stash: float
    live: float
    mixed: tuple[str, ...]
    layers: tuple[Primitive, ...]


def units_of(graph: Graph) -> list[Unit]:
    """The chain of a shaped graph without gradients; what the caller or a data layer gives is read
    where it is first needed, labels aside. Views move nothing, and are left out."""
    nodes = [n for n in graph.forward_nodes() if not _is_source(n) and not _is_view(n, graph)]
    given = {v for n in graph.forward_nodes() if _is_source(n) for v in n.outs.values()}
    last = {_storage(v, graph): at for at, n in enumerate(nodes) for v in n.ins.values()}
    alive = {value for value in given if _counts(value, given) and value in last}
    found, begun = [], 0
    batch = batch_size(graph)
    for at, node in enumerate(nodes):
        alive.update(_storage(node.outs[role], graph) for role in node.tops)
        alive = {value for value in alive if last.get(value, -1) > at}
        if len(alive) == 1 or at == len(nodes) - 1:
            (out,) = alive or (node.outs[node.tops[0]],) if node.tops else (None,)
            found.append(_unit(graph, nodes[begun : at + 1], given, out, batch))
            begun = at + 1
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


def _unit(
    graph: Graph, nodes: list[Node], given: set[Value], out: Value | None, batch: int
) -> Unit:
    made = {node.outs[role] for node in nodes for role in node.tops}
    layers = tuple(_primitive(node, graph, given, batch) for node in nodes)
    enters = {
        _storage(v, graph) for node in nodes for v in node.ins.values() if _counts(v, given)
    } - made
    params = {v.storage for node in nodes for v in node.params.values()}
    return Unit(
        nodes[0].name,
        nodes[-1].name,
        sum(_bytes(value, batch) for value in enters),
        _bytes(out, batch) if out is not None else 0.0,
        sum(typed(v).nbytes for v in params if v.kind is Kind.PARAM),
        sum(_bytes(value, batch) for value in _stash(graph, nodes) & (made | enters)),
        _live(graph, nodes, given, batch),
        tuple(node.name for node in nodes if _mixes(node, graph)),
        layers,
    )


def _primitive(node: Node, graph: Graph, given: set[Value], batch: int) -> Primitive:
    ins = {_storage(v, graph) for v in node.ins.values() if _counts(v, given)}
    params = [v for v in node.params.values() if v.kind is Kind.PARAM]
    return Primitive(
        node.name,
        sum(_bytes(value, batch) for value in ins),
        sum(_bytes(node.outs[role], batch) for role in node.tops),
        sum(typed(v).nbytes for v in params),
    )


def _counts(value: Value, given: set[Value]) -> bool:
    """Is it an activation, or an image that is given? Labels are next to nothing."""
    return value not in given or typed(value).rank > 2


def _stash(graph: Graph, nodes: list[Node]) -> set[Value]:
    found: set[Value] = set()
    for node in nodes:
        op = cast("type[OpSpec]", node.op)
        for part in op.grads(node.attrs, node.sig(graph.env)):
            reads = (node.ins.get(r) or node.outs.get(r) for r in part.reads)
            found.update(_storage(v, graph) for v in reads if v is not None)
    return found


def _live(graph: Graph, nodes: list[Node], given: set[Value], batch: int) -> float:
    """The most that one sample needs while its unit runs, layer by layer."""
    last = {_storage(v, graph): at for at, n in enumerate(nodes) for v in n.ins.values()}
    alive = {v for v in last if _counts(v, given)} - {
        node.outs[role] for node in nodes for role in node.tops
    }
    most = 0.0
    for at, node in enumerate(nodes):
        alive.update(node.outs[role] for role in node.tops)
        most = max(most, sum(_bytes(value, batch) for value in alive))
        alive = {value for value in alive if last.get(value, len(nodes)) > at}
    return most


def _mixes(node: Node, graph: Graph) -> bool:
    op = cast("type[OpSpec]", node.op)
    is_loss = node.has(Trait.LOSS)
    return not is_loss and Trait.BATCH_SEPARABLE not in op.traits_of(
        node.attrs, node.sig(graph.env)
    )


def _bytes(value: Value, batch: int) -> float:
    return typed(value).nbytes / batch


__all__ = ["Primitive", "Unit", "units_of"]
