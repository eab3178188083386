"""Front: the plans with replays that a policy knows for a Program, the cheapest of each size.

It is found without regard to any budget, so that a larger budget never gets a slower plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphc.plan.facts import Facts
from graphc.plan.moves import Moves
from graphc.plan.replays import MOST, Choice, TooManyError
from graphc.plan.segments import Segments
from graphc.plan.trials import Trial, tried

LEVELS = 40
"""Sizes between the largest and the smallest plan at which a cheap one is looked for."""
PIECES = (2, 4, 8)
"""In how many pieces segments are replayed."""
PARTS = (2, 4, 1 << 30)
"""Pieces over one of these parts of the largest are replayed for each reader."""
EFFORT = 1_400_000
"""Steps that may be tried; a trial takes some ten microseconds for each."""


class Front:
    """`trials`: of the smallest time for their size, from the fastest to the smallest."""

    def __init__(self, facts: Facts, policy: str) -> None:
        self.facts, self.segments = facts, Segments(facts)
        self._found: list[Trial] = []
        self._left = EFFORT
        self._plain = self._try(self.segments.nothing())
        POLICIES[policy](self)
        self.trials = list(self._best())

    def _try(self, choice: Choice) -> Trial:
        trial = tried(self.facts, choice)
        self._left -= len(trial.profile) + sum(trial.runs.values())
        self._found.append(trial)
        return trial

    def _try_rule(self, choice: Choice) -> None:
        """The same of a choice that may be given up."""
        try:
            self._try(choice)
        except TooManyError:
            self._left -= MOST * len(self.facts.program.calls)

    def _best(self) -> Iterator[Trial]:
        """Those that no other beats in both size and time."""
        smallest = None
        for trial in sorted(self._found, key=lambda t: (t.us, t.peak)):
            if smallest is None or trial.peak < smallest:
                smallest = trial.peak
                yield trial

    def sqrt(self) -> None:
        """As many segments as is best, about the root of the number of cuts."""
        count = 2
        most = len(dict.fromkeys(root for _, root in self.segments.cuts))
        while count <= most and self._left > 0:
            self._try_rule(self.segments.by_count(count))
            count += max(1, count // 4)

    def speed(self) -> None:
        self._try_rule(self.segments.speed_centric())

    def memory(self) -> None:
        self._try_rule(self.segments.memory_centric())

    def cost_aware(self) -> None:
        self._try_rule(self.segments.cost_aware())

    def ours(self) -> None:
        """Segments of all sizes; at each of some levels, moves to what is smaller or faster."""
        self.speed()
        self.memory()
        self.cost_aware()
        self.sqrt()
        full = self._plain.peak
        size = full
        while size > full // 200 and self._left > EFFORT * 2 // 3:
            size = size * 3 // 4
            self._try_rule(self.segments.by_size(size))
            for pieces in PIECES:
                self._try_rule(self.segments.by_size(size, size // pieces))
            for part in PARTS:
                if self._left > EFFORT * 2 // 3:
                    self._try_rule(self.segments.by_reader(size, size // PIECES[-1], part))
        moves = Moves(self.facts, self.segments, self._try)
        moves.smaller(min(self._found, key=lambda t: (t.peak, t.us)), 0)
        low = min(trial.peak for trial in self._found)
        trial = self._plain
        for number in range(1, LEVELS + 1):
            if self._left <= 0:
                break
            most = int(full * (low / full) ** (number / LEVELS))
            trial = moves.smaller(trial, most)
            if trial.peak <= most:
                moves.faster(trial, most)
            fitting = [t for t in self._found if t.peak <= most]
            if fitting:
                moves.faster(min(fitting, key=lambda t: t.us), most)


POLICIES: dict[str, Callable[[Front], None]] = {
    "ours": Front.ours,
    "sqrt": Front.sqrt,
    "speed": Front.speed,
    "memory": Front.memory,
    "cost_aware": Front.cost_aware,
}


__all__ = ["POLICIES", "Front"]
