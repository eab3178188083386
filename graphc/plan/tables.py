"""Tables: a Program's calls and buffers as numbers, for the search in C++ (csrc/plan/replay.h)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt

from graphc import _core
from graphc.plan.facts import Facts
from graphc.plan.lifetimes import Schedule, given_roots
from graphc.plan.replays import MOST, Choice, Script
from graphc.plan.sharing import may_share
from graphc.program import PERSISTENT
from graphc.records import record

Pairs = npt.NDArray[np.int32]


@record(frozen=True, slots=True)
class Trial:
    """`peak`: bytes of the work arena at its fullest step; `us`: what replays take; `pairs`: the
    replays, as rows (position of the call they come before, position of the call)."""

    peak: int
    us: float
    pairs: Pairs


class Tables:
    """Positions are those of calls in the order of all entries. `large`: roots worth a replay.
    `deadlines`: by position, the last one before which a call finds what it reads, -1 for one that
    cannot be replayed. `is_sharing`: some call may write in place."""

    def __init__(self, facts: Facts, large: Collection[int]) -> None:
        program = facts.program
        self.facts, self.schedule = facts, Schedule.of(program)
        self.calls = [call.id for call in self.schedule.calls]
        self.position = {index: at for at, index in enumerate(self.calls)}
        self.later = len(self.calls) - len(facts.later)
        touched = {r for index in self.calls for r in (*facts.reads[index], *facts.writes[index])}
        touched |= {root for root, _ in given_roots(program)}
        roots = sorted(r for r in touched if program.buffers[r].kind not in PERSISTENT)
        self.roots = roots
        self.number = {root: n for n, root in enumerate(roots)}
        given = {root: self.schedule.start(entry) for root, entry in given_roots(program)}
        held = self._held(given)
        self.deadlines = self._deadlines()
        pairs = self._pairs()
        self.is_sharing = bool(pairs[1])
        self.core = _core.Replays(
            later=self.later,
            us=[facts.us[index] for index in self.calls],
            space=[facts.space[index] for index in self.calls],
            deadline=self.deadlines,
            tables=[
                self._lists(facts.reads[index] for index in self.calls),
                self._lists(facts.writes[index] for index in self.calls),
                pairs,
            ],
            bytes=[program.buffers[r].nbytes for r in roots],
            droppable=[r in facts.droppable for r in roots],
            again=[r in facts.droppable or r in facts.again for r in roots],
            given=[r in given for r in roots],
            origin=[given.get(r, 0) for r in roots],
            held=[held.get(r, -1) for r in roots],
            large=[r in large for r in roots],
        )

    def tried(self, choice: Choice) -> Trial | None:
        """What a choice takes, with what would be replayed too late kept instead; None if it has
        over `MOST` replays for each call."""
        groups = [-1] * len(self.roots)
        for root, group in choice.items():
            if root in self.number:
                groups[self.number[root]] = 2 * group if group >= 0 else 1 - 2 * group
        while True:
            found = self.core.script(groups, MOST * len(self.calls))
            if found is None:
                return None
            if not isinstance(found, list):
                return Trial(*self.core.trial(found), found)
            for root in found:
                groups[root] = -1

    def trial(self, pairs: Pairs) -> Trial:
        return Trial(*self.core.trial(pairs), pairs)

    def polished(self, trial: Trial, most: int, how: int) -> Trial:
        """See csrc/plan/polish.h; `how`: 1 smaller, 2 faster, 4 local, added up."""
        return Trial(*self.core.polish(trial.pairs, most, how))

    def forced(self, trial: Trial) -> Trial:
        """A trial that also replays what always is, before the first call that reads it, unless
        that is too late."""
        facts, pairs = self.facts, {(int(a), int(b)) for a, b in trial.pairs}
        deadline = self.deadlines
        for root in sorted(facts.always):
            writers = [self.position[index] for index in facts.writers[root]]
            first = min(self.position[i] for i in facts.later if root in facts.reads[i])
            is_made = any(call in writers and before <= first for before, call in pairs)
            if not is_made and all(deadline[call] >= first for call in writers):
                pairs.update((first, call) for call in writers)
        if len(pairs) == len(trial.pairs):
            return trial
        rows = np.array(sorted(pairs), np.int32).reshape(-1, 2)
        return Trial(*self.core.trial(rows), rows)

    def script(self, trial: Trial) -> Script:
        replays: dict[int, list[int]] = {}
        for before, call in trial.pairs.tolist():
            replays.setdefault(self.calls[before], []).append(self.calls[call])
        return Script({before: tuple(calls) for before, calls in replays.items()})

    def _lists(self, rows: Iterable[Iterable[int]]) -> tuple[list[int], list[int]]:
        begin, items = [0], list[int]()
        for row in rows:
            items += [self.number[root] for root in row if root in self.number]
            begin.append(len(items))
        return begin, items

    def _pairs(self) -> tuple[list[int], list[int]]:
        facts, begin, items = self.facts, [0], list[int]()
        for call in self.schedule.calls:
            if call.may_overwrite:
                writes = [r for r in facts.writes[call.id] if r in self.number]
                reads = [r for r in facts.reads[call.id] if r in self.number]
                for made, read in may_share(facts.program, call):
                    items += (writes.index(made), reads.index(read))
            begin.append(len(items))
        return begin, items

    def _deadlines(self) -> list[int]:
        """The last position before which a call finds what it reads, if it can be replayed."""
        facts, changed = self.facts, dict[int, int]()
        can = facts.droppable | facts.again
        end = len(self.calls)
        found = [-1] * end
        for at in reversed(range(end)):
            index = self.calls[at]
            if not can.isdisjoint(facts.writes[index]):
                found[at] = min((changed.get(r, end) for r in facts.reads[index]), default=end)
            if at >= self.later:
                changed.update(dict.fromkeys(facts.writes[index], at))
        return found

    def _held(self, given: dict[int, int]) -> dict[int, int]:
        """Position until which the caller or a later run needs a root."""
        program, schedule = self.facts.program, self.schedule
        written, found = dict(given), dict[int, int]()
        for at, index in enumerate(self.calls):
            written.update(dict.fromkeys(self.facts.writes[index], at))
        for root in {self.facts.root_of[b] for b in program.kept}:
            if root in written:
                found[root] = min(schedule.end(written[root]), len(self.calls))
        for root in {self.facts.root_of[b] for b in program.lasting} - self.facts.droppable:
            found[root] = max(len(self.calls) - 1, found.get(root, 0))
        return found


__all__ = ["Tables", "Trial"]
