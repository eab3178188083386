"""A stand-in for the parts of CuPy that the GPU probe and the CUDA device use, on host memory.

Work runs when it is enqueued, except on a stream that captures: there it is kept until the graph
is launched. A stream that waits for an event of a capturing one joins the capture; a capture that
ends with a forked stream not joined is an error, as on a device.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np

Work = Callable[[], None]


class CUDARuntimeError(RuntimeError):
    pass


class Capture:
    def __init__(self, owner: Stream) -> None:
        self.owner, self.work, self.open = owner, [], set()


class Stream:
    by_address: ClassVar[dict[int, Stream]] = {}
    current: ClassVar[list[Stream]] = []

    def __init__(self, non_blocking: bool = False) -> None:
        self.ptr = len(Stream.by_address) + 1
        Stream.by_address[self.ptr] = self
        self.capture: Capture | None = None

    def __enter__(self) -> Stream:
        Stream.current.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        Stream.current.pop()

    def enqueue(self, work: Work) -> None:
        if self.capture is None:
            work()
            return
        self.capture.work.append(work)
        if self is not self.capture.owner:
            self.capture.open.add(self)

    def begin_capture(self) -> None:
        self.capture = Capture(self)

    def end_capture(self) -> Graph:
        capture, self.capture = self.capture, None
        assert capture is not None
        for stream in Stream.by_address.values():
            if stream.capture is capture:
                stream.capture = None
        if capture.open:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnjoined")
        return Graph(capture.work)

    def wait_event(self, event: Event) -> None:
        capture = event.capture
        if capture is None:
            return
        if self is capture.owner:
            capture.open.discard(event.stream)
        else:
            self.capture = capture

    def synchronize(self) -> None:
        if self.capture is not None:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")


class Graph:
    # A test sets this to spoil what a replay does.
    change: Callable[[list[Work]], list[Work]] = staticmethod(list)

    def __init__(self, work: list[Work]) -> None:
        self.work = work

    def upload(self, stream: Stream) -> None:
        pass

    def launch(self, stream: Stream) -> None:
        for work in Graph.change(self.work):
            stream.enqueue(work)


class Event:
    def __init__(self, disable_timing: bool = False) -> None:
        self.time, self.capture, self.stream = 0.0, None, None

    def record(self, stream: Stream) -> None:
        self.stream, self.capture = stream, stream.capture
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        pass


def elapsed(first: Event, last: Event) -> float:
    return max((last.time - first.time) * 1e3, 1e-4)


def view(address: Any, dtype: Any, count: Any) -> np.ndarray:
    size = int(count) * np.dtype(dtype).itemsize
    memory = (ctypes.c_char * size).from_address(int(address))
    return np.frombuffer(memory, dtype)


def _fill(dtype: Any) -> Callable[..., None]:
    def fill(x: Any, n: Any, seed: Any, scale: Any) -> None:
        numbers = np.random.default_rng(int(seed)).uniform(-1, 1, int(n)) * scale
        view(x, dtype, n)[:] = numbers.astype(dtype)

    return fill


def _relu(x: Any, y: Any, n: Any) -> None:
    view(y, np.float16, n)[:] = np.maximum(view(x, np.float16, n), np.float16(0))


def _sgd(w: Any, m: Any, g: Any, h: Any, n: Any, rate: Any, momentum: Any) -> None:
    weights, history = view(w, np.float32, n), view(m, np.float32, n)
    history[:] = momentum * history + rate * view(g, np.float32, n)
    weights -= history
    view(h, np.float16, n)[:] = weights.astype(np.float16)


def _digest(x: Any, n: Any, total: Any) -> None:
    words = view(x, np.uint32, n).astype(np.uint64)
    index = np.arange(int(n), dtype=np.uint64)
    with np.errstate(over="ignore"):
        mixed = (words + np.uint64(1)) * (index * np.uint64(2) + np.uint64(0x9E3779B97F4A7C15))
        view(total, np.uint64, 1)[:] += mixed.sum(dtype=np.uint64)


KERNELS: dict[str, Callable[..., None]] = {
    "nothing": lambda: None,
    "fill_float": _fill(np.float32),
    "fill_half": _fill(np.float16),
    "fill_bfloat": _fill(np.float16),
    "relu_half": _relu,
    "sgd": _sgd,
    "digest": _digest,
}


class RawModule:
    def __init__(self, code: str, options: tuple[str, ...]) -> None:
        self.code = code

    def get_function(self, name: str) -> Any:
        assert f"void {name}(" in self.code

        def launch(grid: Any, block: Any, arguments: tuple[Any, ...]) -> None:
            Stream.current[-1].enqueue(lambda: KERNELS[name](*arguments))

        launch.kernel = SimpleNamespace(ptr=id(launch))  # type: ignore[attr-defined]
        return launch


class Runtime:
    """cupy.cuda.runtime. Memory past `pinned_limit` bytes cannot be pinned. `driver`: its version;
    `devices`: how many there are; `capability`: of them; `room`: bytes of device memory."""

    CUDARuntimeError = CUDARuntimeError
    memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice = 1, 2, 3
    pinned_limit = 1 << 40
    driver, devices, capability, room = 13000, 1, (9, 0), 1 << 30

    def __init__(self) -> None:
        self.memory: dict[int, np.ndarray] = {}

    def malloc(self, size: int) -> int:
        held = np.empty(size + 8, np.uint8)
        self.memory[held.ctypes.data] = held
        return held.ctypes.data

    def free(self, address: int) -> None:
        del self.memory[address]

    freeHost = free

    def hostAlloc(self, size: int, flags: int) -> int:
        if size > self.pinned_limit:
            raise CUDARuntimeError("cudaErrorMemoryAllocation")
        return self.malloc(size)

    def memcpy(self, to: int, source: int, size: int, kind: int) -> None:
        ctypes.memmove(to, source, size)

    def memcpyAsync(self, to: int, source: int, size: int, kind: int, stream: int) -> None:
        Stream.by_address[stream].enqueue(lambda: self.memcpy(to, source, size, kind))

    def memsetAsync(self, to: int, value: int, size: int, stream: int) -> None:
        Stream.by_address[stream].enqueue(lambda: ctypes.memset(to, value, size) and None)

    def getDeviceCount(self) -> int:
        return self.devices

    def driverGetVersion(self) -> int:
        return self.driver

    def setDevice(self, number: int) -> None:
        if number >= self.devices:
            raise CUDARuntimeError("cudaErrorInvalidDevice")

    def getDeviceProperties(self, number: int) -> dict[str, Any]:
        major, minor = self.capability
        return {"name": b"NVIDIA H200", "major": major, "minor": minor}

    def memGetInfo(self) -> tuple[int, int]:
        return self.room - sum(len(held) for held in self.memory.values()), self.room


ALLOCATORS: list[Callable[[int], Any]] = []


@contextmanager
def using_allocator(allocator: Callable[[int], Any]) -> Iterator[None]:
    """For what CuPy's arrays take meanwhile: the last one of `ALLOCATORS` is asked."""
    ALLOCATORS.append(allocator)
    try:
        yield
    finally:
        ALLOCATORS.pop()


def module() -> ModuleType:
    """A fresh `cupy`."""
    Stream.by_address, Stream.current = {}, []
    Graph.change = staticmethod(list)
    made = ModuleType("cupy")
    made.RawModule = RawModule  # type: ignore[attr-defined]
    made.cuda = SimpleNamespace(  # type: ignore[attr-defined]
        runtime=Runtime(),
        driver=SimpleNamespace(launchKernel=lambda *arguments: None),
        Stream=Stream,
        Event=Event,
        Device=lambda index: SimpleNamespace(use=lambda: None, attributes={}),
        get_elapsed_time=elapsed,
        using_allocator=using_allocator,
    )
    return made


def install(monkeypatch: Any) -> ModuleType:
    """Let `import cupy` find the stand-in for one test."""
    made = module()
    monkeypatch.setitem(sys.modules, "cupy", made)
    return made
