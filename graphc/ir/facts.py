"""Facts: a graph with the tables that the verifier's rules look things up in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from graphc.ir.graph import Graph, Node, Sigs, Value
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.records import record


@record(frozen=True, slots=True)
class Problem:
    """One broken rule; `node` is where, if the rule is about a node."""

    message: str
    node: Node | None = None


Problems = Iterator[Problem]


class Facts:
    """A graph with the tables that rules look things up in; each made once, when first asked."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @cached_property
    def sigs(self) -> Sigs:
        """Signatures of the nodes that have types."""
        return Sigs(self.graph.env)

    @cached_property
    def order(self) -> dict[Node, int]:
        return {node: i for i, node in enumerate(self.graph.nodes)}

    @cached_property
    def written(self) -> dict[Value, tuple[Node, str]]:
        """First writer and role of each value a node makes."""
        table: dict[Value, tuple[Node, str]] = {}
        for node in self.graph.nodes:
            for role, value in node.outs.items():
                table.setdefault(value, (node, role))
        return table

    @cached_property
    def params(self) -> dict[Value, Node]:
        """First user of each parameter value."""
        table: dict[Value, Node] = {}
        for node in self.graph.nodes:
            for value in node.params.values():
                table.setdefault(value, node)
        return table

    @cached_property
    def given(self) -> set[Value]:
        """What no node writes, but whoever runs the graph: seeds and step parameters."""
        return {*self.graph.seeds.values(), *self.graph.step_params.values()}

    @cached_property
    def by_name(self) -> dict[str, Value]:
        """Every value by name; of two with one name the first."""
        table: dict[str, Value] = {}
        given = (*self.graph.seeds.values(), *self.graph.step_params.values())
        for value in (*self.params, *self.written, *given):
            table.setdefault(value.name, value)
        return table

    @cached_property
    def parts(self) -> dict[Node, dict[str, Any]]:
        """The backward parts, by name, of the forward nodes that a gradient node refers to."""
        owners = {n.of for n in self.graph.nodes if n.of is not None and n.of in self.order}
        return {owner: _parts_of(owner, self.sigs[owner]) for owner in owners if is_typed(owner)}

    @cached_property
    def inner(self) -> dict[Node, Mapping[str, Type]]:
        """Types of the inner roles, whose gradients pass between parts, of the same nodes."""
        return {owner: _inner_of(owner, self.sigs[owner]) for owner in self.parts}


def _inner_of(node: Node, sig: Sig) -> Mapping[str, Type]:
    inner: Callable[..., Mapping[str, Type]] = getattr(node.op, "inner", lambda a, s: {})
    return inner(node.attrs, sig)


def _parts_of(node: Node, sig: Sig) -> dict[str, Any]:
    grads: Callable[..., Iterable[Any]] = getattr(node.op, "grads", lambda a, s: ())
    return {grad.part: grad for grad in grads(node.attrs, sig)}


def is_typed(node: Node) -> bool:
    values = (*node.ins.values(), *node.outs.values(), *node.params.values())
    return all(value.type is not None for value in values)
