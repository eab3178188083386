"""choose_formats: plain or blocked for every draft, so that calls and reorders take least time.

A value that is wanted in both formats is reordered once. Minimising the sum is a cut problem;
networks are kind to it, since whole regions want the same: from each of a few starts one draft
after the other takes what is best for it given its neighbours, until none wants to change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import inf

from graphc.ir.graph import Value, typed
from graphc.lower._draft import Draft
from graphc.lower._formats import Formats
from graphc.ops.kernel import BLOCKED, PLAIN, Sides

PLAIN_SIDES, BLOCKED_SIDES = (PLAIN, PLAIN), (BLOCKED, BLOCKED)
SWEEPS = 20
BANDWIDTH = 24e3
"""Bytes per microsecond that a reorder reads and writes: measured of images that fill the second
cache; smaller ones are copied up to three times as fast."""
GROWTH = 3
"""How often a byte counts that a packed operand has more than the plain one: none of them is in a
cache, so it is fetched to be written, and it is computed, not copied."""

Options = Mapping[Sides, float]
"""Microseconds that a draft takes, by the formats of its operands."""


def choose_formats(
    drafts: Sequence[Draft],
    options: Sequence[Options],
    formats: Formats,
    fixed: Collection[Value],
) -> list[Sides]:
    """The sides of each draft. `fixed`: values that somebody else wants plain, too."""
    return _Search(drafts, options, formats, fixed).run()


def operands(draft: Draft, formats: Formats) -> list[tuple[Value, bool]]:
    """(value, has it the format of the tops?) of all that may be blocked."""
    found = list(draft.images())
    if draft.aliases:
        found = [(v, False) for alias in draft.aliases for v in (alias.outer, alias.inner)]
    return [(v, is_top) for v, is_top in dict.fromkeys(found) if formats.can_block(v)]


class _Search:
    def __init__(
        self,
        drafts: Sequence[Draft],
        options: Sequence[Options],
        formats: Formats,
        fixed: Collection[Value],
    ) -> None:
        self.options = options
        self.operands = [operands(draft, formats) for draft in drafts]
        self.price: dict[Value, float] = {}
        self.wants: dict[Value, list[int]] = {}
        for touched in self.operands:
            for value, _ in touched:
                if value not in self.price:
                    self.price[value] = _price(value, formats)
                    self.wants[value] = [int(value in fixed), 0]  # how many: plain, blocked

    def run(self) -> list[Sides]:
        starts = [[min(each, key=lambda sides: each[sides]) for each in self.options]]
        starts += [
            [wanted if wanted in each else next(iter(each)) for each in self.options]
            for wanted in (BLOCKED_SIDES, PLAIN_SIDES)
        ]
        found = [self._settle(start) for start in starts]
        return min(found, key=lambda item: item[0])[1]

    def _settle(self, choice: list[Sides]) -> tuple[float, list[Sides]]:
        """(microseconds, choice) after the choice has been improved."""
        fixed = {value: list(count) for value, count in self.wants.items()}
        for at, sides in enumerate(choice):
            self._count(at, sides, 1)
        for _ in range(SWEEPS):
            changed = False
            for at, options in enumerate(self.options):
                if len(options) > 1:
                    self._count(at, choice[at], -1)
                    costs = {s: options[s] + self._reorders(at, s) for s in options}
                    best = min(costs, key=lambda sides: costs[sides])
                    if costs[best] < costs[choice[at]]:
                        choice[at], changed = best, True
                    self._count(at, choice[at], 1)
            if not changed:
                break
        total = sum(options[s] for options, s in zip(self.options, choice, strict=True))
        total += sum(self.price[v] for v, count in self.wants.items() if all(count))
        self.wants = fixed
        return total, choice

    def _count(self, at: int, sides: Sides, step: int) -> None:
        for value, is_top in self.operands[at]:
            self.wants[value][sides[is_top] == BLOCKED] += step

    def _reorders(self, at: int, sides: Sides) -> float:
        """What it costs that this draft, too, wants its operands so."""
        return sum(
            self.price[value]
            for value, is_top in self.operands[at]
            if self.wants[value][sides[is_top] == PLAIN]
            and not self.wants[value][sides[is_top] == BLOCKED]
        )


def _price(value: Value, formats: Formats) -> float:
    """Microseconds that a copy in the other format takes; none can be had of aux values."""
    if formats.is_neutral(value):
        return 0.0
    return copying(value) if formats.can_reorder(value) else inf


def copying(value: Value, written: int = 0) -> float:
    """Microseconds that it takes to copy a value to another layout, where it has `written` bytes
    (0: as many as here)."""
    nbytes = typed(value).nbytes
    more = max(0, written - nbytes)
    return 1.0 + (2 * nbytes + GROWTH * more) / BANDWIDTH


__all__ = ["BLOCKED_SIDES", "PLAIN_SIDES", "Options", "choose_formats", "copying", "operands"]
