"""select: the format of every value and the rows of every draft, by what they cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from graphc.costs import Costs
from graphc.ir.graph import Graph, Value, typed
from graphc.ir.op import Kind
from graphc.lower._choices import Choice
from graphc.lower._choose import BLOCKED_SIDES, PLAIN_SIDES, Options, choose_formats, copying
from graphc.lower._cost import costs_of
from graphc.lower._draft import Draft
from graphc.lower._formats import Formats
from graphc.lower._problem import Problem
from graphc.lower._reorder import reorder
from graphc.lower._rows import Rows
from graphc.ops.kernel import BLOCKED, Kernel, Sides

RENT = 200.0
"""Microseconds of a run that a MiB of memory is worth. A packed weight that is larger than the
weight must save so much: else networks would hold four times their weights for a few percent."""

Price = Callable[[Draft, str, str, "Kernel | None", Sides], "tuple[float, str]"]
"""(draft, symbol, key of its problem, row, formats) -> (microseconds, what that rests on)."""


def price_of(graph: Graph, costs: Costs, rows: Rows) -> Price:
    """What kernels cost that do drafts of `graph`."""
    cost_of = costs_of(graph)

    def price(
        draft: Draft, symbol: str, key: str, row: Kernel | None, sides: Sides
    ) -> tuple[float, str]:
        cost = (rows.cost(draft, row) if row is not None else None) or cost_of(draft)
        bottoms, tops = _padding(draft, sides, rows.formats)
        nbytes = int((cost.read + cost.write) * max(bottoms, tops))
        return costs.microseconds(symbol, key, int(cost.macs * bottoms * tops), nbytes)

    return price


def _padding(draft: Draft, sides: Sides, formats: Formats) -> tuple[float, float]:
    """How many channels blocked bottoms and tops have with those that fill up their last block, of
    those that they have: kernels compute them all."""
    found = [1.0, 1.0]
    for value, is_top in draft.images():
        if sides[is_top] == BLOCKED and formats.can_block(value):
            found[is_top] = max(found[is_top], formats.padding(value))
    return found[0], found[1]


def select(
    drafts: Sequence[Draft],
    rows: Rows,
    price: Price,
    fixed: Collection[Value],
    known: Sequence[Choice] | None = None,
) -> list[Draft]:
    """The drafts with the reorders between regions of one format; `rows` keeps, for each, the rows
    of its format, the cheapest first. `fixed`: values that somebody else wants plain. A parameter
    that a draft updates is packed anew for every run, which counts. `known`: what was chosen
    before, which is taken if it is for such drafts."""
    sides = None if known is None else _repeated(drafts, rows, known)
    if sides is None:
        sides = _searched(drafts, rows, price, fixed)
    return reorder(drafts, sides, rows.formats, fixed)


def _repeated(drafts: Sequence[Draft], rows: Rows, known: Sequence[Choice]) -> list[Sides] | None:
    if len(known) != len(drafts):
        return None
    found: list[tuple[Draft, Choice, list[Kernel]]] = []
    for draft, choice in zip(drafts, known, strict=True):
        if draft.aliases:
            able: list[Kernel] | None = (
                [] if choice.sides in _of_views(draft, rows.formats) else None
            )
        else:
            able = rows.rows_of(draft, choice)
        if able is None:
            return None
        found.append((draft, choice, able))
    for draft, choice, able in found:
        rows.choose(draft, choice.sides, able, choice)
    return [choice.sides for choice in known]


def _searched(
    drafts: Sequence[Draft], rows: Rows, price: Price, fixed: Collection[Value]
) -> list[Sides]:
    formats = rows.formats
    updated = {v.storage for draft in drafts for _, v in draft.writes if v.kind is Kind.PARAM}
    found: dict[Draft, dict[Sides, list[tuple[float, Kernel]]]] = {}

    def options(draft: Draft) -> Options:
        if draft.aliases:
            return _of_views(draft, formats)
        priced = found[draft] = {
            sides: sorted(
                ((_price(draft, row, problem, sides), row) for row, problem in candidates),
                key=lambda item: item[0],
            )
            for sides, candidates in rows.problems(draft).items()
        }
        return {sides: ranked[0][0] for sides, ranked in priced.items()} or {PLAIN_SIDES: 0.0}

    def _price(draft: Draft, row: Kernel, problem: Problem, sides: Sides) -> float:
        us = price(draft, problem.symbol, problem.key, row, sides)[0]
        operands = dict(draft.reads)
        for pack in row.packs:
            value, size = operands[pack.of], rows.packed_size(draft, pack)
            if value.storage in updated:  # lives for one call
                us += copying(value, 4 * size)
            else:
                us += RENT * 4 * max(0, size - typed(value).size) / 2**20
        return us

    sides = choose_formats(drafts, [options(d) for d in drafts], formats, fixed)
    for draft, chosen in zip(drafts, sides, strict=True):
        ranked = found[draft].get(chosen, []) if draft in found else []
        rows.choose(draft, chosen, [row for _, row in ranked])
    return sides


def _of_views(draft: Draft, formats: Formats) -> Options:
    """Views of blocked values, where all of a draft's are."""
    values = [v for alias in draft.aliases for v in (alias.outer, alias.inner)]
    is_same = all(
        a.view.axis is not None or typed(a.inner).shape == typed(a.outer).shape
        for a in draft.aliases
    )
    can = is_same and all(map(formats.can_block, values))
    if can and all(formats.can_slice(a.view) for a in draft.aliases):
        return {PLAIN_SIDES: 0.0, BLOCKED_SIDES: 0.0}
    return {PLAIN_SIDES: 0.0}


__all__ = ["Price", "price_of", "select"]
