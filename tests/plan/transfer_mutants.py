"""Plans with transfers made wrong on purpose; None where a plan has nothing to spoil."""

from __future__ import annotations

import random
from dataclasses import replace

from plan.mutants import Mutant, with_step

from graphc.plan import Plan, Step, StepKind
from graphc.program import Program


def transfers(plan: Plan, *kinds: StepKind) -> list[int]:
    wanted = kinds or (StepKind.OUT, StepKind.IN)
    return [at for at, step in enumerate(plan.steps) if step.kind in wanted]


def without_wait(plan: Plan, index: int, wait: int) -> Plan:
    step = plan.steps[index]
    return with_step(plan, index, replace(step, waits=tuple(w for w in step.waits if w != wait)))


def all_waits(plan: Plan) -> list[tuple[int, int]]:
    """(step, event)."""
    return [(at, event) for at, step in enumerate(plan.steps) for event in step.waits]


def impatient(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A step does not wait for something."""
    found = all_waits(plan)
    return without_wait(plan, *rng.choice(found)) if found else None


def other_event(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A step waits for another event."""
    found = all_waits(plan)
    events = [s.records for s in plan.steps if s.records is not None]
    if not found or len(events) < 2:
        return None
    at, event = rng.choice(found)
    step = plan.steps[at]
    waits = tuple(rng.choice(events) if w == event else w for w in step.waits)
    return with_step(plan, at, replace(step, waits=waits))


def early_event(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """The step before records the event that another should."""
    found = [at for at, s in enumerate(plan.steps) if s.records is not None and at]
    found = [at for at in found if plan.steps[at - 1].records is None]
    if not found:
        return None
    at = rng.choice(found)
    early = replace(plan.steps[at - 1], records=plan.steps[at].records)
    return with_step(with_step(plan, at - 1, early), at, replace(plan.steps[at], records=None))


def elsewhere(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A transfer is issued earlier or later."""
    found = transfers(plan)
    if not found:
        return None
    at = rng.choice(found)
    to = min(max(0, at + rng.choice((-9, -3, -1, 1, 3, 9))), len(plan.steps) - 1)
    steps = list(plan.steps)
    steps.insert(to, steps.pop(at))
    return replace(plan, steps=tuple(steps))


def other_stream(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """Transfers are on any stream, so that their own one no longer orders them."""
    found = transfers(plan)
    if not found:
        return None
    steps = list(plan.steps)
    for at in found:
        steps[at] = replace(steps[at], stream=rng.randrange(1, 8))
    return replace(plan, steps=tuple(steps))


def _shifted(plan: Plan, rng: random.Random, end: int) -> Plan | None:
    found = transfers(plan)
    if not found:
        return None
    at = rng.choice(found)
    step: Step = plan.steps[at]
    places = list(step.operands)
    shift = 64 * rng.choice((-4, -2, -1, 1, 2, 4))
    places[end] = replace(places[end], offset=max(0, places[end].offset + shift))
    return with_step(plan, at, replace(step, operands=tuple(places)))


def wrong_source(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """Other bytes are copied."""
    return _shifted(plan, rng, 0)


def wrong_target(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """They are copied to somewhere else."""
    return _shifted(plan, rng, 1)


def lost(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A transfer is missing."""
    found = transfers(plan)
    if not found:
        return None
    at = rng.choice(found)
    entries = {n: (lo - (lo > at), hi - (hi > at)) for n, (lo, hi) in plan.entries.items()}
    return replace(plan, steps=(*plan.steps[:at], *plan.steps[at + 1 :]), entries=entries)


def other_slot(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A buffer lies on the host where another does, on both ways."""
    slots = {s.operands[0].buffer: s.operands[1].offset for s in plan.steps if s.kind is OUT}
    if len(slots) < 2:
        return None
    root, other = rng.sample(sorted(slots), 2)
    steps = list(plan.steps)
    for at in transfers(plan):
        end = 1 if steps[at].kind is OUT else 0
        places = list(steps[at].operands)
        if places[0].buffer == root:
            places[end] = replace(places[end], offset=slots[other])
            steps[at] = replace(steps[at], operands=tuple(places))
    return replace(plan, steps=tuple(steps))


OUT = StepKind.OUT
TRANSFER_MUTANTS: tuple[Mutant, ...] = (
    impatient,
    other_event,
    early_event,
    elsewhere,
    other_stream,
    wrong_source,
    wrong_target,
    lost,
    other_slot,
)
