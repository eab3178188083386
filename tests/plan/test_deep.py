"""Deep residual networks, of tiny images: what is replayed, updated early or sent to the host
changes no bit of what is learned, and stays within the budget.

GRAPHC_GOLDEN_NETS=all: deeper ones, which are searched for a minute.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.deepest import main
from nets.residual import resnet
from plan.test_replays import replays
from train.test_same_bits import SOLVER, differ, feeds

import graphc
from graphc.plan import Plan, StepKind

BLOCKS = (6, 32, 1, 6) if os.environ.get("GRAPHC_GOLDEN_NETS") == "all" else (1, 3, 1, 6)
BATCH, SIZE = 2, 64
ITERATIONS = 2
Found = tuple[list[float], Mapping[str, np.ndarray]]
KINDS = {
    "replays": {"fused_update": False},
    "fused": {"fused_update": True},
    "streamed": {"fused_update": True, "host": "4GB"},
}


def solver_of(net: Path, **words: Any) -> graphc.Solver:
    path = net.with_suffix(".solver")
    path.write_text(SOLVER.format(net))
    return graphc.Solver(path, threads=2, pin_variants=True, **words)


def trained(solver: graphc.Solver) -> Found:
    given = feeds(solver.net.graph)
    losses = [solver.step(1, given) for _ in range(ITERATIONS)]
    blobs = solver.net.params.items()
    return losses, {f"{layer}/{i}": a.copy() for layer, own in blobs for i, a in enumerate(own)}


def sends(plan: Plan) -> int:
    return sum(step.kind is not StepKind.RUN for step in plan.steps)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A residual network of narrow layers."""
    path = tmp_path_factory.mktemp("deep") / "net.prototxt"
    path.write_text(resnet(BLOCKS, True, size=SIZE, batch=BATCH, width=4, classes=10).text())
    return path


@pytest.fixture(scope="module")
def stored(net: Path) -> Found:
    """What is learned where everything is stored."""
    return trained(solver_of(net))


@pytest.mark.parametrize("kind", KINDS)
def test_deep_networks_learn_the_same(kind: str, net: Path, stored: Found) -> None:
    how = KINDS[kind]
    free = solver_of(net, fused_update=bool(how["fused_update"])).net.plan
    weights_bytes = free.peak_bytes - free.work_bytes
    is_streamed = "host" in how
    budget = weights_bytes * 9 // 10 if is_streamed else free.peak_bytes - free.work_bytes // 16
    solver = solver_of(net, memory=budget, **how)
    plan = solver.net.plan
    assert plan.peak_bytes <= budget < free.peak_bytes
    assert replays(plan)
    assert (sends(plan) > 0) == is_streamed
    assert any(plan.arenas[arena].is_host for arena, _ in plan.homes.values()) == is_streamed
    losses, weights = trained(solver)
    assert np.isfinite(losses).all()
    assert losses == stored[0]
    assert not differ(stored[1], weights)


@pytest.mark.parametrize("words", [[], ["--apart"]])
def test_the_tool_tells_of_each_depth(words: list[str], capsys: Any) -> None:
    assert main(["140", "--batch", "1", "--memory", "800MB", *words]) == 0
    depth, kind, peak, *_ = capsys.readouterr().out.splitlines()[1].split()
    assert (int(depth), kind) == (140, "apart" if words else "fused")
    assert int(peak.replace(",", "")) <= 800_000_000


def test_the_tool_says_what_does_not_fit(capsys: Any) -> None:
    assert main(["140", "--batch", "1", "--memory", "1MB"]) == 1
    assert "GC-M001" in capsys.readouterr().out
