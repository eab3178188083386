"""Plans made wrong on purpose, each kind in its way; None where a plan has nothing to spoil."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from graphc.plan import Place, Plan, Step, plan_program
from graphc.program import PERSISTENT, Program

Mutant = Callable[[Program, Plan, random.Random], "Plan | None"]


def with_step(plan: Plan, index: int, step: Step) -> Plan:
    return replace(plan, steps=(*plan.steps[:index], step, *plan.steps[index + 1 :]))


def moved(program: Program, plan: Plan, root: int, offset: int) -> Plan:
    """The plan with one root buffer of the work arena elsewhere."""

    def move(place: Place) -> Place:
        base, start = program.buffers[place.buffer].view_of or (place.buffer, 0)
        return replace(place, offset=offset + start) if base == root else place

    steps = tuple(replace(s, operands=tuple(map(move, s.operands))) for s in plan.steps)
    homes = {r: (h[0], offset) if r == root else h for r, h in plan.homes.items()}
    return replace(plan, steps=steps, homes=homes)


def work_roots(program: Program, plan: Plan) -> dict[int, int]:
    """Offsets of the root buffers that have bytes in the work arena."""
    found = {root: home[1] for root, home in plan.homes.items() if home[0] == 1}
    for step in plan.steps:
        for place in step.operands:
            root, start = program.buffers[place.buffer].view_of or (place.buffer, 0)
            if place.arena == 1:
                found[root] = place.offset - start
    return {root: at for root, at in found.items() if program.buffers[root].nbytes}


def overlap(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A buffer lies where another does."""
    roots = work_roots(program, plan)
    if len(roots) < 2:
        return None
    a, b = rng.sample(sorted(roots), 2)
    if roots[a] == roots[b] or roots[b] + program.buffers[a].nbytes > plan.work_bytes:
        return None
    return moved(program, plan, a, roots[b])


def swapped(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """Two steps have changed places."""
    if len(plan.steps) < 2:
        return None
    i = rng.randrange(len(plan.steps) - 1)
    j = min(len(plan.steps) - 1, i + rng.choice((1, 1, 2, 5)))
    steps = list(plan.steps)
    steps[i], steps[j] = steps[j], steps[i]
    return replace(plan, steps=tuple(steps))


def wrong_version(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A step says that it wants another version."""
    index = rng.randrange(len(plan.steps))
    step = plan.steps[index]
    if not step.operands:
        return None
    number = rng.randrange(len(step.operands))
    places = list(step.operands)
    places[number] = replace(places[number], version=places[number].version + 1)
    return with_step(plan, index, replace(step, operands=tuple(places)))


def short_arena(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """The work arena lacks its last bytes."""
    if plan.work_bytes < 4:
        return None
    less = rng.choice((4, 64, plan.work_bytes // 2))
    arenas = (plan.arenas[0], replace(plan.arenas[1], nbytes=max(0, plan.work_bytes - less)))
    return replace(plan, arenas=arenas)


def early_free(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """The planner thought that nobody reads a buffer any more: its last reader is forgotten."""
    last: dict[int, int] = {}
    for index, step in enumerate(plan.steps):
        for operand in program.calls[step.call].reads:
            last[program.root(operand.buffer).id] = index
    reads = [(c.id, o) for c in program.calls for o in c.reads]
    reads = [
        (c, o)
        for c, o in reads
        if plan.steps[last[program.root(o.buffer).id]].call == c
        and program.buffers[o.buffer].kind not in PERSISTENT
    ]
    if not reads:
        return None
    index, operand = rng.choice(reads)
    call = program.calls[index]
    blind = replace(
        call,
        reads=tuple(o for o in call.reads if o != operand),
        may_overwrite=tuple(p for p in call.may_overwrite if p[1] != operand.role),
    )
    lying = replace(program, calls=tuple(blind if c.id == index else c for c in program.calls))
    wrong = plan_program(lying)
    roots = {root: (1, at) for root, at in work_roots(lying, wrong).items()} | wrong.homes
    base, start = program.buffers[operand.buffer].view_of or (operand.buffer, 0)
    if base not in roots:
        return None
    place = Place(operand.buffer, operand.version, roots[base][0], roots[base][1] + start)
    at = call.reads.index(operand)
    for number, step in enumerate(wrong.steps):
        if step.call == index:
            places = (*step.operands[:at], place, *step.operands[at:])
            return with_step(wrong, number, replace(step, operands=places))
    return None


def wrong_view(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A view begins at another element of its root."""
    found = [
        (index, number)
        for index, step in enumerate(plan.steps)
        for number, place in enumerate(step.operands)
        if program.buffers[place.buffer].view_of is not None
    ]
    if not found:
        return None
    index, number = rng.choice(found)
    places = list(plan.steps[index].operands)
    shift = rng.choice((-64, -4, 4, 64, 128))
    places[number] = replace(places[number], offset=max(0, places[number].offset + shift))
    return with_step(plan, index, replace(plan.steps[index], operands=tuple(places)))


def dropped(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A step is missing."""
    index = rng.randrange(len(plan.steps))
    steps = (*plan.steps[:index], *plan.steps[index + 1 :])
    entries = {
        name: (lo - (lo > index), hi - (hi > index)) for name, (lo, hi) in plan.entries.items()
    }
    return replace(plan, steps=steps, entries=entries)


def twice(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A step runs again right away, as a replay."""
    index = rng.randrange(len(plan.steps))
    again = replace(plan.steps[index], instance=1)
    steps = (*plan.steps[: index + 1], again, *plan.steps[index + 1 :])
    entries = {
        name: (lo + (lo > index), hi + (hi > index)) for name, (lo, hi) in plan.entries.items()
    }
    return replace(plan, steps=steps, entries=entries)


def lost_workspace(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """A workspace lies somewhere else."""
    found = [i for i, step in enumerate(plan.steps) if step.workspace is not None]
    if not found:
        return None
    index = rng.choice(found)
    arena, offset = plan.steps[index].workspace
    shifted = max(0, offset + 64 * rng.randint(-9, 9))
    return with_step(plan, index, replace(plan.steps[index], workspace=(arena, shifted)))


def lost_home(program: Program, plan: Plan, rng: random.Random) -> Plan | None:
    """What is kept, or given, is looked for in another place."""
    if not plan.homes:
        return None
    root = rng.choice(sorted(plan.homes))
    arena, offset = plan.homes[root]
    shifted = max(0, offset + 64 * rng.choice((-2, -1, 1, 2)))
    return replace(plan, homes={**plan.homes, root: (arena, shifted)})


MUTANTS: tuple[Mutant, ...] = (
    overlap,
    swapped,
    wrong_version,
    short_arena,
    early_free,
    wrong_view,
    dropped,
    twice,
    lost_workspace,
    lost_home,
)
