"""gpu_rows: what `graphc doctor` says of a GPU: driver, packages, libraries, tables of plans."""

from __future__ import annotations

import ctypes
from importlib.metadata import PackageNotFoundError, version

from graphc.cuda import cublas, cudnn, nvrtc
from graphc.cuda.library import GPU, library
from graphc.cuda.plans import tables_of
from graphc.errors import GraphError

OK, MISSING, OTHER = "ok", "missing", "other"
FIX = f"for target cuda: {cudnn.INSTALL}"
Row = tuple[str, str, str, str]
"""(what, version, state, remark)."""


def gpu_rows() -> list[Row]:
    """One row for each thing that target cuda needs or can use, and one for the target."""
    compiler = nvrtc.version()
    rows = [
        _driver(),
        _package("cupy", "cupy-cuda13x", "memory, streams and launches of target cuda"),
        ("NVRTC", _dotted(compiler), OK, "compiles kernels")
        if compiler
        else ("NVRTC", "", MISSING, FIX),
        _package(cudnn.FRONTEND, cudnn.FRONTEND, "asks cuDNN for convolutions"),
        _cudnn(),
        ("cuBLASLt", "", OK, "matrix products of target cuda")
        if cublas.is_here()
        else ("cuBLASLt", "", MISSING, f"matrix products are slow without; {FIX}"),
    ]
    return [*rows, _target()]


def _driver() -> Row:
    """As the driver's own library says, without CuPy."""
    from graphc.runtime._gpu import OLDEST_DRIVER, text

    found = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(found))
    except OSError:
        return ("NVIDIA driver", "", MISSING, "target cuda needs a GPU and its driver")
    if found.value < OLDEST_DRIVER:
        told = f"target cuda needs one for CUDA {text(OLDEST_DRIVER)}"
        return ("NVIDIA driver", text(found.value), OTHER, told)
    return ("NVIDIA driver", text(found.value), OK, "the CUDA that it is for")


def _package(name: str, package: str, use: str) -> Row:
    try:
        return (name, version(package), OK, use)
    except PackageNotFoundError:
        return (name, "", MISSING, FIX)


def _cudnn() -> Row:
    """Against the tables of plans."""
    here, known = cudnn.wheel(), tables_of(GPU)
    tables = f"tables of plans are of {' and '.join(known)}"
    if not here:
        return ("cuDNN", "", MISSING, f"{FIX}; {tables}")
    if here not in known:
        return ("cuDNN", here, OTHER, f"{tables}: plans are asked of it anew")
    return ("cuDNN", here, OK, f"convolutions of target cuda, {tables}")


def _target() -> Row:
    from graphc.runtime._gpu import opened

    try:
        gpu = opened()
    except GraphError as error:
        return ("target cuda", "", MISSING, f"{error.message}; {error.hint}")
    told = library(runs=True).remark or "float32, kernels of its own, cuDNN and cuBLASLt"
    return ("target cuda", "", OK, f"{gpu.name}: {told}")


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


__all__ = ["gpu_rows"]
