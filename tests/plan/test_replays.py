"""Plans that drop activations and compute them once more: the same bits, and no others pass."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plan.machine import Machine, same
from plan.mutants import MUTANTS, Mutant
from plan.programs import Maker, random_program
from train.test_same_bits import MODELS, SOLVER, Weights, differ, feeds

import graphc
from graphc.errors import GraphError
from graphc.ir.op import Effect
from graphc.plan import Plan, plan_program, verify_plan
from graphc.plan.facts import Facts
from graphc.plan.recompute import plan_replayed
from graphc.plan.replays import Choice, StaleError, TooManyError, unrolled
from graphc.plan.text import from_json, to_json
from graphc.program import BufferKind, Program
from graphc.runtime import _plans

NETS = ("lenet", "cifar10_quick", "resnet20", "alexnet")
NEEDED = 10


def everything(facts: Facts, how: str) -> Choice:
    """Drop all that can be; `how`: replay each once, or for each reader."""
    roots = sorted(facts.droppable)
    return {root: 0 if how == "speed" else number + 1 for number, root in enumerate(roots)}


def chance(facts: Facts, rng: random.Random) -> Choice:
    roots = [root for root in sorted(facts.droppable) if rng.random() < 0.7]
    return {root: rng.choice((0, 0, 1, 2, root + 3)) for root in roots}


def replayed(facts: Facts, choice: Choice) -> Plan:
    """The plan, without what turns out to be stale."""
    while True:
        try:
            return plan_replayed(facts, choice)
        except StaleError as stale:
            choice = {root: g for root, g in choice.items() if root not in stale.roots}


def replays(plan: Plan) -> list[int]:
    return [step.call for step in plan.steps if step.instance]


def chain() -> Program:
    """x -> a -> b -> c forward; backward reads c, b, a in turn."""
    m = Maker()
    x = m.input(64)
    a, b, c = m.buffer(64, name="a"), m.buffer(64, name="b"), m.buffer(64, name="c")
    m.call([x], [a])
    m.call([a], [b])
    m.call([b], [c])
    m.entry = "backward"
    m.entries["backward"] = []
    gradient = m.seed(64)
    for value in (c, b, a):
        new = m.buffer(64)
        m.call([gradient, value], [new], [(0, 0)])
        gradient = new
    m.kept.add(gradient)
    return m.done()


def test_a_chain_is_replayed_once_or_for_each_reader() -> None:
    program = chain()
    facts = Facts(program)
    assert facts.droppable == facts.wanted == {1, 2, 3}
    once = plan_replayed(facts, {1: 0, 2: 0, 3: 0})
    assert [(s.call, s.instance) for s in once.steps[3:7]] == [(0, 1), (1, 1), (2, 1), (3, 0)]
    assert replays(once) == [0, 1, 2]
    each = plan_replayed(facts, {1: 1, 2: 2, 3: 3})
    assert replays(each) == [0, 1, 2, 0, 1, 0]
    # with everything kept, a, b, c and two gradients are alive together; now a, b and one gradient
    assert plan_program(program).live_bound > each.live_bound
    held = plan_replayed(facts, {2: 0})
    assert replays(held) == [1]
    for plan in (once, each, held):
        verify_plan(program, plan)
        assert same(Machine(program, plan).run(), Machine(program).run())
        assert plan.peak_bytes == sum(plan.breakdown.values())
        assert from_json(to_json(plan)) == plan


def test_what_cannot_be_dropped() -> None:
    m = Maker()
    x, w = m.input(8), m.buffer(8, kind=BufferKind.PARAM)
    s = m.buffer(8, kind=BufferKind.STATE)
    names = ("pure", "drawn", "stateful", "kept", "overwritten", "early")
    made = {name: m.buffer(8, name=name) for name in names}
    m.call([x, w], [made["pure"]])
    m.call([x], [made["drawn"]], effects=frozenset({Effect.RNG}))
    m.call([x, s], [made["stateful"], s], [(1, 1)], effects=frozenset({Effect.STATE}))
    m.call([x], [made["kept"]])
    m.call([x], [made["overwritten"]])
    m.call([made["overwritten"]], [made["early"]])
    m.call([x, made["overwritten"]], [made["overwritten"]], [(0, 1)])
    m.kept.add(made["kept"])
    m.entry = "backward"
    m.entries["backward"] = []
    m.call([*made.values()], [m.buffer(8)])
    facts = Facts(m.done())
    assert facts.droppable == {made["pure"], made["drawn"], made["overwritten"]}
    with pytest.raises(ValueError, match="not droppable"):
        unrolled(facts, {made["kept"]: 0})


def test_weights_that_were_updated_come_too_late() -> None:
    m = Maker()
    x, w = m.input(8), m.buffer(8, kind=BufferKind.PARAM)
    a = m.buffer(8)
    m.call([x, w], [a])
    m.entry = "backward"
    m.entries["backward"] = []
    m.call([w], [w], [(0, 0)], effects=frozenset({Effect.STATE}))
    m.call([a], [m.buffer(8)])
    with pytest.raises(StaleError) as caught:
        plan_replayed(Facts(m.done()), {a: 0})
    assert caught.value.roots == (a,)


@pytest.mark.parametrize("seed", range(150))
def test_random_programs_give_the_same_bits(seed: int) -> None:
    program, rng = random_program(seed, 20), random.Random(seed)
    facts = Facts(program)
    expected = Machine(program).run()
    for choice in (everything(facts, "speed"), everything(facts, "memory"), chance(facts, rng)):
        try:
            plan = replayed(facts, choice)
        except TooManyError:
            continue
        verify_plan(program, plan)
        assert same(Machine(program, plan).run(), expected)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.__name__)
def test_mutants_of_plans_with_replays(mutant: Mutant) -> None:
    tally: Counter[str] = Counter()
    for seed in range(100):
        program, rng = random_program(seed, 20), random.Random(seed)
        facts = Facts(program)
        plan = replayed(facts, everything(facts, ("speed", "memory")[seed % 2]))
        if not replays(plan):
            continue
        expected = Machine(program, plan).run()
        for _ in range(3):
            changed = mutant(program, plan, rng)
            if changed is None or changed == plan:
                continue
            try:
                verify_plan(program, changed)
            except GraphError as error:
                assert error.code == "GC-V003"
                tally["refused"] += 1
                continue
            assert same(Machine(program, changed).run(), expected), (seed, mutant.__name__)
    assert tally["refused"] >= NEEDED


def test_a_replay_that_is_missing_is_refused_unless_its_result_is_there_still() -> None:
    program = chain()
    plan = plan_replayed(Facts(program), {1: 1, 2: 2, 3: 3})
    expected, refused = Machine(program).run(), 0
    first, past = plan.entries["backward"]
    for index in (i for i, step in enumerate(plan.steps) if step.instance):
        steps = (*plan.steps[:index], *plan.steps[index + 1 :])
        less = replace(plan, steps=steps, entries={**plan.entries, "backward": (first, past - 1)})
        try:
            verify_plan(program, less)
        except GraphError as error:
            assert error.code == "GC-V003"
            refused += 1
        else:
            assert same(Machine(program, less).run(), expected)
    assert refused >= 4


@contextmanager
def replaying(how: str) -> Iterator[list[Plan]]:
    """What is compiled meanwhile replays all it can."""
    made: list[Plan] = []

    def plan(program: Program, budget: int | None = None) -> Plan:
        facts = Facts(program)
        made.append(replayed(facts, everything(facts, how)))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plans, "plan_program", plan)
        yield made


def learned(folder: Path, name: str, *, poison: bool = False) -> Weights:
    """The weights after two steps on two samples."""
    path = folder / f"{name}.solver.prototxt"
    path.write_text(SOLVER.format(MODELS / name / "train.prototxt"))
    solver = graphc.Solver(path, batch=2)
    solver.net._executor.check = {"poison": poison}
    solver.step(2, feeds(solver.net.graph))
    blobs = solver.net.params.items()
    return {f"{layer}/{i}": a.copy() for layer, own in blobs for i, a in enumerate(own)}


@pytest.mark.parametrize("how", ["speed", "memory"])
@pytest.mark.parametrize("name", NETS)
def test_networks_learn_the_same(name: str, how: str, tmp_path: Path) -> None:
    plain = learned(tmp_path, name)
    assert all(np.isfinite(blob).all() for blob in plain.values())
    with replaying(how) as plans:
        assert not differ(plain, learned(tmp_path, name))
        assert not differ(plain, learned(tmp_path, name, poison=True))
    assert all(len(replays(plan)) > 3 for plan in plans)
