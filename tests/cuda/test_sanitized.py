"""The kernels' tests once more with kernels built by AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from graphc.cuda.on_cpu import runtimes, unavailable

HERE = Path(__file__).resolve().parent


@pytest.mark.skipif(bool(unavailable()), reason=unavailable())
def test_no_kernel_reads_or_writes_elsewhere(tmp_path: Path) -> None:
    preload = runtimes()
    if not preload:
        pytest.skip("g++ has no sanitizers here")
    options = "halt_on_error=1:exitcode=66"
    environment = os.environ | {
        "GRAPHC_CUDA_SANITIZED": "1",
        "LD_PRELOAD": preload,
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": f"{options}:detect_leaks=0",
        "UBSAN_OPTIONS": f"{options}:print_stacktrace=1",
    }
    tests = [
        HERE / f"test_{name}.py"
        for name in ("layers", "operands", "regularizers", "shapes", "sparse", "updates")
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    command += [f"--basetemp={tmp_path}", "-p", "no:xdist"]
    done = subprocess.run(
        command, env=environment, cwd=HERE.parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert re.search(r"\d{3} passed", done.stdout)
