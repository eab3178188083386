"""The verifier against mutants: whatever goes wrong on arenas full of NaN, it has refused."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from plan.machine import Machine, same
from plan.mutants import MUTANTS, Mutant, moved, twice, with_step, work_roots, wrong_version
from plan.programs import Maker, long_chain, random_program

from graphc.errors import GraphError
from graphc.plan import Arena, Place, Plan, Step, StepKind, plan_program, verify_plan
from graphc.program import BufferKind, Program

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
    "a needless home": lambda plan: replace(plan, homes={**plan.homes, 1: (1, 0)}),
    "a home of nothing": lambda plan: replace(plan, homes={**plan.homes, 99: (1, 0)}),
    "another target": lambda plan: replace(plan, target="cuda"),
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
    "far apart": lambda plan: replace(
        with_step(plan, 1, replace(plan.steps[1], workspace=(1, 1 << 40))),
        arenas=(plan.arenas[0], replace(plan.arenas[1], nbytes=(1 << 40) + 64)),
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
