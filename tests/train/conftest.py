"""What tests of training need beside their own small networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden.caffe_cases import unpack
from train.bench import Bench


@pytest.fixture(scope="session")
def caffe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with solvers/, the runs and snapshots of real Caffe."""
    return unpack(tmp_path_factory.mktemp("caffe"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def feed() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {
        "x": rng.standard_normal((6, 3, 8, 8)).astype(np.float32),
        "label": rng.integers(0, 5, 6).astype(np.float32),
    }
