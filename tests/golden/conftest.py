"""The packed answers of real Caffe, unpacked once per session."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden.caffe_cases import unpack


@pytest.fixture(scope="session")
def caffe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with layers/, extras/, nets/ and solvers/."""
    return unpack(tmp_path_factory.mktemp("caffe"))
