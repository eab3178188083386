"""Micro-batches: layers run on a few samples at a time, and learn what the whole batch teaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from train.test_same_bits import MODELS, SOLVER, differ, feeds
from train.test_within_memory import INCEPTION

import graphc

BATCH = {"lenet": 12, "cifar10_full": 6, "resnet20": 6, "inception": 6}
CLOSE = 1e-4


def solver_of(folder: Path, name: str, **words: Any) -> graphc.Solver:
    net = MODELS / name / "train.prototxt"
    if name == "inception":
        net = folder / "inception.prototxt"
        net.write_text(INCEPTION)
    path = folder / f"{name}.solver.prototxt"
    path.write_text(SOLVER.format(net))
    return graphc.Solver(path, batch=BATCH[name], threads=2, **words)


def run(solver: graphc.Solver, count: int = 3) -> tuple[list[float], dict[str, np.ndarray]]:
    given = feeds(solver.net.graph)
    losses = [solver.step(1, given) for _ in range(count)]
    blobs = solver.net.params.items()
    return losses, {f"{layer}/{i}": a.copy() for layer, own in blobs for i, a in enumerate(own)}


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("name", BATCH)
def test_networks_learn_the_same(name: str, size: int, tmp_path: Path) -> None:
    losses, weights = run(solver_of(tmp_path, name))
    sliced = solver_of(tmp_path, name, micro_batch=size)
    found = run(sliced)
    np.testing.assert_allclose(found[0], losses, rtol=CLOSE)
    assert weights.keys() == found[1].keys()
    for key, blob in weights.items():
        np.testing.assert_allclose(found[1][key], blob, rtol=1e-2, atol=2e-5)
    again = run(solver_of(tmp_path, name, micro_batch=size))
    assert again[0] == found[0]
    assert not differ(again[1], found[1])


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_batch_norm_and_dropout_are_exact(target: str, tmp_path: Path) -> None:
    """In float64 nothing but the order of sums differs."""
    found = []
    for size in (None, 4):
        solver = solver_of(tmp_path, "inception", target=target, micro_batch=size)
        found.append(run(solver, 2)[0])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6 if target == "reference" else CLOSE)
