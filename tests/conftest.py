"""What every test may use: the shared folder of reference data, fixed hypothesis settings.

An installed graphc is tested in preference to the source tree next to these tests, even though
`python -m pytest` puts the current folder first; the header of the run says which one it is.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("GRAPHC_SHARED") or ROOT.parent / "shared").resolve()

_others = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
if PathFinder.find_spec("graphc", _others):
    sys.path[:] = _others
    # tests that start a Python of their own in the checkout must not find its source tree either
    os.environ["PYTHONSAFEPATH"] = "1"


def _place() -> Path:
    """The folder of the graphc under test."""
    spec = find_spec("graphc")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


if os.environ.get("GRAPHC_TEST_INSTALLED") and _place() == ROOT / "graphc":
    raise pytest.UsageError(f"the installed package is to be tested, but {_place()} is found")

# derandomize: a test must not fail on one machine and pass on the next.
settings.register_profile(
    "graphc",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("graphc")


def pytest_report_header() -> str:
    return f"graphc: {_place()}"


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
