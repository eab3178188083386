"""One device through CuPy: plain memory, raw kernels, events. Imports CuPy only when opened."""

from __future__ import annotations

import ctypes
import site
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.probe import kernels
from bench.probe.facts import Missing, need

ALIGN = 256
PORTABLE = 1  # cudaHostAllocPortable


def preload(name: str) -> str | None:
    """Load a CUDA library from its wheel, so that others find it by name. Returns its path.

    cuDNN opens NVRTC by name when it fuses; a wheel's folder is on no search path.
    """
    places = {sysconfig.get_path("purelib"), *site.getsitepackages()}
    for place in sorted(places):
        for path in sorted(Path(place, "nvidia").glob(f"*/lib/{name}.so.*")):
            try:
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
            except OSError:
                continue
            return str(path.relative_to(place))
    return None


def device_count() -> int:
    """Devices the driver shows; Missing without a package, a driver or a device."""
    runtime = need("cupy").cuda.runtime
    try:
        count = int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError as error:
        raise Missing("CUDA device", str(error)) from error
    if count == 0:
        raise Missing("CUDA device", "the driver shows none")
    return count


class Gpu:
    """Device 0 with streams of its own; memory lives until the process ends."""

    def __init__(self) -> None:
        device_count()
        self.cupy = need("cupy")
        self.runtime = self.cupy.cuda.runtime
        self.cupy.cuda.Device(0).use()
        self.main = self.stream()
        module = self.cupy.RawModule(code=kernels.SOURCE, options=kernels.OPTIONS)
        self.kernels = {name: module.get_function(name) for name in kernels.NAMES}
        self._sum = self.alloc(8)

    def stream(self) -> Any:
        return self.cupy.cuda.Stream(non_blocking=True)

    def event(self, timing: bool = True) -> Any:
        return self.cupy.cuda.Event(disable_timing=not timing)

    def alloc(self, size: int) -> int:
        """Address of `size` fresh bytes of device memory, rounded up to ALIGN."""
        return int(self.runtime.malloc(-(-size // ALIGN) * ALIGN))

    def pinned(self, size: int) -> int:
        """Address of `size` bytes of page-locked host memory."""
        return int(self.runtime.hostAlloc(size, PORTABLE))

    def copy(self, to: int, source: int, size: int, kind: str, stream: Any = None) -> None:
        """Enqueue a copy; `kind` is HostToDevice, DeviceToHost or DeviceToDevice."""
        which = getattr(self.runtime, f"memcpy{kind}")
        self.runtime.memcpyAsync(to, source, size, which, (stream or self.main).ptr)

    def poison(self, address: int, size: int) -> None:
        """Fill with 0xff bytes, which are NaN in every float type."""
        self.runtime.memsetAsync(address, 0xFF, size, self.main.ptr)

    def launch(self, name: str, count: int, *arguments: Any, stream: Any = None) -> None:
        """Launch a grid-strided kernel over `count` elements; arguments are typed scalars."""
        blocks = max(1, min(4096, -(-count // 256)))
        with stream or self.main:
            self.kernels[name]((blocks,), (256,), arguments)

    def fill(self, address: int, count: int, dtype: str, seed: int, scale: float = 1.0) -> None:
        """Uniform random numbers in +-scale; dtype is float, half or bfloat."""
        np = need("numpy")
        self.launch(
            f"fill_{dtype}",
            count,
            np.uint64(address),
            np.uint64(count),
            np.uint64(seed),
            np.float32(scale),
        )

    def digest(self, address: int, size: int) -> int:
        """A 64-bit number that tells contents apart; `size` is a multiple of 4 bytes."""
        np = need("numpy")
        self.runtime.memsetAsync(self._sum, 0, 8, self.main.ptr)
        words = np.uint64(size // 4)
        self.launch("digest", size // 4, np.uint64(address), words, np.uint64(self._sum))
        value = np.zeros(1, np.uint64)
        self.main.synchronize()
        self.runtime.memcpy(value.ctypes.data, self._sum, 8, self.runtime.memcpyDeviceToHost)
        return int(value[0])

    def captured(self, step: Callable[[], None]) -> Any:
        """Capture what `step` enqueues on the main stream, and on streams it forks and joins."""
        with self.main:
            self.main.begin_capture()
            try:
                step()
            finally:
                graph = self.main.end_capture()
        return graph

    def replay(self, graph: Any) -> None:
        graph.launch(self.main)

    def device_ms(self, step: Callable[[], None], reps: int, warm: int = 2) -> list[float]:
        """Milliseconds of device time of each of `reps` calls, by events on the main stream."""
        for _ in range(warm):
            step()
        pairs = [(self.event(), self.event()) for _ in range(reps)]
        for first, last in pairs:
            first.record(self.main)
            step()
            last.record(self.main)
        self.main.synchronize()
        return [float(self.cupy.cuda.get_elapsed_time(*pair)) for pair in pairs]

    def host_us(self, step: Callable[[], None], count: int) -> float:
        """Microseconds of host time per call while the device keeps up behind."""
        self.main.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            step()
        spent = time.perf_counter() - began
        self.main.synchronize()
        return spent / count * 1e6
