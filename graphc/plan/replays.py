"""unrolled: a Program with replays written out, in which every instance of a call is a call.

So lifetimes, in-place chains, offsets and timelines of a plan with replays are those of a plan
without: each instance of a buffer is a buffer too, with a life of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphc.plan.facts import Facts
from graphc.plan.instances import Instances
from graphc.program import PERSISTENT, Program
from graphc.records import record

Choice = Mapping[int, int]
"""Root buffer that is dropped after its last use in the forward -> its group. Group 0: once
replayed, it stays until its last use. Another: it does if a call of the backward asked for a
buffer of that group; what is replayed on the way to others is dropped again at once."""


@record(frozen=True, slots=True)
class Script:
    """`replays`: call -> calls before it that run once more right before it, in the order in which
    they ran; all that write what these make have run by then.

    Every call reads the newest instance of what it reads, so any script computes the same, and
    recursive schedules (replays from what a replay made) are scripts, too. Calls that fill one
    buffer together are replayed together.
    """

    replays: Mapping[int, tuple[int, ...]]


MOST = 8
"""Replays for each call of the Program from which on a choice is given up."""


class TooManyError(Exception):
    """A choice has too many replays to be worth a plan."""


class StaleError(Exception):
    """A replay comes too late: something that it reads has been overwritten by then."""

    def __init__(self, roots: tuple[int, ...]) -> None:
        super().__init__(f"root buffers {list(roots)} cannot be dropped")
        self.roots = roots


@record(frozen=True, slots=True)
class Unrolled:
    """`calls[call]`: the (call, instance) it is of the Program's; `buffers[buffer]`: that one's;
    `replay_us`: what replays take."""

    program: Program
    calls: list[tuple[int, int]]
    buffers: list[int]
    replay_us: float


def unrolled(facts: Facts, choice: Choice | Script) -> Unrolled:
    """The Program that replays what a choice drops, right before the first call that reads it; or
    what a script says.

    A replay's operands are replayed first if they were dropped too. Raises StaleError if one reads
    what has been overwritten by then (weights that were updated), TooManyError for over `MOST`
    replays for each call, ValueError for a root that is not droppable.
    """
    if isinstance(choice, Script):
        return _Scripted(facts, choice).run()
    if not facts.droppable.issuperset(choice):
        raise ValueError("not droppable")
    return _Chosen(facts, choice).run()


class _Unroller:
    """What choices and scripts have in common."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.entries = facts.later_entries  # those with replays
        program = facts.program
        self.made = Instances(program)
        self.calls = self.made.calls
        self.call_of = [(c.id, 0) for c in program.calls]
        self.instances: dict[int, int] = {}
        self.now: dict[int, int] = {}  # dropped root -> its instance that is there
        self.place = {index: at for at, index in enumerate(facts.forward)}
        self._written: dict[int, int] = {}  # root -> when a later entry wrote it last
        self._ran: dict[int, int] = {}  # call of a later entry -> when it ran first
        self.us = 0.0

    def run(self) -> Unrolled:
        program = self.facts.program
        entries = dict(program.entries)
        for entry in self.entries:
            order: list[int] = []
            for index in program.entries[entry]:
                self.prepare(index, order)
                if not self.now.keys().isdisjoint(self.facts.reads[index]):
                    self.calls[index] = self.made.call(self.calls[index], index, self.now, self.now)
                order.append(index)
                self.after(index)
                if entry != "forward":
                    self._ran[index] = at = len(self._ran)
                    self._written.update(dict.fromkeys(self.facts.writes[index], at))
            entries[entry] = tuple(order)
        lasting = self._lasting(entries) if program.lasting else None
        return Unrolled(self.made.done(entries, lasting), self.call_of, self.made.origin, self.us)

    def _lasting(self, entries: Mapping[str, tuple[int, ...]]) -> frozenset[int]:
        """What a backward that runs again must find: what it, or its replays, read as the forward
        or the caller left it."""
        facts, program = self.facts, self.facts.program
        own, later = len(program.buffers), facts.later_entries
        calls = [self.calls[index] for entry in later for index in entries[entry]]
        made = {facts.root_of[b] for b in program.seeds.values()}
        made |= {facts.root_of[o.buffer] for c in calls for o in c.writes if o.buffer < own}
        read = {facts.root_of[o.buffer] for c in calls for o in c.reads if o.buffer < own}
        return frozenset(r for r in read - made if program.buffers[r].kind not in PERSISTENT)

    def prepare(self, index: int, order: list[int]) -> None:
        """Emit the replays that come before a call."""
        raise NotImplementedError

    def after(self, index: int) -> None:
        """A call has run."""

    def is_stale(self, index: int) -> bool:
        """Does a call no longer find what it read when it ran first?"""
        ran = self._ran.get(index, -1)
        return any(self._written.get(root, -1) > ran for root in self.facts.reads[index])

    def again(self, index: int, order: list[int], made: Mapping[int, int]) -> None:
        """Emit a replay that writes the instances `made`."""
        order.append(len(self.calls))
        self.instances[index] = self.instances.get(index, 0) + 1
        self.call_of.append((index, self.instances[index]))
        call = self.facts.program.calls[index]
        self.calls.append(self.made.call(call, len(self.calls), self.now, made))
        self.us += self.facts.us[index]


class _Chosen(_Unroller):
    def __init__(self, facts: Facts, choice: Choice) -> None:
        super().__init__(facts)
        self.choice = choice
        self._missing: list[int] = []
        self._fresh: list[int] = []

    def prepare(self, index: int, order: list[int]) -> None:
        reads = self.facts.reads[index]
        self._missing = [r for r in reads if r in self.choice and r not in self.now]
        self._fresh = self._replay(self._missing, order) if self._missing else []

    def after(self, index: int) -> None:
        stay = {self.choice[root] for root in self._missing}
        for root in self._fresh:
            if self.choice[root] and self.choice[root] not in stay:
                del self.now[root]

    def _replay(self, missing: list[int], order: list[int]) -> list[int]:
        """Emit the calls that bring dropped roots back; returns all roots that are there again."""
        facts, program = self.facts, self.facts.program
        needed: set[int] = set()
        asked = list(missing)
        seen = set(asked)
        while asked:
            for index in facts.writers[asked.pop()]:
                if index in needed:
                    continue
                needed.add(index)
                reads = facts.reads[index]
                if self.is_stale(index):
                    raise StaleError(facts.writes[index])
                lost = [
                    r for r in reads if r in self.choice and r not in self.now and r not in seen
                ]
                seen.update(lost)
                asked += lost
        fresh: list[int] = []
        made: dict[int, int] = {}
        for index in sorted(needed, key=self.place.__getitem__):
            for root in facts.writes[index]:
                if root not in made:
                    made[root] = self.made.add(root)
                    if root in self.choice and root in seen:
                        self.now[root] = made[root]
                        fresh.append(root)
            if len(self.calls) > (1 + MOST) * len(program.calls):
                raise TooManyError("too many replays")
            self.again(index, order, made)
        return fresh


class _Scripted(_Unroller):
    def __init__(self, facts: Facts, script: Script) -> None:
        super().__init__(facts)
        self.script = script
        self._can = facts.droppable | facts.again
        if not script.replays.keys().isdisjoint(facts.forward):
            self.entries = ["forward", *facts.later_entries]
        self._newest: dict[int, int] = {}  # root -> the last instance that replays wrote
        self._writers: dict[int, set[int]] = {}  # root -> those that wrote it

    def prepare(self, index: int, order: list[int]) -> None:
        facts = self.facts
        for call in self.script.replays.get(index, ()):
            if self._can.isdisjoint(facts.writes[call]):
                raise ValueError("not droppable")
            if self.is_stale(call):
                raise StaleError(facts.writes[call])
            made: dict[int, int] = {}
            for root in facts.writes[call]:
                writers = self._writers.setdefault(root, {call})
                if call in writers:
                    self._newest[root] = self.made.add(root)
                    writers.clear()
                writers.add(call)
                made[root] = self._newest[root]
            self.again(call, order, made)
            self.now.update({r: made[r] for r in made if r in self._can})


__all__ = ["Choice", "Script", "StaleError", "TooManyError", "Unrolled", "unrolled"]
