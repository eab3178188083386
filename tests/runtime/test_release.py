"""Networks that nobody has any more give back their memory at once, before any collection."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc

LENET = Path(__file__).resolve().parents[2] / "models/lenet"


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("train", [False, True])
def test_executable(train: bool) -> None:
    exe = graphc.compile(graphc.load(LENET / "deploy.prototxt"), train=train, passes=())
    for batch in (1, 3):
        exe.run({"data": np.ones((batch, 1, 28, 28))})
    if train:
        exe.backward()
    memory = weakref.ref(exe._executor.prepared)
    del exe
    assert memory() is None


@pytest.mark.usefixtures("no_collection")
def test_solver(tmp_path: Path) -> None:
    fields = 'base_lr: 0.1 lr_policy: "fixed" test_iter: 1 test_interval: 1 momentum: 0.9'
    path = tmp_path / "solver.prototxt"
    path.write_text(f'net: "{LENET / "train.prototxt"}" {fields}')
    solver: Any = graphc.Solver(path)
    feed = {"data": np.ones((64, 1, 28, 28)), "label": np.ones(64)}
    solver.step(2, feed)
    solver.test(0, feed)
    nets = [weakref.ref(net._executor.prepared) for net in (solver.net, *solver.tests)]
    solver.close()
    del solver
    assert [net() for net in nets] == [None, None]
