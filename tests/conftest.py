"""What every test may use: the shared folder of reference data, and fixed hypothesis settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("GRAPHC_SHARED") or ROOT.parent / "shared").resolve()

# derandomize: a test must not fail on one machine and pass on the next.
settings.register_profile(
    "graphc",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("graphc")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout: models/, proto/, tools/ live there, not in the installed package."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real networks and real Caffe's answers; without it the test is skipped."""
    if not (SHARED / "golden").is_dir():
        pytest.skip(f"no reference data in {SHARED}; name its folder in GRAPHC_SHARED")
    return SHARED
