"""Training within a budget: the same losses and weights to the bit, whatever is computed twice, and
memory used to the byte as planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from texts import fc, feed, layer, softmax_loss
from train.test_same_bits import MODELS, SOLVER, differ, feeds

import graphc
from graphc.errors import GraphError
from graphc.plan.front import POLICIES
from graphc.plan.wish import Wish, forced_roots
from graphc.plan.within import Choosing
from graphc.runtime._prepared import FIRST

ITERATIONS = 5
BATCH = {"lenet": 16, "cifar10_full": 4, "resnet20": 3, "inception": 4}
UNTOUCHED = 0xA5


def branch(name: str, bottom: str, outputs: int, kernel: int, pad: int) -> str:
    """Convolution, BatchNorm, Scale and ReLU, in place as Caffe's users write them."""
    told = f"num_output: {outputs} kernel_size: {kernel} pad: {pad} bias_term: false"
    filler = 'weight_filler { type: "xavier" }'
    return (
        layer("Convolution", bottom, name, f"convolution_param {{ {told} {filler} }}")
        + layer("BatchNorm", name, name, name=f"{name}/bn")
        + layer("Scale", name, name, "scale_param { bias_term: true }", name=f"{name}/scale")
        + layer("ReLU", name, name, name=f"{name}/relu")
    )


def inception(name: str, bottom: str) -> str:
    one, three, five = (f"{name}/{kernel}" for kernel in ("1x1", "3x3", "5x5"))
    pool = "pooling_param { pool: MAX kernel_size: 3 stride: 1 pad: 1 }"
    return (
        branch(one, bottom, 6, 1, 0)
        + branch(f"{three}r", bottom, 4, 1, 0)
        + branch(three, f"{three}r", 8, 3, 1)
        + branch(f"{five}r", bottom, 4, 1, 0)
        + branch(five, f"{five}r", 6, 5, 2)
        + layer("Pooling", bottom, f"{name}/pool", pool)
        + branch(f"{name}/proj", f"{name}/pool", 4, 1, 0)
        + layer("Concat", f"{one} {three} {five} {name}/proj", name)
    )


INCEPTION = (
    feed(data=(4, 3, 20, 20), label=(4,))
    + branch("stem", "data", 8, 3, 1)
    + inception("a", "stem")
    + layer("LRN", "a", "norm")
    + layer("Dropout", "norm", "drop", "dropout_param { dropout_ratio: 0.4 }")
    + inception("b", "drop")
    + layer("Pooling", "b", "mean", "pooling_param { pool: AVE global_pooling: true }")
    + layer("Dropout", "mean", "mean", name="drop2")
    + fc("mean", "y", 10)
    + softmax_loss("y")
)
Found = tuple[list[float], Mapping[str, np.ndarray]]


def solver_of(folder: Path, name: str, **words: Any) -> graphc.Solver:
    net = MODELS / name / "train.prototxt"
    if name == "inception":
        net = folder / "inception.prototxt"
        net.write_text(INCEPTION)
    path = folder / f"{name}.solver.prototxt"
    path.write_text(SOLVER.format(net))
    return graphc.Solver(path, batch=BATCH[name], threads=2, pin_variants=True, **words)


def run(solver: graphc.Solver) -> Found:
    """Losses of some iterations, and the weights then."""
    given = feeds(solver.net.graph)
    losses = [solver.step(1, given) for _ in range(ITERATIONS)]
    blobs = solver.net.params.items()
    return losses, {f"{layer}/{i}": a.copy() for layer, own in blobs for i, a in enumerate(own)}


def budgets(program: Any, policy: str, most: int) -> Iterator[int]:
    """The least that a policy can do with, and what lies between that and `most` bytes."""
    least = Choosing(program, policy).least().peak_bytes
    shares = (0.0, 0.3, 0.7) if policy == "ours" else (0.0,)
    yield from dict.fromkeys(int(least + share * (most - least)) for share in shares)


def replays(plan: graphc.Plan) -> int:
    return sum(step.instance > 0 for step in plan.steps)


@pytest.mark.parametrize("name", BATCH)
def test_every_policy_and_budget_learns_the_same(name: str, tmp_path: Path) -> None:
    free = solver_of(tmp_path, name)
    plan, program = free.net.plan, free.net.program
    losses, weights = run(free)
    assert np.isfinite(losses).all()
    counted: dict[str, int] = {}
    for policy in POLICIES:
        for budget in budgets(program, policy, plan.peak_bytes):
            tight = solver_of(tmp_path, name, memory=budget, policy=policy)
            assert tight.net.plan.peak_bytes <= budget
            counted[policy] = max(counted.get(policy, 0), replays(tight.net.plan))
            found = run(tight)
            assert found[0] == losses, (policy, budget)
            assert not differ(weights, found[1]), (policy, budget)
    assert counted["ours"] or name == "lenet"  # of which nothing is worth a replay


@pytest.mark.parametrize("name", BATCH)
def test_high_water_is_the_plan_to_the_byte(name: str, tmp_path: Path) -> None:
    """In a poisoned run all that a step claims is written. What is never written is above the
    plan's arena, and there is nothing."""
    program = solver_of(tmp_path, name).net.program
    budget = Choosing(program, "ours").least().peak_bytes
    for memory in (None, budget):
        solver = solver_of(tmp_path, name, memory=memory)
        executor = solver.net._executor
        executor.check = {"poison": True}
        given = feeds(solver.net.graph)
        solver.step(1, given)
        prepared = executor.prepared
        arena = np.frombuffer(prepared._memories[FIRST + 1], np.uint8)
        assert arena.size == solver.net.plan.work_bytes
        arena[:] = UNTOUCHED
        solver.step(1, given)
        high_water = int(np.flatnonzero(arena != UNTOUCHED).max()) + 1
        assert high_water == solver.net.plan.work_bytes
        kept = sum(region.nbytes for region in prepared.regions[:FIRST])
        assert kept == solver.net.plan.peak_bytes - solver.net.plan.work_bytes


@pytest.mark.parametrize("name", ["cifar10_full", "inception"])
def test_compiled_networks_have_the_same_gradients(name: str, tmp_path: Path) -> None:
    """Forward and backward entries that can be run one by one."""
    solver_of(tmp_path, name)
    net = (
        tmp_path / "inception.prototxt" if name == "inception" else MODELS / name / "train.prototxt"
    )
    graph = graphc.load(net, phase="TRAIN", batch=BATCH[name])
    how: dict[str, Any] = {"train": True, "threads": 2, "pin_variants": True}
    with graphc.compile(graph, **how) as free:
        given = feeds(free.graph)
        plain, program = free.plan, free.program
        expected = free.forward(given), free.backward().params, free.backward().params
    least = Choosing(program, "ours").least().peak_bytes
    assert least < plain.peak_bytes
    for budget in (least, (least + plain.peak_bytes) // 2):
        with graphc.compile(graph, **how, memory=budget) as tight:
            assert tight.plan.peak_bytes <= budget
            assert replays(tight.plan)
            tops = tight.forward(given)
            assert all(np.array_equal(tops[name], top) for name, top in expected[0].items())
            for params in expected[1:]:
                found = tight.backward().params
                for layer_name, blobs in params.items():
                    assert all(map(np.array_equal, blobs, found[layer_name]))


def test_an_artefact_remembers_what_it_was_asked_for(tmp_path: Path) -> None:
    graph = graphc.load(MODELS / "cifar10_full" / "train.prototxt", phase="TRAIN", batch=4)
    free = graphc.compile(graph, train=True, threads=1, pin_variants=True)
    kept = forced_roots(free.program, free.graph, Wish(keep=("relu3",)))
    budget = Choosing(free.program, "speed", kept).least().peak_bytes
    how: dict[str, Any] = {"policy": "speed", "overrides": {"relu3": "keep"}}
    exe = graphc.compile(graph, train=True, threads=1, memory=budget, pin_variants=True, **how)
    exe.save(tmp_path / "net.gcz")
    again = graphc.open(tmp_path / "net.gcz", threads=1)
    assert again.plan.peak_bytes == exe.plan.peak_bytes < free.plan.peak_bytes
    assert again.wish == exe.wish
    assert again.pin_variants
    roomy = graphc.open(tmp_path / "net.gcz", threads=1, memory=2 * free.plan.peak_bytes)
    assert roomy.wish.memory == 2 * free.plan.peak_bytes
    with pytest.raises(GraphError, match="GC-M001"):
        graphc.open(tmp_path / "net.gcz", threads=1, batch=64)


def test_a_plan_is_searched_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = solver_of(tmp_path, "lenet").net.plan.peak_bytes
    first = solver_of(tmp_path, "lenet", memory=budget)

    def never(*words: Any) -> None:
        raise AssertionError("searched again")

    monkeypatch.setattr("graphc.plan.within.plan_within", never)
    assert solver_of(tmp_path, "lenet", memory=budget).net.plan == first.net.plan
