"""What tests of training need beside their own small networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden.caffe_cases import unpack


@pytest.fixture(scope="session")
def caffe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with solvers/, the runs and snapshots of real Caffe."""
    return unpack(tmp_path_factory.mktemp("caffe"))
