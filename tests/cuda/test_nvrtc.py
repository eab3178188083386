"""Every CUDA kernel compiles for the GPUs that count, and keeps its numbers in registers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cuda.bench import KERNELS
from cuda.jobs import all_jobs
from cuda.test_narrow import HALVES, narrow_work
from cuda.test_regularizers import REGULARIZERS
from cuda.test_shapes import JOBS, TURNED
from cuda.test_sparse import PRODUCTS
from cuda.test_updates import CLIPPED, TABLES

from graphc.cuda import Work, nvrtc, shared
from graphc.cuda.moving import transposed
from graphc.errors import GraphError

ARCHITECTURES = (75, 80, 90, 100)
MOST_REGISTERS = 128
WHOLE = bool(os.environ.get("GRAPHC_CUDA_ALL"))
needs_nvrtc = pytest.mark.skipif(
    nvrtc.version() is None, reason="NVRTC is not installed (nvidia-cuda-nvrtc)"
)


def units() -> dict[str, tuple[str, list[str]]]:
    """Source and kernels by a name: a file of kernels/ with all that is made of its templates, and
    the generated ones together; of these every ninth, unless GRAPHC_CUDA_ALL is set."""
    jobs, _ = all_jobs()
    works = [work for job in jobs for work in (job.work, *([job.adding] if job.adds else []))]
    works += [job.work for job in JOBS]
    works += [narrow_work(job, dtype) for dtype, job in HALVES]
    works += [transposed(each, to_channels_last=True) for each in TURNED]
    works += [*CLIPPED.values(), *(use.work for use in REGULARIZERS.values())]
    works += [*(product.work for product in PRODUCTS.values())]
    works += [Work((launch,)) for _, launch in TABLES.values()]
    found: dict[str, dict[str, None]] = {}
    for work in works:
        for launch in work.launches:
            found.setdefault(launch.source, {})[launch.kernel] = None
    files = {s: (f'#include "{s}"\n', [*names]) for s, names in found.items() if s.endswith(".cu")}
    texts = [(s, [*names]) for s, names in found.items() if not s.endswith(".cu")]
    chosen = texts if WHOLE else texts[::9]
    joined = "".join(text for text, _ in chosen), [name for _, names in chosen for name in names]
    return {**files, "generated": joined}


UNITS = units()


def test_every_file_of_kernels_is_there() -> None:
    assert {path.name for path in KERNELS.glob("*.cu")} == UNITS.keys() - {"generated"}


def compiled_for(names: list[str], arch: int) -> list[str]:
    """Of kernels made for several element types those of floats, on 9.0 of halves, too, which are
    converted by instructions of their own; all of them if GRAPHC_CUDA_ALL is set."""
    left = ("graphc::Bfloat16",) if arch == 90 else ("graphc::Bfloat16", "graphc::Half")
    return [name for name in names if WHOLE or not any(item in name for item in left)]


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("unit", UNITS)
def test_no_kernel_spills(unit: str, arch: int) -> None:
    source, every = UNITS[unit]
    names = compiled_for(every, arch)
    cubin = nvrtc.compile_cubin(source, names, arch, [KERNELS])
    assert cubin.code.startswith(b"\x7fELF") and cubin.usage.keys() == {*cubin.names.values()}
    for kernel, usage in cubin.usage.items():
        assert usage.spilled == (0, 0) and usage.stack == 0, kernel
        assert usage.registers <= MOST_REGISTERS, kernel


SPILLS = """__global__ void spills(float* x, int n) {
    float numbers[64];
    for (int i = 0; i < 64; ++i) numbers[i] = x[i];
    for (int i = 0; i < n; ++i) numbers[i % 64] += numbers[(i * 7) % 64];
    for (int i = 0; i < 64; ++i) x[i] = numbers[i];
}"""


@needs_nvrtc
def test_a_stack_frame_is_seen() -> None:
    cubin = nvrtc.compile_cubin(SPILLS, ["spills"], 90, [])
    assert cubin.usage[cubin.names["spills"]].stack >= 256
    assert {*ARCHITECTURES} <= {*nvrtc.architectures()} and nvrtc.version() > (12, 0)


@needs_nvrtc
def test_what_does_not_compile_says_why() -> None:
    with pytest.raises(GraphError, match=r"GC-X001: sm_90: .*\"nothing\" is undefined"):
        nvrtc.compile_cubin("__global__ void f(int* x) { *x = nothing; }", ["f"], 90, [])


def test_without_nvrtc_the_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.sysconfig, "get_path", lambda name: str(Path(__file__)))
    monkeypatch.setattr(shared.ctypes.util, "find_library", lambda name: None)
    shared.load.cache_clear()
    try:
        assert nvrtc.version() is None and nvrtc.architectures() == ()
        with pytest.raises(GraphError, match="GC-X001: NVRTC is not installed") as caught:
            nvrtc.compile_cubin("", [], 90, [])
        assert "pip install nvidia-cuda-nvrtc" in str(caught.value)
    finally:
        shared.load.cache_clear()
