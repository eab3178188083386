"""Scripts of replays: trials in C++ tell what plans take; any script computes the same bits."""

from __future__ import annotations

import os
import random
from itertools import pairwise

import numpy as np
import pytest
from plan.machine import Machine, same
from plan.programs import Maker, long_chain, random_program
from plan.test_replays import chain, replays

from graphc import _core
from graphc.errors import GraphError
from graphc.plan import Plan, plan_program, verify_plan
from graphc.plan.facts import Facts
from graphc.plan.front import Front
from graphc.plan.recompute import plan_replayed
from graphc.plan.replays import Script, StaleError, unrolled
from graphc.plan.segments import Segments
from graphc.plan.tables import Tables, Trial
from graphc.program import BufferKind, Program

FRONTS = int(os.environ.get("GRAPHC_FUZZ_PLANS", "300")) // 10


def tables_of(program: Program) -> Tables:
    facts = Facts(program)
    return Tables(facts, Segments(facts).large)


def by_chance(tables: Tables, rng: random.Random) -> Trial:
    """Any calls that are in time, together with those that fill the same buffers; of the backward,
    too, half of the time."""
    facts, pairs = tables.facts, set[tuple[int, int]]()
    deadlines = tables._deadlines()
    for root in sorted(facts.droppable & set(tables.number)):
        calls = [tables.position[index] for index in facts.writers[root]]
        for before in range(tables.later, len(tables.calls)):
            if rng.random() < 0.2 and all(before <= deadlines[call] for call in calls):
                pairs.update((before, call) for call in calls)
    again = [at for at in range(tables.later, len(tables.calls)) if deadlines[at] >= 0]
    for call in again if rng.random() < 0.5 else ():
        for before in range(call + 1, min(deadlines[call] + 1, len(tables.calls))):
            if rng.random() < 0.1:
                pairs.add((before, call))
    rows = np.array(sorted(pairs), np.int32).reshape(-1, 2)
    return Trial(*tables.core.trial(rows), rows)


def live(plan: Plan) -> int:
    return max(plan.live[: len(plan.steps)], default=0)


@pytest.mark.parametrize("seed", range(30))
def test_any_script_computes_the_same_in_what_its_trial_tells(seed: int) -> None:
    program, rng = random_program(seed, 20), random.Random(seed)
    tables = tables_of(program)
    expected, plain = Machine(program).run(), plan_program(program)
    for _ in range(3):
        trial = by_chance(tables, rng)
        plan = plan_replayed(tables.facts, tables.script(trial))
        verify_plan(program, plan)
        assert live(plan) == trial.peak
        assert plan.est_us == pytest.approx(plain.est_us + trial.us)
        assert same(Machine(program, plan).run(), expected)


@pytest.mark.parametrize("part", range(10))
def test_fronts_get_slower_as_they_shrink(part: int) -> None:
    for seed in range(FRONTS * part, FRONTS * part + FRONTS):
        program = random_program(seed, 14)
        front = Front(Facts(program), "ours")
        trials = front.trials
        assert trials[0].us == 0
        assert trials[0].peak <= plan_program(program).live_bound
        assert all(a.us < b.us and a.peak > b.peak for a, b in pairwise(trials))
        plan = plan_replayed(front.facts, front.script(trials[-1]))
        verify_plan(program, plan)
        assert live(plan) == trials[-1].peak


def test_replays_from_what_a_replay_made() -> None:
    """The recursive schedule of a chain: c from b, b from a kept, and a once more at the end."""
    program = chain()
    facts = Facts(program)
    nested = Script({3: (0, 1, 2), 4: (1,), 5: (0,)})
    plan = plan_replayed(facts, nested)
    verify_plan(program, plan)
    assert replays(plan) == [0, 1, 2, 1, 0]
    assert same(Machine(program, plan).run(), Machine(program).run())


def test_replays_within_the_forward() -> None:
    program = chain()
    script = Script({2: (0,), 3: (0, 1)})
    plan = plan_replayed(Facts(program), script)
    verify_plan(program, plan)
    assert replays(plan) == [0, 0, 1]
    assert same(Machine(program, plan).run(), Machine(program).run())


def test_small_programs_replay_gradients_where_that_pays() -> None:
    """g1 from g0 is dear to keep while g2 is made, and cheap to make again."""
    m = Maker()
    x = m.input(8)
    a = m.buffer(8)
    m.call([x], [a])
    m.entry = "backward"
    m.entries["backward"] = []
    first, large = m.seed(8), m.buffer(64)
    m.call([first, a], [large])
    small = m.buffer(8)
    m.call([large], [small])
    other, sums = m.buffer(64), m.buffer(8)
    m.call([small], [other])
    m.call([other], [sums])
    last = m.buffer(8)
    m.call([large, sums], [last])
    m.kept.add(last)
    program = m.done()
    front = Front(Facts(program), "ours")
    plan = plan_replayed(front.facts, front.script(front.trials[-1]))
    verify_plan(program, plan)
    assert replays(plan) == [1]
    assert plan.work_bytes < plan_program(program).work_bytes
    assert same(Machine(program, plan).run(), Machine(program).run())


def test_in_place_parts_of_a_join_are_replayed_with_it() -> None:
    m = Maker()
    x, root = m.input(2, 16), m.buffer(2, 32)
    halves = m.channels(root, 0, 16), m.channels(root, 16, 32)
    for half in halves:
        m.call([x], [half])
        m.call([half], [half], [(0, 0)])
    last = m.buffer(2, 32)
    m.call([root], [last])
    m.entry = "backward"
    m.entries["backward"] = []
    gradient = m.seed(2, 32)
    m.call([gradient, last], [m.buffer(2, 32)])
    m.call([gradient, root], [m.buffer(2, 32)])
    m.kept.add(len(m.buffers) - 1)
    program = m.done()
    tables = tables_of(program)
    assert tables.facts.droppable == {root, last}
    trial = tables.tried({root: 0})
    assert trial is not None
    plan = plan_replayed(tables.facts, tables.script(trial))
    verify_plan(program, plan)
    assert replays(plan) == [0, 1, 2, 3]
    assert same(Machine(program, plan).run(), Machine(program).run())


def test_what_no_script_may_replay() -> None:
    m = Maker()
    x, w = m.input(8), m.buffer(8, kind=BufferKind.PARAM)
    a, b = m.buffer(8), m.buffer(8)
    m.call([x, w], [a])
    m.call([x], [b])
    m.entry = "backward"
    m.entries["backward"] = []
    m.call([a, w], [w], [(0, 1)])
    m.call([a, b], [m.buffer(8)])
    m.kept.add(b)
    facts = Facts(m.done())
    with pytest.raises(StaleError):
        unrolled(facts, Script({3: (0,)}))
    with pytest.raises(ValueError, match="not droppable"):
        unrolled(facts, Script({3: (1,)}))


def test_tables_that_make_no_sense() -> None:
    core = tables_of(long_chain(4)).core
    for rows in ([[3, 3]], [[5, 0], [4, 0]], [[4, 4]], [[8, 0]], [[4, -1]]):
        with pytest.raises(GraphError, match="GC-C002"):
            core.trial(np.array(rows, np.int32))
    with pytest.raises(GraphError, match="GC-C002"):
        core.script([0], 10)
    with pytest.raises(GraphError, match="GC-C002"):
        core.chain([0], [-1], 10, 10)
    few: dict[str, list[int]] = {"space": [0], "deadline": [-1], "bytes": [], "origin": []}
    few["held"] = []
    none = ([0, 0], list[int]())
    with pytest.raises(GraphError, match="GC-C002"):
        _core.Replays(
            later=2, us=[1.0], tables=[none] * 3, droppable=[], again=[], given=[], large=[], **few
        )
