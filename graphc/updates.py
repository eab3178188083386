"""add_updates: a differentiated graph with one update node per parameter that is learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from graphc.errors import fail
from graphc.ir.graph import Graph, Node, Role, Value, typed
from graphc.ir.names import Names
from graphc.ir.op import Kind, NoAttrs
from graphc.ir.types import Type
from graphc.ops.update.accumulate import Accumulate
from graphc.ops.update.base import TERM, SolverOp
from graphc.ops.update.clip_gradients import ClipGradients, ClipGradientsAttrs
from graphc.ops.update.regularizer import MADE, Regularizer, Stage
from graphc.ops.update.rule import FACTOR, RuleAttrs, UpdateRule

Attributes = Callable[[Value], RuleAttrs]
"""A parameter -> the attributes of its update."""
NUMBER = Type(())


def add_updates(
    graph: Graph,
    rule: type[UpdateRule],
    attrs: Attributes,
    *,
    passes: int = 1,
    longest: float | None = None,
    regularizers: Sequence[Regularizer] = (),
) -> Graph:
    """Append update nodes to a graph from `differentiate` (in place; returned for chaining).

    A parameter without a gradient (lr_mult 0, or nothing flows to it) gets none. What changes from
    step to step, the rate for one, becomes an entry of `graph.step_params`, each history a
    parameter "w:h", which starts from zero. `passes`: with more than one, gradients are summed over
    so many backwards, into parameters "w:sum". `longest`: gradients are clipped together to this
    norm. `regularizers`: nodes at the stages around, in the order given.
    """
    return _Updates(graph, rule, attrs, regularizers).add(passes, longest)


class _Updates:
    def __init__(
        self,
        graph: Graph,
        rule: type[UpdateRule],
        attrs: Attributes,
        regularizers: Sequence[Regularizer],
    ) -> None:
        self.graph, self.rule, self.attrs = graph, rule, attrs
        self.regularizers = regularizers
        self.names = Names.of(graph)

    def add(self, passes: int, longest: float | None) -> Graph:
        slopes = {
            owner: {f"dw{i}": value for i, value in enumerate(values)}
            for owner, values in _gradients(self.graph).items()
        }
        for owner, parts in slopes.items():
            if passes > 1 or (longest is not None and len(parts) > 1):
                slopes[owner] = {"dw0": self._summed(owner, parts)}
            for each, told in self._at(Stage.BEFORE_CLIP, owner):
                ins = slopes[owner]
                slopes[owner] = {"dw0": self._regularized(each, told, owner, ins)}
        numbers = {}
        if longest is not None and slopes:
            numbers[FACTOR] = self._factor([parts["dw0"] for parts in slopes.values()], longest)
        for owner, parts in slopes.items():
            histories = {role: self._kept(owner, role) for role in self.rule.histories}
            name = f"update of {owner.name}"
            params = {"w": owner, **histories}
            terms = self._terms(owner)
            self._node(self.rule, name, self.attrs(owner), numbers | terms | parts, params)
            for each, told in self._at(Stage.AFTER_UPDATE, owner):
                self._node(each.op, self._name(each, owner), told, {}, {"w": owner})
        return self.graph

    def _at(self, stage: Stage, owner: Value) -> Iterator[tuple[Regularizer, Any]]:
        """The regularizers of a parameter, and their attributes."""
        for each in self.regularizers:
            told = each.attrs(owner) if each.stage is stage else None
            if told is not None:
                yield each, told

    def _terms(self, owner: Value) -> dict[str, Value]:
        """What is added to the gradient of a parameter, if anything."""
        found: Value | None = None
        for each, told in self._at(Stage.AFTER_DECAY, owner):
            if found is not None:
                hint = "one regularizer after the decay is possible for each"
                fail("GC-O001", f"parameter {owner.name!r} has two terms beside its decay", hint)
            found = self._regularized(each, told, owner, {})
        return {} if found is None else {TERM: found}

    def _regularized(
        self, each: Regularizer, told: Any, owner: Value, ins: Mapping[str, Value]
    ) -> Value:
        role = MADE[each.stage]
        made = Value(self.names.fresh(f"{owner.name}:{role}"), owner.type)
        self._node(each.op, self._name(each, owner), told, ins, {"w": owner}, {role: made})
        return made

    @staticmethod
    def _name(each: Regularizer, owner: Value) -> str:
        return f"{each.op.type} of {owner.name}"

    def _summed(self, owner: Value, parts: Mapping[str, Value]) -> Value:
        """The sum over passes, and over summands."""
        kept = self._kept(owner, "sum")
        self._node(Accumulate, f"sum of gradients of {owner.name}", NoAttrs(), parts, {"sum": kept})
        return kept

    def _factor(self, slopes: Sequence[Value], longest: float) -> Value:
        factor = Value(self.names.fresh(FACTOR), NUMBER)
        ins = {f"dw{i}": slope for i, slope in enumerate(slopes)}
        attrs = ClipGradientsAttrs(longest)
        self._node(ClipGradients, "clip gradients", attrs, ins, {}, {FACTOR: factor})
        return factor

    def _node(
        self,
        op: type[SolverOp],
        name: str,
        attrs: Any,
        ins: Mapping[str, Value],
        params: Mapping[str, Value],
        outs: Mapping[str, Value] | None = None,
    ) -> None:
        """Of the ins those that are kept from pass to pass are parameters."""
        kept = {role: value for role, value in ins.items() if value.kind is not Kind.ACT}
        given = {role: value for role, value in ins.items() if role not in kept}
        numbers = {role: self._step_param(role) for role in op.step_params}
        self.graph.nodes.append(
            Node(
                op,
                name,
                attrs,
                ins=numbers | given,
                params={**params, **kept},
                outs=dict(outs or {}),
                phase=self.graph.phase,
                role=Role.UPDATE,
            )
        )

    def _step_param(self, name: str) -> Value:
        table = self.graph.step_params
        if name not in table:
            table[name] = Value(self.names.fresh(name), NUMBER)
        return table[name]

    def _kept(self, owner: Value, role: str) -> Value:
        return Value(self.names.fresh(f"{owner.name}:{role}"), owner.type, Kind.HISTORY)


def _gradients(graph: Graph) -> dict[Value, list[Value]]:
    """Owner of a learned parameter's storage -> the gradients of all its views."""
    found: dict[Value, list[Value]] = {}
    for value in graph.values():
        if value.kind is Kind.PARAM and value.name in graph.grads and typed(value).size:
            found.setdefault(value.storage, []).append(graph.grads[value.name])
    return found


__all__ = ["Attributes", "add_updates"]
