"""How OpenMP's waiting threads behave is settled before the library is loaded, for us alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = "import os, graphc.rng; print('GOMP_SPINCOUNT' in os.environ, graphc._core.__name__)"


def load(**environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    told = kept | {"OMP_DISPLAY_ENV": "verbose"} | environment
    command = [sys.executable, "-c", CODE]
    return subprocess.run(command, env=told, capture_output=True, text=True, check=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="libgomp's own setting")
@pytest.mark.parametrize(
    ("environment", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0")],
)
def test_waiting_threads_spin_briefly(environment: dict[str, str], spins: str) -> None:
    done = load(**environment)
    told = [line for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    if not told:
        pytest.skip("not built with libgomp")
    assert told[0].split("'")[1] == spins
    assert done.stdout == f"{'GOMP_SPINCOUNT' in environment} graphc._core\n"
