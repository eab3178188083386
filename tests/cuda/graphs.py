"""The calls of a network's training step, each with the CUDA kernels that do it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphc import driver
from graphc.cuda import Spec, Work, symbols, work
from graphc.ir.graph import Graph, Node, Role, Value
from graphc.ir.op import Effect, Trait
from graphc.ops.kernel import PLAIN
from graphc.train.build import training_graph
from graphc.train.settings import Settings


@dataclass(frozen=True)
class Call:
    """`part`: of the node's layer; `view`: the result is but a view of the first read, all of it or
    the slice that it says."""

    node: Node
    part: str
    reads: dict[str, Value]
    writes: dict[str, Value]
    view: Any = None

    @property
    def layer(self) -> Node:
        return self.node.of or self.node

    @property
    def work(self) -> Work:
        """Raises KeyError if no CUDA kernel does it."""
        node, sig = self.layer, self.layer.sig()
        for row in node.op.kernels_of(node.attrs, sig):
            is_ours = row.symbol in symbols() and (PLAIN, PLAIN) in row.formats
            if is_ours and row.does(self.part) and (row.when is None or row.when(node.attrs, sig)):
                told = row.attrs(node.attrs, sig) if row.attrs else {}
                return work(row.symbol, told, _specs(self.reads), _specs(self.writes))
        raise KeyError(f"{node.op.type}.{self.part}")


def _specs(values: dict[str, Value]) -> list[Spec]:
    return [Spec(v.type.dtype, v.type.shape) for v in values.values()]


def training(net: Graph, settings: Settings) -> Graph:
    """The graph with gradients and updates, of a network as it was loaded."""
    expanded, _ = driver.optimize(net, ())
    return training_graph(expanded, settings)


def calls(graph: Graph) -> Iterator[Call]:
    """In order; without what feeds the network."""
    for node in graph.nodes:
        if node.role is Role.GRAD and node.of is not None:
            sig = node.of.sig()
            part = next(g for g in node.of.op.grads(node.of.attrs, sig) if g.part == node.part)
            reads = {r: node.ins[r] for r in part.reads}
            yield Call(node, part.part, reads, dict(node.outs), part.view)
        elif not (node.has(Trait.FEED) or node.has(Effect.SOURCE)):
            yield from _forwards(node)


def _forwards(node: Node) -> Iterator[Call]:
    sig = node.sig()
    known = {**node.ins, **node.params}
    views = node.op.views(node.attrs, sig)
    if node.outs and set(node.outs) <= set(views):
        for role, view in views.items():
            yield Call(node, "view", {view.of: node.ins[view.of]}, {role: node.outs[role]}, view)
        return
    parts = node.op.forwards(node.attrs, sig)
    read = {role for part in parts for role in part.reads or ()}
    made = {**node.params, **node.outs}
    for role, type_ in node.op.aux(node.attrs, sig).items():
        if role in read and role not in made:  # one part makes it for another, and nobody else
            made[role] = Value(f"{node.name}.{role}", type_)
    for part in parts:
        reads = known if part.reads is None else {r: {**made, **known}[r] for r in part.reads}
        roles = node.outs if part.writes is None else part.writes
        yield Call(node, part.name, dict(reads), {r: made[r] for r in roles if r in made})
