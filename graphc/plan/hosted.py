"""plan_hosted: a plan that drops some activations, and sends others to the host and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from graphc.plan.data import HOST_POOL, Arena, Owner, Place, Plan, Step, StepKind
from graphc.plan.facts import Facts
from graphc.plan.packing import Item, pack_items
from graphc.plan.planner import at_home, plan_program
from graphc.plan.replays import Choice, Script, Unrolled, unrolled
from graphc.plan.sends import Sent, sending
from graphc.plan.waits import times, with_waits
from graphc.program import Operand, Program
from graphc.records import record

HOST_ARENA = 2


def plan_hosted(facts: Facts, choice: Choice | Script, roots: Collection[int], most: int) -> Plan:
    """The plan of a Program that replays what `choice` drops and sends `roots`; see `unrolled` and
    `sending`.

    Results are the same to the bit. `est_us` counts what calls wait for. Raises what `unrolled` and
    `plan_program` raise.
    """
    made = unrolled(facts, choice)
    return _Finisher(facts.program, made, sending(made.program, roots, most)).run()


@record(frozen=True, slots=True)
class _Moved:
    """A step's number in the plan of the Program in which transfers are calls, and the step."""

    before: int
    step: Step


class _Finisher:
    """Puts transfers out where they begin, gives what is sent a place on the host, and finds what
    waits for what."""

    def __init__(self, program: Program, made: Unrolled, sent: Sent) -> None:
        self.program, self.made, self.sent = program, made, sent
        self.plan = plan_program(sent.program)
        self.versions: dict[int, int] = {}  # root -> how often its bytes have been written so far

    def run(self) -> Plan:
        plan, program = self.plan, self.program
        moved = [each for entry in plan.entries for each in self._in_order(entry)]
        slots, size = self._slots([each.step for each in moved])
        arenas = (*plan.arenas, Arena(HOST_POOL, size, is_host=True))
        ranges = list(plan.entries.values())
        told = [self._told(each.step, slots) for each in moved]
        steps = with_waits(program, told, ranges, arenas)
        at = {each.before: number for number, each in enumerate(moved)}
        asked = at_home(program)  # what a replay must find again is the plan's own affair
        homes = {root: home for root, home in plan.homes.items() if root in asked}
        homes |= {root: (HOST_ARENA, slots[root]) for root in self.sent.homes}
        owner = plan.owner
        if owner is not None:
            owner = Owner(at[owner.step], owner.name, owner.part, owner.buffers)
        return Plan(
            plan.target,
            steps,
            plan.entries,
            arenas,
            dict(sorted(homes.items())),
            plan.breakdown,
            (*(plan.live[each.before] for each in moved), *plan.live[len(moved) :]),
            plan.op_bound,
            times(steps, [self._us(step) for step in steps], ranges),
            owner,
        )

    def _in_order(self, entry: str) -> list[_Moved]:
        """The steps of an entry, a transfer out right after the last call that uses its bytes."""
        first, past = self.plan.entries[entry]
        steps = [_Moved(at, self.plan.steps[at]) for at in range(first, past)]
        after: dict[int, list[_Moved]] = {}
        calls: dict[int, int] = {}  # position among the calls -> among the steps
        for at, each in enumerate(steps):
            kind, stay = self.sent.transfers.get(each.step.call, (StepKind.RUN, None))
            if stay is None:
                calls[len(calls)] = at
            elif kind is StepKind.OUT:
                after.setdefault(stay.last, []).append(each)
        leaves = {calls[position]: outs for position, outs in after.items()}
        found: list[_Moved] = []
        for at, each in enumerate(steps):
            kind, _ = self.sent.transfers.get(each.step.call, (StepKind.RUN, None))
            if kind is not StepKind.OUT:
                found.append(each)
            found += leaves.get(at, ())
        return found

    def _slots(self, steps: Sequence[Step]) -> tuple[dict[int, int], int]:
        """Where on the host each root is, and the bytes that takes."""
        span: dict[int, tuple[int, int]] = {}
        for at, step in enumerate(steps):
            if step.call in self.sent.transfers:
                _, stay = self.sent.transfers[step.call]
                span[stay.root] = span.get(stay.root, (at, at))[0], at
        span |= dict.fromkeys(self.sent.homes, (0, max(0, len(steps) - 1)))
        buffers = self.program.buffers
        roots = sorted(span)
        items = [Item(*span[r], buffers[r].nbytes, buffers[r].align) for r in roots]
        size, offsets = pack_items(items)
        return dict(zip(roots, offsets, strict=True)), size

    def _told(self, step: Step, slots: Mapping[int, int]) -> Step:
        """A step in the words of the Program that has neither replays nor transfers."""
        places = tuple(
            Place(self.made.buffers[self.sent.buffers[p.buffer]], p.version, p.arena, p.offset)
            for p in step.operands
        )
        if step.call not in self.sent.transfers:
            call, instance = self.made.calls[step.call]
            if instance == 0:
                for root in (self.program.root(o.buffer).id for o in self._writes(call)):
                    self.versions[root] = self.versions.get(root, 0) + 1
            return Step(step.kind, call, places, instance, step.variant, step.workspace)
        kind, stay = self.sent.transfers[step.call]
        (place,), root = places, self.made.buffers[stay.root]
        version = self.versions.get(root, 0)
        here = Place(root, version, place.arena, place.offset)
        there = Place(root, version, HOST_ARENA, slots[stay.root])
        return Step(kind, -1, (here, there) if kind is StepKind.OUT else (there, here))

    def _writes(self, call: int) -> Sequence[Operand]:
        return self.program.calls[call].writes

    def _us(self, step: Step) -> float:
        if step.kind is StepKind.RUN:
            return self.program.calls[step.call].variants[step.variant].est_us
        return self.program.link.microseconds(self.program.buffers[step.operands[0].buffer].nbytes)


__all__ = ["plan_hosted"]
