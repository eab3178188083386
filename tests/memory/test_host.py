"""host=: what waits for the backward is sent to the host, and what is learned stays the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from memory.test_recompute import instances
from memory.test_recompute import solver as solver
from texts import conv, feed, layer, softmax_loss
from train.test_same_bits import SOLVER, feeds

import graphc
from graphc.budget import checked_host
from graphc.errors import GraphError
from graphc.plan import Plan, StepKind

POOL = 1 << 30
MODELS = Path(__file__).resolve().parents[2] / "models"


def branch(bottom: str, name: str, kernel: int) -> str:
    """Convolution, statistics, scale, ReLU."""
    told = f"convolution_param {{ num_output: 6 kernel_size: {kernel} pad: {kernel // 2} }}"
    return (
        layer("Convolution", bottom, name, told)
        + layer("BatchNorm", name, f"{name}b")
        + layer("Scale", f"{name}b", f"{name}s", "scale_param { bias_term: true }")
        + layer("ReLU", f"{name}s", f"{name}r")
    )


INCEPTION = (
    feed(data=(8, 3, 16, 16), label=(8,))
    + conv("data", "stem", 8)
    + branch("stem", "a1", 1)
    + branch("stem", "a3", 3)
    + branch("stem", "a5", 5)
    + layer("Concat", "a1r a3r a5r", "mixed")
    + layer("Dropout", "mixed", "dropped", "dropout_param { dropout_ratio: 0.4 }")
    + branch("dropped", "b1", 1)
    + branch("dropped", "b3", 3)
    + layer("Concat", "b1r b3r", "joined")
    + layer("Pooling", "joined", "pooled", "pooling_param { pool: AVE global_pooling: true }")
    + layer("InnerProduct", "pooled", "score", "inner_product_param { num_output: 10 }")
    + softmax_loss("score")
)


def transfers(plan: Plan) -> int:
    return sum(step.kind is not StepKind.RUN for step in plan.steps)


def least(make: Callable[..., object]) -> int:
    """The smallest budget that something can obey, which GC-M001 tells of."""
    with pytest.raises(GraphError, match="GC-M001") as caught:
        make(memory="1kB")
    return int(caught.value.message.split("needs ")[1].split(" B")[0].replace(",", ""))


def small(policy: str, net: Path) -> Plan:
    """The smallest plan that a policy knows."""
    make = partial(graphc.plan, net, train=True, policy=policy, host=POOL)
    return make(memory=least(make))


@pytest.mark.parametrize("policy", ["ours", "offload", "tensor_cache"])
def test_plans_send(policy: str, solver: Path) -> None:
    net = solver.parent / "net.prototxt"
    if policy == "offload":  # a sigmoid's backward reads no convolution's result
        net = MODELS / "resnet20" / "train.prototxt"
    free, plan = graphc.plan(net, train=True), small(policy, net)
    assert plan.peak_bytes < free.peak_bytes
    assert transfers(plan) > 0 == transfers(free)
    assert 0 < plan.host_bytes < POOL
    assert (instances(plan) == 0) or policy == "ours"
    assert plan.est_us > free.est_us
    same = graphc.plan(net, train=True, memory=free.peak_bytes, policy=policy, host=POOL)
    assert same == free


def test_a_host_makes_less_memory_do_and_never_takes_more_time(solver: Path) -> None:
    net = solver.parent / "net.prototxt"
    make = partial(graphc.plan, net, train=True)
    budget = least(make)
    assert small("ours", net).peak_bytes < budget
    alone, both = make(memory=budget), make(memory=budget, host=POOL)
    assert both.est_us <= alone.est_us
    assert transfers(alone) == alone.host_bytes == 0
    few = make(memory=budget, host="1kB")
    assert few.host_bytes <= 1000


def test_what_is_no_pool(solver: Path) -> None:
    net = solver.parent / "net.prototxt"
    assert checked_host(None, None) == 0
    for told in (0, -1, "0B", "much"):
        with pytest.raises(GraphError, match="GC-R004"):
            graphc.plan(net, train=True, memory="1GiB", host=told)
    with pytest.raises(GraphError, match="no budget"):
        graphc.plan(net, train=True, host=POOL)
    with pytest.raises(GraphError, match="no budget"):
        graphc.Solver(solver, host=POOL)
    with pytest.raises(GraphError, match="only training"):
        graphc.plan(net, memory="1GiB", host=POOL)
    with pytest.raises(GraphError, match="only training"):
        graphc.compile(net, memory="1GiB", host=POOL)
    with pytest.raises(GraphError, match="how much it has"):
        graphc.plan(net, train=True, memory="1GiB", policy="offload")


def test_a_compiled_net_gives_the_same_gradients(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(INCEPTION)
    net = graphc.load(tmp_path / "net.prototxt", phase="TRAIN")
    free = graphc.compile(net, train=True, threads=1)
    make = partial(graphc.compile, net, train=True, threads=1, host=POOL)
    tight = make(memory=least(make))
    assert tight.plan.peak_bytes < free.plan.peak_bytes
    assert transfers(tight.plan) > 0
    given = feeds(free.graph)
    for _ in range(2):
        grads = []
        for exe in (free, tight):
            exe.forward(given)
            grads.append(exe.backward().params)
        for name, blobs in grads[0].items():
            for mine, theirs in zip(blobs, grads[1][name], strict=True):
                np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", ["lenet", "resnet20", "inception"])
def test_five_iterations_learn_the_same(name: str, tmp_path: Path) -> None:
    net = MODELS / name / "train.prototxt"
    if name == "inception":
        net = tmp_path / "net.prototxt"
        net.write_text(INCEPTION)
    path = tmp_path / "solver.prototxt"
    path.write_text(SOLVER.format(net))
    free = graphc.Solver(path, batch=8, threads=1)
    given = feeds(free.net.graph)
    losses = [free.step(1, given) for _ in range(5)]
    make = partial(graphc.Solver, path, batch=8, threads=1, host=POOL)
    low, high = least(make), free.net.plan.peak_bytes
    for budget in (low, (low + high) // 2):
        tight = make(memory=budget)
        plan, pages = tight.net.plan, tight.net._executor.prepared.regions
        assert plan.peak_bytes <= budget < high
        assert [p.nbytes for p in pages[3:]] == [plan.work_bytes, plan.host_bytes][: len(pages) - 3]
        assert [tight.step(1, given) for _ in range(5)] == losses
        for layer_, blobs in free.net.params.items():
            for mine, theirs in zip(blobs, tight.net.params[layer_], strict=True):
                np.testing.assert_array_equal(mine, theirs)
