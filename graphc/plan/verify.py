"""verify_plan: run a plan in the shadow, where bytes hold the names of what was written to them.

Shares nothing with the planner but the data. What each call must see follows from the Program
alone; then the plan's steps run on shadows of its arenas, and every read must find just that. They
run in the plan's order; where there are several streams, accesses to the same bytes must be ordered
whatever each stream's speed, so that all orders give the same. Linear in the steps, times the
buffers that overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

from graphc.ir.op import Effect
from graphc.pauses import uncollected
from graphc.plan.atoms import Atoms, alike
from graphc.plan.data import Plan, Step, StepKind
from graphc.plan.order import Order, Touch, has_streams
from graphc.plan.prescription import GIVEN, Prescription, Tags, given
from graphc.plan.shadow import Memory, Placed, name_of
from graphc.program import PERSISTENT, Call, Operand, Program

WORKSPACE_ALIGN = 64
MOST_STREAMS = 8
ORDERED = frozenset({Effect.STATE, Effect.CARRY, Effect.SOURCE, Effect.SINK})


@uncollected
def verify_plan(program: Program, plan: Plan) -> None:
    """Refuse, with GC-V003, a plan that might compute anything else than its Program.

    Every call runs once in its entry, pure ones perhaps again; every read sees exactly the version
    the Program prescribes, also when the last entry runs again, if it is to; operands lie inside
    their arena, aligned, and on nothing that the same call needs; what persists, and what is kept,
    is whole when its entry ends, and nothing else has a home; an arena ends where its last bytes
    are used; transfers and what they move wait for each other where they must. The message names
    step and buffer."""
    _Verifier(program, plan).run()


class _Verifier:
    def __init__(self, program: Program, plan: Plan) -> None:
        self.program, self.plan = program, plan
        self.atoms = Atoms(program)
        self.told = Prescription(program, self.atoms)
        self.memory = Memory(program, self.atoms, plan.arenas)
        self.refuse = self.memory.refuse
        self.entry_of = {c: e for e, calls in program.entries.items() for c in calls}
        self.ordered = {call.id for call in program.calls if call.effects & ORDERED}
        self.ran: set[tuple[int, int]] = set()
        self.placed: dict[int, Placed] = {}  # by id of a Place, which plans have in many steps
        self.events: set[int] = set()
        self.hosts = {number for number, arena in enumerate(plan.arenas) if arena.is_host}
        self.order = Order(plan.arenas, self.refuse) if has_streams(plan) else None

    def run(self) -> None:
        if self.plan.target != self.program.target:
            self.refuse(f"it is for target {self.plan.target!r}, not {self.program.target!r}")
        self._check_entries()
        self._check_surplus()
        for root in self._persistent():
            self._fill(root)
        for entry in self.told.entries:
            self._enter(entry)
        if self.program.lasting:
            self.ran = {(c, 0) for c, e in self.entry_of.items() if e != self.told.entries[-1]}
            self.events.clear()
            self._enter(self.told.entries[-1])
        self.memory.where = "the end"
        for root in self._persistent():
            self._check_home(root, self.told.final[root])
        for arena, shadow in zip(self.plan.arenas, self.memory.shadows, strict=True):
            if shadow.touched != arena.nbytes:
                told = f"has {arena.nbytes} bytes, but {shadow.touched} are touched"
                self.refuse(f"arena {arena.name!r} {told}")

    def _enter(self, entry: str) -> None:
        self.memory.where = f"the start of {entry!r}"
        for root in given(self.program, entry):
            self._fill(root)
        if self.order is not None:
            self.order.begin()
        for index in range(*self.plan.entries[entry]):
            self._step(index, entry)
        self.memory.step, self.memory.where = None, f"the end of {entry!r}"
        self._check_calls(entry)
        for buffer, tags in self.told.kept[entry]:
            self._check_home(buffer, tags)

    def _check_surplus(self) -> None:
        """Homes that nobody asks for, and arenas beyond all need."""
        program = self.program
        given = {*program.inputs.values(), *program.seeds.values()}
        asked = {program.root(buffer).id for buffer in program.kept | program.lasting | given}
        if needless := self.plan.homes.keys() - asked - {*self._persistent()}:
            self.refuse(f"buffer {min(needless)} has a home, which it does not need")
        most = sum(b.nbytes + b.align for b in program.buffers if b.view_of is None)
        spaces = ([v.workspace_bytes for v in call.variants] for call in program.calls)
        most += sum(max(each, default=0) + WORKSPACE_ALIGN for each in spaces)
        for arena in self.plan.arenas:
            if arena.nbytes > most:
                self.refuse(f"arena {arena.name!r} has {arena.nbytes} bytes; {most} are enough")

    def _persistent(self) -> Iterator[int]:
        for buffer in self.program.buffers:
            if buffer.kind in PERSISTENT and buffer.view_of is None:
                yield buffer.id

    def _check_entries(self) -> None:
        told, end = self.plan.entries, 0
        if set(told) != set(self.told.entries):
            self.refuse(f"it has entries {sorted(told)}, not {sorted(self.told.entries)}")
        for entry in self.told.entries:
            first, past = told[entry]
            if first != end or past < first:
                self.refuse(f"entry {entry!r} has steps {first} to {past}, after {end}")
            end = past
        if end != len(self.plan.steps):
            self.refuse(f"it has {len(self.plan.steps)} steps, but its entries end at {end}")

    def _check_calls(self, entry: str) -> None:
        """Has every call of the entry run, those with effects in the Program's order?"""
        steps = self.plan.steps[slice(*self.plan.entries[entry])]
        ran = [s.call for s in steps if s.kind is StepKind.RUN and s.instance == 0]
        for call in self.program.entries[entry]:
            if (call, 0) not in self.ran:
                self.refuse(f"{name_of(self.program.calls[call])} did not run")
        made, told = (
            [call for call in calls if call in self.ordered]
            for calls in (ran, self.program.entries[entry])
        )
        if made != told:
            self.refuse("calls with effects ran in another order than the Program's")

    def _home(self, root: int) -> tuple[int, int]:
        buffer = self.program.buffers[root]
        if root not in self.plan.homes:
            self.refuse(f"{buffer.name!r} has no home")
        arena, offset = self.plan.homes[root]
        on_host = arena in self.hosts
        if on_host and buffer.kind not in PERSISTENT:
            self.refuse(f"{buffer.name!r}, which the caller uses, has a home on the host")
        return arena, self.memory.base(root, arena, offset, on_host=on_host)

    def _fill(self, root: int) -> None:
        """What is there before an entry, or comes from outside."""
        arena, start = self._home(root)
        self.memory.fill(root, arena, start, (GIVEN,) * len(self.atoms.of[root]))

    def _check_home(self, buffer_id: int, tags: Tags) -> None:
        buffer = self.program.buffers[buffer_id]
        arena, start = self._home(self.program.root(buffer_id).id)
        found = self.memory.tags(buffer_id, arena, start)
        if buffer.nbytes and found != tags:
            holders = self.memory.holders(buffer_id, arena, start)
            self.refuse(
                f"{buffer.name!r}, which is to be kept, was overwritten: {holders} is there"
            )

    def _step(self, index: int, entry: str) -> None:
        step = self.plan.steps[index]
        self.memory.step = index, None
        is_run = step.kind is StepKind.RUN
        if not 0 <= step.stream < (1 if is_run else MOST_STREAMS):
            self.refuse(f"stream {step.stream}: calls run on stream 0, at most 7 others transfer")
        if step.samples is not None and not is_run:
            self.refuse(f"samples {step.samples}: transfers move whole buffers")
        for event in step.waits:
            if event not in self.events:
                self.refuse(f"waits for event {event}, which no step before it records")
        touched = self._run(index, step, entry) if is_run else self.memory.transfer(step, self.told)
        if self.order is not None:
            self.order.step(step, touched)
        if step.records is not None:
            if step.records in self.events:
                self.refuse(f"event {step.records} is recorded twice")
            self.events.add(step.records)

    def _run(self, index: int, step: Step, entry: str) -> list[Touch]:
        if not 0 <= step.call < len(self.program.calls):
            self.refuse(f"call {step.call} of {len(self.program.calls)}")
        call = self.program.calls[step.call]
        self.memory.step = index, call
        self._check_instance(step, call, entry)
        placed = self._place(step, call)
        memory = self.memory
        for at, tags in enumerate(self.told.reads[call.id]):
            each = placed[at]
            if memory.tags(each.buffer.id, each.arena, each.base) != tags and each.buffer.nbytes:
                self._refuse_read(call.reads[at], each)
        self._check_overlaps(call, placed)
        if step.workspace is not None or call.variants[step.variant].workspace_bytes:
            self._use_workspace(step, call, placed)
        for at, tag in enumerate(self.told.writes[call.id], start=len(call.reads)):
            each = placed[at]
            memory.write(each.buffer.id, each.arena, each.base, tag)
        return [] if self.order is None else list(self._touched(step, call, placed))

    def _refuse_read(self, operand: Operand, at: Placed) -> NoReturn:
        holders = self.memory.holders(operand.buffer, at.arena, at.base)
        self.refuse(
            f"reads {at.buffer.name!r} version {operand.version}, but {holders} "
            f"is at {at.start}, or another version"
        )

    def _touched(self, step: Step, call: Call, placed: Sequence[Placed]) -> Iterator[Touch]:
        """A view counts as its root, which is what transfers move."""
        for number, each in enumerate(placed):
            end = each.base + self.program.root(each.buffer.id).nbytes
            yield each.arena, each.base, end, number >= len(call.reads)
        if step.workspace is not None:
            arena, start = step.workspace
            yield arena, start, start + call.variants[step.variant].workspace_bytes, True

    def _check_instance(self, step: Step, call: Call, entry: str) -> None:
        run = call.id, step.instance
        if run in self.ran:
            self.refuse(f"instance {step.instance} runs twice")
        if step.instance == 0 and self.entry_of.get(call.id) != entry:
            self.refuse(f"belongs to entry {self.entry_of.get(call.id)!r}, but runs in {entry!r}")
        if step.instance and ((call.id, 0) not in self.ran or call.id in self.ordered):
            self.refuse("is replayed, but has effects or never ran")
        if step.samples != call.samples:
            self.refuse(f"runs on samples {step.samples}, not {call.samples}")
        if not 0 <= step.variant < len(call.variants):
            self.refuse(f"variant {step.variant} of {len(call.variants)}")
        self.ran.add(run)

    def _place(self, step: Step, call: Call) -> list[Placed]:
        operands = (*call.reads, *call.writes)
        if len(step.operands) != len(operands):
            self.refuse(f"has {len(step.operands)} operands, not {len(operands)}")
        placed, known = [], self.placed
        for operand, place in zip(operands, step.operands, strict=True):
            if place.buffer != operand.buffer or place.version != operand.version:
                told = f"buffer {place.buffer} version {place.version}"
                name = self.program.buffers[operand.buffer].name
                prescribed = f"{name!r} ({operand.buffer}) version {operand.version}"
                self.refuse(f"has {told} as {operand.role}, not {prescribed}")
            at = known.get(id(place))
            if at is None:
                buffer, arena, start = self.program.buffers[place.buffer], place.arena, place.offset
                base = self.memory.base(place.buffer, arena, start)
                at = known[id(place)] = Placed(buffer, arena, base, start, start + buffer.nbytes)
            placed.append(at)
        return placed

    def _check_overlaps(self, call: Call, placed: Sequence[Placed]) -> None:
        """Does a call write on what it reads, or on what else it writes?"""
        reads = len(call.reads)
        for number, operand in enumerate(call.writes, start=reads):
            made = placed[number]
            start, end = made.start, made.end
            for at in range(number):
                other = placed[at]
                if end <= other.start or other.end <= start or not self._overlap(made, other):
                    continue
                role = call.reads[at].role if at < reads else call.writes[at - reads].role
                may = (
                    at < reads
                    and (operand.role, role) in call.may_overwrite
                    and (made.start == other.start and alike(made.buffer, other.buffer))
                )
                if not may:
                    self.refuse(
                        f"{made.buffer.name!r} is written over {other.buffer.name!r}, its {role}"
                    )

    def _overlap(self, a: Placed, b: Placed) -> bool:
        """Do two operands have bytes in common, whose ranges would overlap in one arena?"""
        if a.arena != b.arena:
            return False
        one_root = self.program.root(a.buffer.id) is self.program.root(b.buffer.id)
        if one_root and a.base == b.base:
            return not set(self.atoms.of[a.buffer.id]).isdisjoint(self.atoms.of[b.buffer.id])
        return True

    def _use_workspace(self, step: Step, call: Call, placed: Sequence[Placed]) -> None:
        nbytes = call.variants[step.variant].workspace_bytes
        if (nbytes > 0) != (step.workspace is not None):
            self.refuse(f"needs {nbytes} bytes of workspace, and has {step.workspace}")
        if step.workspace is None:
            return
        arena, start = step.workspace
        self.memory.check_arena(arena, "the workspace")
        end = start + nbytes
        if end > self.plan.arenas[arena].nbytes or start % WORKSPACE_ALIGN:
            self.refuse(f"its workspace, bytes {start} to {end}, is outside its arena or crooked")
        for each in placed:
            is_there = each.arena == arena and each.start < each.end
            if is_there and each.start < end and start < each.end:
                self.refuse(f"its workspace lies on {each.buffer.name!r}")
        self.memory.shadows[arena].clear(start, end)


__all__ = ["verify_plan"]
