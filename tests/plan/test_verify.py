"""The verifier against mutants: whatever goes wrong on arenas full of NaN, it has refused."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from plan.machine import Machine, same
from plan.programs import Maker, long_chain, random_program

from graphc.errors import GraphError
from graphc.plan import Arena, Place, Plan, Step, StepKind, plan_program, verify_plan
from graphc.program import PERSISTENT, BufferKind, Program

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
NEEDED = 25
"""Mutants of each kind that must have been shown wrong, or refused without being runnable."""


def goes_wrong(program: Program, plan: Plan, expected: dict[int, np.ndarray]) -> bool:
    try:
        return not same(Machine(program, plan).run(), expected)
    except (IndexError, KeyError, TypeError, ValueError):
        return True


def is_refused(program: Program, plan: Plan) -> bool:
    try:
        verify_plan(program, plan)
    except GraphError as error:
        assert error.code == "GC-V003"
        return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.__name__)
def test_every_mutant_that_goes_wrong_is_refused(mutant: Mutant) -> None:
    tally: Counter[str] = Counter()
    for seed in range(120):
        program, rng = random_program(seed), random.Random(seed)
        plan = plan_program(program)
        expected = Machine(program, plan).run()
        assert same(expected, Machine(program).run())
        for _ in range(4):
            changed = mutant(program, plan, rng)
            if changed is None or changed == plan:
                continue
            refused = is_refused(program, changed)
            wrong = goes_wrong(program, changed, expected)
            assert refused or not wrong, (seed, mutant.__name__)
            tally["wrong"] += wrong
            tally["refused"] += refused
    assert tally["refused"] >= NEEDED
    assert tally["wrong"] >= NEEDED or mutant in (wrong_version, twice)


def small() -> tuple[Program, Plan]:
    """x -> a -> b; b is kept."""
    m = Maker()
    x, a, b = m.input(2, 3, 8), m.buffer(2, 3, 8), m.buffer(2, 3, 8)
    m.call([x], [a])
    m.call([a], [b], [(0, 0)], workspace=64)
    m.kept.add(b)
    program = m.done()
    return program, plan_program(program)


REFUSED = {
    "another entry": lambda plan: replace(plan, entries={"backward": (0, 2)}),
    "steps left over": lambda plan: replace(plan, entries={"forward": (0, 1)}),
    "entry backwards": lambda plan: replace(plan, entries={"forward": (2, 0)}),
    "no home": lambda plan: replace(plan, homes={}),
    "no such call": lambda plan: with_step(plan, 0, replace(plan.steps[0], call=7)),
    "negative call": lambda plan: with_step(plan, 0, replace(plan.steps[0], call=-1)),
    "no such variant": lambda plan: with_step(plan, 0, replace(plan.steps[0], variant=3)),
    "an operand less": lambda plan: with_step(
        plan, 0, replace(plan.steps[0], operands=plan.steps[0].operands[:1])
    ),
    "no such arena": lambda plan: with_step(
        plan,
        0,
        replace(plan.steps[0], operands=tuple(replace(p, arena=9) for p in plan.steps[0].operands)),
    ),
    "on the host": lambda plan: replace(
        plan, arenas=(plan.arenas[0], replace(plan.arenas[1], is_host=True))
    ),
    "another stream": lambda plan: with_step(plan, 0, replace(plan.steps[0], stream=1)),
    "part of the batch": lambda plan: with_step(plan, 0, replace(plan.steps[0], samples=(0, 1))),
    "waits for itself": lambda plan: with_step(
        plan, 0, replace(plan.steps[0], waits=(1,), records=1)
    ),
    "waits for later": lambda plan: with_step(
        with_step(plan, 0, replace(plan.steps[0], waits=(1,))),
        1,
        replace(plan.steps[1], records=1),
    ),
    "no workspace": lambda plan: with_step(plan, 1, replace(plan.steps[1], workspace=None)),
    "a needless workspace": lambda plan: with_step(
        plan, 0, replace(plan.steps[0], workspace=(1, 0))
    ),
    "workspace beyond": lambda plan: with_step(
        plan, 1, replace(plan.steps[1], workspace=(1, 1 << 40))
    ),
    "larger than needed": lambda plan: replace(
        plan, arenas=(plan.arenas[0], replace(plan.arenas[1], nbytes=plan.work_bytes + 64))
    ),
    "replay that never ran": lambda plan: with_step(plan, 0, replace(plan.steps[0], instance=1)),
    "crooked": lambda plan: replace(
        plan, homes={k: (a, o + 4) for k, (a, o) in plan.homes.items()}
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    program, plan = small()
    verify_plan(program, plan)
    with pytest.raises(GraphError, match="GC-V003"):
        verify_plan(program, REFUSED[name](plan))


def test_the_message_names_step_and_buffer() -> None:
    m = Maker()
    x = m.input(64)
    a, b = m.buffer(64, name="first"), m.buffer(64, name="second")
    m.call([x], [a])
    m.call([x], [b])
    m.call([a, b], [m.buffer(64)])
    m.kept.add(2)
    program = m.done()
    plan = plan_program(program)
    roots = work_roots(program, plan)
    with pytest.raises(GraphError) as caught:
        verify_plan(program, moved(program, plan, b, roots[a]))
    assert "step 2, 'call2' (part): reads 'first' version 1, but 'second'" in str(caught.value)


def test_siblings_do_not_clash_but_a_slice_and_its_root_do() -> None:
    m = Maker()
    x, root = m.input(2, 2, 8), m.buffer(2, 4, 8)
    left, right = m.channels(root, 0, 2), m.channels(root, 2, 4)
    m.call([x], [left])
    m.call([left], [right])
    m.call([root], [m.buffer(2, 4, 8)])
    verify_plan(m.done(), plan_program(m.done()))
    m.call([root], [right])
    with pytest.raises(GraphError, match="is written over"):
        verify_plan(m.done(), plan_program(m.done()))


@pytest.mark.parametrize(
    ("reads", "told"),
    [((2,), "nobody wrote"), ((0, 1), "was another")],
)
def test_a_program_that_contradicts_itself_is_refused(reads: tuple[int, ...], told: str) -> None:
    m = Maker()
    m.input(8)
    m.buffer(8)
    m.buffer(8)
    m.call([0], [1])
    m.call([0], [1])
    m.written[1] = 1
    m.call(list(reads), [m.buffer(8)])
    program = m.done()
    with pytest.raises(GraphError, match=told):
        verify_plan(program, plan_program(program))


def transferred(back: tuple[int, int] = (1, 0), version: int = 1) -> tuple[Program, Plan]:
    """a goes to the host after it is written and comes back before it is read again."""
    m = Maker()
    x, a = m.input(16), m.buffer(16)
    b, c = m.buffer(16), m.buffer(16)
    m.call([x], [a])
    m.call([x], [b])
    m.call([b], [c])
    m.call([a, c], [m.buffer(16)])
    program = m.done()
    at = {0: 64, 1: 0, 2: 0, 3: 128, 4: 192}

    def run(call: int) -> Step:
        told = program.calls[call]
        operands = (*told.reads, *told.writes)
        places = (Place(o.buffer, o.version, 1, at[o.buffer]) for o in operands)
        return Step(StepKind.RUN, call, tuple(places))

    device, host = Place(1, version, 1, 0), Place(1, version, 2, 0)
    steps = (
        run(0),
        Step(StepKind.OUT, -1, (device, host), records=1),
        run(1),
        run(2),
        Step(StepKind.IN, -1, (host, Place(1, version, *back)), waits=(1,)),
        run(3),
    )
    arenas = (Arena("weights", 0), Arena("work", 256), Arena("host", 64, is_host=True))
    return program, Plan(
        "test", steps, {"forward": (0, 6)}, arenas, {0: (1, 64)}, {}, (256,), 0, 0.0
    )


def test_transfers_bring_a_buffer_back() -> None:
    program, plan = transferred()
    verify_plan(program, plan)
    assert (plan.peak_bytes, plan.host_bytes) == (256, 64)
    without = replace(plan, steps=(*plan.steps[:4], plan.steps[5]), entries={"forward": (0, 5)})
    with pytest.raises(GraphError, match="reads 'b1' version 1, but 'b2'"):
        verify_plan(program, without)
    for wrong in (transferred(back=(1, 64)), transferred(version=2), transferred(back=(2, 0))):
        with pytest.raises(GraphError, match="GC-V003"):
            verify_plan(*wrong)


def test_what_persists_must_be_whole_at_the_end() -> None:
    m = Maker()
    w, x = m.buffer(16, kind=BufferKind.PARAM), m.input(16)
    a = m.buffer(16)
    m.call([w, x], [a])
    program = m.done()
    plan = plan_program(program)
    where = plan.homes[w]
    places = tuple(
        replace(p, arena=where[0], offset=where[1]) if p.buffer == a else p
        for p in plan.steps[0].operands
    )
    with pytest.raises(GraphError, match="GC-V003"):
        verify_plan(program, with_step(plan, 0, replace(plan.steps[0], operands=places)))


def test_ten_thousand_steps() -> None:
    program = long_chain(5_000)
    plan = plan_program(program)
    assert len(plan.steps) == 10_000
    verify_plan(program, plan)
