"""add_updates: a differentiated graph with one update node per parameter that is learned."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.graph import Graph, Node, Role, Value, typed
from graphc.ir.names import Names
from graphc.ir.op import Kind
from graphc.ir.types import Type
from graphc.ops.update.rule import RATE, RuleAttrs, UpdateRule

Attributes = Callable[[Value], RuleAttrs]
"""A parameter -> the attributes of its update."""


def add_updates(graph: Graph, rule: type[UpdateRule], attrs: Attributes) -> Graph:
    """Append update nodes to a graph from `differentiate` (in place; returned for chaining).

    A parameter without a gradient (lr_mult 0, or nothing flows to it) gets none. The rate becomes
    `graph.step_params["rate"]`, each history a parameter "w:h", which starts from zero.
    """
    names = Names.of(graph)
    rate = graph.step_params[RATE] = Value(names.fresh(RATE), Type((1,)))
    for owner, slopes in _gradients(graph).items():
        summands = {f"dw{i}": slope for i, slope in enumerate(slopes)}
        histories = {
            role: Value(names.fresh(f"{owner.name}:{role}"), owner.type, Kind.HISTORY)
            for role in rule.histories
        }
        graph.nodes.append(
            Node(
                rule,
                f"update of {owner.name}",
                attrs(owner),
                ins={RATE: rate, **summands},
                params={"w": owner, **histories},
                phase=graph.phase,
                role=Role.UPDATE,
            )
        )
    return graph


def _gradients(graph: Graph) -> dict[Value, list[Value]]:
    """Owner of a learned parameter's storage -> the gradients of all its views."""
    found: dict[Value, list[Value]] = {}
    for value in graph.values():
        if value.kind is Kind.PARAM and value.name in graph.grads and typed(value).size:
            found.setdefault(value.storage, []).append(graph.grads[value.name])
    return found


__all__ = ["Attributes", "add_updates"]
