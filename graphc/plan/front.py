"""Front: the plans with replays that a policy knows for a Program, the cheapest of each size.

It is found without regard to any budget, so that a larger budget never gets a slower plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphc.plan.blocks import blocks_of
from graphc.plan.facts import Facts
from graphc.plan.replays import Choice, Script
from graphc.plan.revolve import revolve
from graphc.plan.segments import Segments
from graphc.plan.tables import Tables, Trial

LEVELS = 32
"""Sizes between the largest and the smallest plan at which a cheap one is looked for."""
SLOTS = 240
"""Into which the chain's dynamic program cuts memory, at each of several scales."""
PIECES = (2, 4, 8)
"""In how many pieces segments are replayed."""
PARTS = (2, 4, 1 << 30)
"""Pieces over one of these parts of the largest are replayed for each reader."""
EFFORT = 6_000_000
"""Steps that may be tried in one stage of the search; a step takes some 50 ns."""
FEW = 5
"""Levels from which on it is also tried to get to each from the plan without replays."""
SMALL = 60
"""Calls of Programs that are searched more closely."""
WAYS = 1_000_000
"""That are tried at most to find the best replays of a small Program; one takes some 50 ns. Twice
as many, if calls of the backward are replayed, too."""
SMALLER, FASTER, LOCAL = 1, 2, 4


class Front:
    """`trials`: of the smallest time for their size, from the fastest to the smallest."""

    def __init__(self, facts: Facts, policy: str) -> None:
        self.facts, self.segments = facts, Segments(facts)
        self.tables = Tables(facts, self.segments.large)
        self._found: list[Trial] = []
        self._try(self.segments.nothing())
        POLICIES.get(policy, Front.nothing)(self)
        if facts.always:
            self._found = [self.tables.forced(trial) for trial in self._found]
        self.trials = list(self._best())

    def script(self, trial: Trial) -> Script:
        """What a trial replays."""
        return self.tables.script(trial)

    def _try(self, choice: Choice) -> None:
        trial = self.tables.tried(choice)
        if trial is not None:
            self._found.append(trial)

    def _best(self) -> Iterator[Trial]:
        """Those that no other beats in both size and time."""
        smallest = None
        for trial in sorted(self._found, key=lambda t: (t.us, t.peak)):
            if smallest is None or trial.peak < smallest:
                smallest = trial.peak
                yield trial

    def nothing(self) -> None:
        """Policies that are not of this room replay nothing."""

    def sqrt(self) -> None:
        """As many segments as is best, about the root of the number of cuts."""
        count = 2
        most = len(dict.fromkeys(root for _, root in self.segments.cuts))
        while count <= most:
            self._try(self.segments.by_count(count))
            count += max(1, count // 4)

    def speed(self) -> None:
        self._try(self.segments.speed_centric())

    def memory(self) -> None:
        self._try(self.segments.memory_centric())

    def cost_aware(self) -> None:
        self._try(self.segments.cost_aware())

    def revolve(self) -> None:
        blocks = blocks_of(self.tables, self.segments)
        pairs = revolve(self.tables, self.segments, blocks)
        self._found += [self.tables.trial(each) for each in pairs]

    def ours(self) -> None:
        """The chain of blocks; segments of all sizes; and what is still found near the best."""
        self.speed()
        self.memory()
        self.cost_aware()
        self.sqrt()
        blocks = blocks_of(self.tables, self.segments)
        proposed = self.tables.core.chain(blocks.block_of, blocks.outs, SLOTS, EFFORT // 40)
        self._found += [Trial(*each) for each in proposed]
        if not self._is_solved():
            self._refine()

    def _is_solved(self) -> bool:
        """Add what is best of all, if that can be found; it is, where nothing is done in place."""
        if self.facts.program.lasting:  # what replays leave for the backward would have to last
            return False
        known = [(trial.peak, trial.us) for trial in self._best()]
        best = self.tables.core.stages(known, WAYS)
        self._found += [Trial(*each) for each in best or ()]
        return best is not None and not self.tables.is_sharing

    def _refine(self) -> None:
        """At each of some sizes: from what is just larger to what fits, and then to what is faster;
        and from the best that fits."""
        steps = len(self.tables.calls)
        levels = max(2, min(LEVELS, EFFORT // (66 * steps)))
        smallest = min(self._found, key=lambda t: (t.peak, t.us))
        smallest = self.tables.polished(smallest, 0, SMALLER)
        self._found.append(smallest)
        for trial in list(self._best()) if steps <= SMALL else ():
            self._found.append(self.tables.polished(trial, 0, LOCAL))
        full, low = self._found[0].peak, min(t.peak for t in self._found)
        descent = self._found[0]
        done: set[tuple[int, bytes]] = set()  # levels often begin with the same replays
        for number in range(levels + 1):
            most = int(full * (low / full) ** (number / levels)) if full else 0
            made: list[Trial] = []
            if levels >= FEW:
                descent = self.tables.polished(descent, most, SMALLER)
                made.append(descent)
            best = list(self._best())
            over = [t for t in best if most < t.peak <= most * 1.25]
            if over:
                made.append(self.tables.polished(over[-1], most, SMALLER))
            self._found += made
            fitting = [t for t in best if t.peak <= most]
            if steps > SMALL or number < levels:
                fitting = fitting[:1]
            for trial in (*made, *fitting):
                key = most, trial.pairs.tobytes()
                if trial.peak > most or key in done:
                    continue
                done.add(key)
                self._found.append(self.tables.polished(trial, most, FASTER | LOCAL))


POLICIES: dict[str, Callable[[Front], None]] = {
    "ours": Front.ours,
    "sqrt": Front.sqrt,
    "speed": Front.speed,
    "memory": Front.memory,
    "cost_aware": Front.cost_aware,
    "revolve": Front.revolve,
}


__all__ = ["POLICIES", "Front"]
