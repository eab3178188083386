"""Gradients: the same bits in every run, under `deterministic` with any number of threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from core.rows import Array

import graphc

NETS = ["lenet", "cifar10_quick"]
BATCH = 20


def gradients(net: graphc.Graph, threads: int, deterministic: bool = False) -> dict[str, Array]:
    """Of every parameter and input, after a second run that must not differ from the first."""
    exe = graphc.compile(net, train=True, threads=threads, deterministic=deterministic)
    calls = exe._executor.program.calls
    assert not deterministic or all(v.deterministic for call in calls for v in call.variants)
    rng = np.random.default_rng(0)
    shapes = exe.inputs
    feed = {n: rng.standard_normal((BATCH, *s[1:])).astype(np.float32) for n, s in shapes.items()}
    found: list[dict[str, Array]] = []
    for _ in range(2):
        tops = exe.forward(feed)
        seeds = {
            name: np.random.default_rng(1).standard_normal(y.shape) for name, y in tops.items()
        }
        told = exe.backward(seeds)
        made = {name: np.array(array) for name, array in told.blobs.items()}
        for layer, arrays in told.params.items():
            made |= {f"{layer} {i}": np.array(array) for i, array in enumerate(arrays)}
        found.append(made)
    first, second = found
    assert all(first[name].tobytes() == array.tobytes() for name, array in second.items())
    return first


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest, root: Path) -> graphc.Graph:
    return graphc.load(root / "models" / request.param / "deploy.prototxt", batch=BATCH)


def test_threads_change_little(net: graphc.Graph) -> None:
    one, two = gradients(net, 1), gradients(net, 2)
    for name, array in one.items():
        off = np.linalg.norm(two[name] - array) / max(1e-30, np.linalg.norm(array))
        assert off <= 1e-5, name


def test_threads_change_no_bit_of_what_is_deterministic(net: graphc.Graph) -> None:
    one = gradients(net, 1, deterministic=True)
    for threads in (2, 3):
        many = gradients(net, threads, deterministic=True)
        for name, array in one.items():
            assert many[name].tobytes() == array.tobytes(), (name, threads)
