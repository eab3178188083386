"""plan_program: lifetimes, in-place chains, offsets, steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from graphc.pauses import uncollected
from graphc.plan.bounds import op_bound
from graphc.plan.data import WEIGHTS, WORK, Arena, Owner, Place, Plan, Step, StepKind
from graphc.plan.lifetimes import Lifetime, Schedule, given_roots, lifetimes
from graphc.plan.packing import Item, live_bytes
from graphc.plan.sharing import share_in_place
from graphc.plan.workspaces import Packed, packed_within
from graphc.program import PERSISTENT, BufferKind, Operand, Program
from graphc.records import record

_Alive = tuple[str, BufferKind, int]


@record(frozen=True, slots=True)
class Names:
    """What a plan calls things that are others' instances: `calls[call]`: (call, instance);
    `buffers[buffer]`."""

    calls: Sequence[tuple[int, int]]
    buffers: Sequence[int]


@uncollected
def plan_program(program: Program, budget: int | None = None, names: Names | None = None) -> Plan:
    """A plan that runs every call once, in the Program's order, with its fastest variant.

    All entries are planned as one sequence, so what "forward" leaves for "backward" stays where it
    is. `budget`: bytes, to stay below which calls take slower variants with smaller workspaces, see
    `packed_within`; if that does not help, the plan is larger. `names`: of calls and buffers in the
    plan's steps, their own unless told. Raises GC-M002 for a network beyond all bounds.
    """
    return _Planner(program, names).run(budget)


def plan_fitting(program: Program, budget: int) -> Plan | None:
    """The plan of `plan_program`, or None if that is over the budget."""
    schedule = Schedule.of(program)
    lives = lifetimes(program, schedule)
    if _carried_bytes(program, lives) > budget:
        return None
    planner = _Planner(program, schedule=schedule, lives=lives)
    if planner.least_bytes > budget:
        return None
    plan = planner.run(budget)
    return plan if plan.peak_bytes <= budget else None


@record(frozen=True, slots=True)
class _Chain:
    """Root buffers that share one place, in the order of their lives."""

    members: tuple[int, ...]
    item: Item


class _Planner:
    def __init__(
        self,
        program: Program,
        names: Names | None = None,
        schedule: Schedule | None = None,
        lives: Mapping[int, Lifetime] | None = None,
    ) -> None:
        self.program, self.names = program, names
        self.schedule = schedule or Schedule.of(program)
        self.lives = lives or lifetimes(program, self.schedule)
        self.chains = self._chains(share_in_place(program, self.schedule, self.lives))
        self.places: dict[int, tuple[int, int]] = {}
        self.weights = self._place_weights(self.places)
        self.items = [chain.item for chain in self.chains]

    @property
    def least_bytes(self) -> int:
        """What no plan can be under."""
        return self.weights + max(live_bytes(self.items))

    def run(self, budget: int | None) -> Plan:
        places, weights = self.places, self.weights
        room = None if budget is None else budget - weights
        packed = packed_within(self.schedule.calls, self.items, room)
        for chain, offset in zip(self.chains, packed.offsets, strict=True):
            places.update(dict.fromkeys(chain.members, (1, offset)))
        calls, entries = self.schedule.calls, self.schedule.entries
        needs = [*self.items, *packed.scratch.values()]
        live = live_bytes(needs, len(calls))
        fullest = live.index(max(live))
        alive = self._alive(fullest)
        return Plan(
            self.program.target,
            tuple(self._steps(packed, places)),
            dict(entries),
            (Arena(WEIGHTS, weights), Arena(WORK, packed.nbytes)),
            {root: places[root] for root in sorted(at_home(self.program)) if root in places},
            self._breakdown(alive, packed.scratch.get(fullest), weights + packed.nbytes),
            live=tuple(live),
            op_bound=op_bound(self.program, calls),
            est_us=sum(c.variants[v].est_us for c, v in zip(calls, packed.variants, strict=True)),
            owner=self._owner(alive, fullest),
        )

    def _chains(self, chain: Mapping[int, int]) -> list[_Chain]:
        members: dict[int, list[int]] = {}
        for root in sorted(chain, key=lambda root: self.lives[root].first):
            members.setdefault(chain[root], []).append(root)
        return [_Chain(tuple(roots), self._item(roots)) for roots in members.values()]

    def _item(self, roots: list[int]) -> Item:
        if len(roots) == 1:
            life, alone = self.lives[roots[0]], self.program.buffers[roots[0]]
            hangs = life.kept and not life.given
            return Item(life.first, life.last, alone.nbytes, alone.align, hangs)
        buffers = [self.program.buffers[root] for root in roots]
        return Item(
            min(self.lives[root].first for root in roots),
            max(self.lives[root].last for root in roots),
            max(buffer.nbytes for buffer in buffers),
            max(buffer.align for buffer in buffers),
            hangs=self.lives[roots[-1]].kept and not self.lives[roots[0]].given,
        )

    def _place_weights(self, places: dict[int, tuple[int, int]]) -> int:
        """Put what persists side by side; returns the bytes that takes."""
        end = 0
        for buffer in self.program.buffers:
            if buffer.kind in PERSISTENT and buffer.view_of is None:
                offset = -(-end // buffer.align) * buffer.align
                places[buffer.id] = (0, offset)
                end = offset + buffer.nbytes
        return end

    def _steps(self, packed: Packed, places: Mapping[int, tuple[int, int]]) -> Iterator[Step]:
        known: dict[tuple[int, int], Place] = {}  # operands are often the same
        variants, spaces, names = packed.variants, packed.spaces, self.names
        for step, call in enumerate(self.schedule.calls):
            operands = []
            for operand in (*call.reads, *call.writes):
                key = operand.buffer, operand.version
                place = known.get(key)
                if place is None:
                    place = known[key] = self._place(operand, places)
                operands.append(place)
            number, instance = (call.id, 0) if names is None else names.calls[call.id]
            space = spaces.get(step)
            workspace = None if space is None else (1, space)
            yield Step(
                StepKind.RUN,
                number,
                tuple(operands),
                instance,
                variants[step],
                workspace,
                call.samples,
            )

    def _place(self, operand: Operand, places: Mapping[int, tuple[int, int]]) -> Place:
        buffer, names = self.program.buffers[operand.buffer], self.names
        root, start = buffer.view_of or (buffer.id, 0)
        arena, offset = places[root]
        name = buffer.id if names is None else names.buffers[buffer.id]
        return Place(name, operand.version, arena, offset + start)

    def _alive(self, step: int) -> list[_Alive]:
        """(name, kind, bytes) of every chain alive in a step, by its newest member."""
        found = []
        for chain in self.chains:
            if chain.item.first <= step <= chain.item.last:
                begun = [root for root in chain.members if self.lives[root].first <= step]
                newest = self.program.buffers[begun[-1]]
                found.append((newest.name, newest.kind, chain.item.nbytes))
        return sorted(found, key=lambda each: -each[2])

    def _breakdown(self, alive: list[_Alive], scratch: Item | None, total: int) -> dict[str, int]:
        parts = {kind.value: 0 for kind in BufferKind} | {"workspace": 0}
        for buffer in self.program.buffers:
            if buffer.kind in PERSISTENT and buffer.view_of is None:
                parts[buffer.kind.value] += buffer.nbytes
        for _, kind, nbytes in alive:
            parts[kind.value] += nbytes
        if scratch is not None:
            parts["workspace"] = scratch.nbytes
        return parts | {"unused": total - sum(parts.values())}

    def _owner(self, alive: list[_Alive], fullest: int) -> Owner | None:
        if fullest >= len(self.schedule.calls):
            return None
        call = self.schedule.calls[fullest]
        buffers = tuple((name, kind.value, nbytes) for name, kind, nbytes in alive)
        return Owner(fullest, call.name, call.part, buffers)


def _carried_bytes(program: Program, lives: Mapping[int, Lifetime]) -> int:
    """What no plan can be under, at a glance: what persists, and the most that is there before a
    step and needed in it or later, which nothing can share bytes with."""
    change = [0] * (2 + max((life.last for life in lives.values()), default=0))
    for root, life in lives.items():
        if life.first < life.last:
            nbytes = program.buffers[root].nbytes
            change[life.first + 1] += nbytes
            change[life.last + 1] -= nbytes
    persists = (b.nbytes for b in program.buffers if b.kind in PERSISTENT and b.view_of is None)
    return sum(persists) + max(accumulate(change), default=0)


def at_home(program: Program) -> set[int]:
    """Root buffers whose place somebody else must know: weights, what is given, what is kept."""
    given = {root for root, _ in given_roots(program)}
    kept = {program.root(buffer).id for buffer in program.kept | program.lasting}
    return given | kept | {b.id for b in program.buffers if b.kind in PERSISTENT}


__all__ = ["Names", "at_home", "plan_fitting", "plan_program"]
