"""Ranges: between which numbers a value lies, from the scalar expressions of layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, cast

import numpy as np

from graphc.ir.graph import Graph, Node, Value
from graphc.ops._expression import Cond, Where, children, postorder
from graphc.ops._expression import Node as Part
from graphc.ops.elementwise import DRAW, Elementwise
from graphc.ops.scalar import FUNCTIONS, Apply, Const, Expr, Var
from graphc.ops.spec import OpSpec
from graphc.records import record


@record(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`; `of`: the variable that it always equals, if there is one.

    NaN is not considered: a layer may turn it into a number or not.
    """

    low: float = -math.inf
    high: float = math.inf
    of: str = ""


ANY = Range()


def ranges(graph: Graph) -> dict[Value, Range]:
    """What is known of the tops of all layers; a value that is not there may be any number."""
    known: dict[Value, Range] = {}
    for node in graph.forward_nodes():
        for role, found in tops(node, known).items():
            known[node.outs[role]] = Range(found.low, found.high)
    return known


def tops(node: Node, known: Mapping[Value, Range]) -> dict[str, Range]:
    """The ranges of a layer's tops, given those of its bottoms; `of` may name one of these."""
    ins = {role: known.get(value, ANY) for role, value in node.ins.items()}
    sig = node.sig()
    if issubclass(node.op, Elementwise):
        env = {r: Range(x.low, x.high, r) for r, x in ins.items()}
        env |= dict.fromkeys(node.params, ANY) | {DRAW: Range(0, 1)}
        for role, expr in node.op.outputs(node.attrs, sig).items():
            if role in node.outs:
                env[role] = evaluated(expr, env)
        return {role: env[role] for role in node.outs if role in env}
    views = cast("type[OpSpec]", node.op).views(node.attrs, sig)
    found = {r: ins[v.of] for r, v in views.items() if r in node.outs and v.of in ins}
    parts = [role for role, view in views.items() if view.of in node.outs]
    if ins and set(parts) == set(ins):  # the bottoms make up the top
        whole = Range(min(x.low for x in ins.values()), max(x.high for x in ins.values()))
        found[views[parts[0]].of] = whole
    return found


def evaluated(expr: Expr, env: Mapping[str, Range]) -> Range:
    """The range of an expression, given those of its variables."""
    made: dict[int, Range] = {}
    for part in postorder(expr):
        args = [made[id(child)] for child in children(part) if id(child) in made]
        if not isinstance(part, Cond):
            made[id(part)] = _range(part, args, made, env)
    return made[id(expr)]


def _range(
    part: Part, args: list[Range], made: Mapping[int, Range], env: Mapping[str, Range]
) -> Range:
    if isinstance(part, Var):
        return env.get(part.name, ANY)
    if isinstance(part, Const):
        return Range(part.value, part.value)
    if isinstance(part, Where):
        left, right = made[id(part.cond.left)], made[id(part.cond.right)]
        return _chosen(part, left, right, made[id(part.yes)], made[id(part.no)])
    assert isinstance(part, Apply)
    return _applied(part.function, args)


def _chosen(part: Where, left: Range, right: Range, yes: Range, no: Range) -> Range:
    """The range of `yes` where left relation right holds, else of `no`."""
    if part.cond.relation == "<" and left is not right:
        if part.cond.left is part.no and part.cond.right is part.yes:  # the maximum of both
            if yes.low >= no.high or no.low >= yes.high:
                return no if no.low >= yes.high else yes
            return Range(max(yes.low, no.low), max(yes.high, no.high))
        if part.cond.left is part.yes and part.cond.right is part.no:  # the minimum
            if yes.high <= no.low or no.high <= yes.low:
                return no if no.high <= yes.low else yes
            return Range(min(yes.low, no.low), min(yes.high, no.high))
    holds = _holds(part.cond.relation, left, right)
    if holds is not None:
        return yes if holds else no
    same = yes.of if yes.of == no.of else ""
    return Range(min(yes.low, no.low), max(yes.high, no.high), same)


def _holds(relation: str, left: Range, right: Range) -> bool | None:
    """Does the relation hold for all numbers (True), for none (False), or for some?"""
    if relation in (">", ">="):
        return _holds(relation.replace(">", "<"), right, left)
    if relation == "<":
        return True if left.high < right.low else False if left.low >= right.high else None
    if relation == "<=":
        return True if left.high <= right.low else False if left.low > right.high else None
    return False if left.high < right.low or right.high < left.low else None


_RISING = frozenset({"sqrt", "exp", "expm1", "log", "log1p", "tanh"})


def _applied(function: str, args: list[Range]) -> Range:
    first = args[0]
    if function == "abs":
        if first.low >= 0:
            return first
        size = max(-first.low, first.high)
        return Range(0 if first.high >= 0 else -first.high, size)
    if function == "neg":
        return Range(-first.high, -first.low)
    if function == "pow":
        return Range(0) if first.low >= 0 else ANY
    if function == "/" and args[1].low <= 0 <= args[1].high:
        return ANY
    with np.errstate(all="ignore"):
        if function in _RISING:
            made = [float(FUNCTIONS[function](x)) for x in (first.low, first.high)]
        else:
            made = list(map(_finite(FUNCTIONS[function]), *zip(*_corners(args), strict=True)))
    known = not any(math.isnan(x) for x in made)
    return Range(min(made), max(made)) if known else ANY


def _corners(args: list[Range]) -> list[tuple[float, ...]]:
    return list(product(*((x.low, x.high) for x in args)))


def _finite(function: Callable[..., Any]) -> Callable[..., float]:
    """The function, with 0 * infinity as 0: an infinite end is a bound, not a number."""

    def compute(*args: float) -> float:
        if function is np.multiply and 0 in args:
            return 0.0
        return float(function(*args))

    return compute


__all__ = ["ANY", "Range", "evaluated", "ranges", "tops"]
