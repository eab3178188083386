"""memory= in training: what does not fit is computed twice, and what is learned stays the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from texts import conv, fc, layer, softmax_loss

import graphc
from graphc.errors import GraphError
from graphc.plan.front import POLICIES

DATA = layer(
    "DummyData",
    "",
    "data label",
    "dummy_data_param { shape { dim: 8 dim: 3 dim: 24 dim: 24 } shape { dim: 8 } }",
)
SIGMOIDS = "".join(
    conv("data" if k == 0 else f"s{k - 1}", f"c{k}", 8) + layer("Sigmoid", f"c{k}", f"s{k}")
    for k in range(8)
)
NET = DATA + SIGMOIDS + fc("s7", "y", 5) + softmax_loss("y")


@pytest.fixture
def solver(tmp_path: Path) -> Path:
    (tmp_path / "net.prototxt").write_text(NET)
    path = tmp_path / "solver.prototxt"
    path.write_text(f'net: "{tmp_path}/net.prototxt" base_lr: 0.1 lr_policy: "fixed"')
    return path


def instances(plan: graphc.Plan) -> int:
    return sum(step.instance > 0 for step in plan.steps)


@pytest.mark.parametrize("policy", POLICIES)
def test_plan_replays_under_a_budget(policy: str, solver: Path) -> None:
    net = solver.parent / "net.prototxt"
    free = graphc.plan(net, train=True)
    with pytest.raises(GraphError, match="GC-M001"):
        graphc.plan(net, train=True, memory="1kB", policy=policy)
    if policy == "ours":
        budget = free.peak_bytes * 3 // 4
        plan = graphc.plan(net, train=True, memory=budget, policy=policy)
        assert plan.peak_bytes <= budget < free.peak_bytes
        assert instances(plan) > 0 == instances(free)
        assert plan.est_us > free.est_us
    assert graphc.plan(net, train=True, memory=free.peak_bytes, policy=policy) == free


def test_inference_replays_nothing(solver: Path) -> None:
    net = solver.parent / "net.prototxt"
    peak = graphc.plan(net).peak_bytes
    with pytest.raises(GraphError, match="GC-M001"):
        graphc.plan(net, memory=peak - 1)
    with pytest.raises(GraphError, match="GC-R002"):
        graphc.plan(net, train=True, memory=peak, policy="best")


def test_a_solver_learns_the_same_in_less_memory(solver: Path) -> None:
    free = graphc.Solver(solver, threads=1)
    budget = free.net.plan.peak_bytes * 3 // 4
    tight = graphc.Solver(solver, threads=1, memory=budget)
    assert tight.net.plan.peak_bytes <= budget
    assert instances(tight.net.plan) > 0
    tight.net._executor.check = {"poison": True}
    assert free.step(3) == tight.step(3)
    for name, blobs in free.net.params.items():
        for mine, theirs in zip(blobs, tight.net.params[name], strict=True):
            np.testing.assert_array_equal(mine, theirs)
