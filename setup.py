"""Builds graphc._core from csrc/; everything else is in pyproject.toml."""

import sys
import tempfile
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

# -ffp-contract=off: float results must not depend on which compiler fuses a multiply with an add.
# errno and floating-point exception flags are read nowhere; loops vectorise without them.
IS_WINDOWS = sys.platform == "win32"
UNSEEN = ["-fno-math-errno", "-fno-trapping-math"]
FLAGS = (
    ["/O2", "/W4", "/openmp"]
    if IS_WINDOWS
    else ["-O3", "-Wall", "-Wextra", "-ffp-contract=off", "-fopenmp", *UNSEEN]
)
SOURCES = sorted(str(path) for path in Path("csrc").rglob("*.cpp"))
HEADERS = sorted(str(path) for folder in ("csrc", "kernels") for path in Path(folder).rglob("*.h"))

ParallelCompile("GRAPHC_BUILD_JOBS").install()

# Built aside: modules deleted since the last build would stay in ./build and get into the wheel.
with tempfile.TemporaryDirectory() as aside:
    setup(
        options={"build": {"build_base": aside}},
        ext_modules=[
            Pybind11Extension(
                "graphc._core",
                SOURCES,
                depends=HEADERS,
                include_dirs=["csrc", "kernels"],
                cxx_std=17,
                extra_compile_args=FLAGS,
                extra_link_args=[] if IS_WINDOWS else ["-fopenmp"],
            )
        ],
    )
