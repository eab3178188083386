"""CudaDevice: a GPU, by CuPy. Memory, streams and events are CUDA's own; nothing of CuPy's arrays.

An entry runs eagerly at first, which loads whatever the driver loads late; the second run is
captured in a CUDA graph, with all three streams, and from then on the graph is launched. An entry
with a host step stays eager. Modes, GRAPHC_GPU: "graph"; "eager", never captured; "trace", which
waits for each kernel and keeps its name, so that a failure names the one it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from statistics import median
from typing import Any, NoReturn
from weakref import WeakKeyDictionary, WeakSet

from graphc.config import Config
from graphc.cuda import Launch, Spec
from graphc.errors import GraphError, fail
from graphc.numpy_later import np
from graphc.runtime._gpu import DOCTOR, Gpu, lost, opened
from graphc.runtime._gpu_kernels import Kernels
from graphc.runtime._gpu_libraries import Libraries
from graphc.runtime.device import STREAMS, Argument, Bytes, Entry

MAIN = 0
ERRORS = RuntimeError
"""What CuPy's runtime and driver and cuDNN raise are heirs of."""
SLOTS = 2
"""Pinned buffers that inputs go through in turn: the next one is filled while the last one is on
its way."""


class DeviceMemory:
    """A piece of a GPU's memory; freed when nobody holds it."""

    def __init__(self, runtime: Any, nbytes: int) -> None:
        self._runtime = runtime
        self.address = int(runtime.malloc(max(nbytes, 1)))

    def __del__(self) -> None:
        if hasattr(self, "address"):
            with suppress(Exception):  # CUDA is gone at the process's end, or the GPU is lost
                self._runtime.free(self.address)


class Pinned:
    """Memory of the host that a GPU reaches; an array made of it keeps it."""

    def __init__(self, runtime: Any, nbytes: int) -> None:
        self._runtime, self._nbytes = runtime, nbytes
        self.address = int(runtime.hostAlloc(max(nbytes, 1), 0))

    @property
    def __array_interface__(self) -> dict[str, Any]:
        where = self.address, False  # may be written
        return {"data": where, "shape": (self._nbytes,), "typestr": "|u1", "version": 3}

    def __del__(self) -> None:
        if hasattr(self, "address"):
            with suppress(Exception):
                self._runtime.freeHost(self.address)


def pinned(runtime: Any, nbytes: int) -> Bytes:
    """Such memory as an array, with which it goes."""
    found: Bytes = np.asarray(Pinned(runtime, nbytes))
    return found


class CudaDevice:
    """See `graphc.runtime.device.Device`. Raises GC-X001 where GPU `number` cannot be used."""

    poisons = False

    def __init__(self, number: int = 0, mode: str | None = None, gpu: Gpu | None = None) -> None:
        self.gpu = gpu or opened(number)
        self.mode = mode or Config.load().gpu
        cuda = self.gpu.cupy.cuda
        self._cuda, self._runtime = cuda, cuda.runtime
        self.streams = [cuda.Stream(non_blocking=True) for _ in range(STREAMS)]
        self.kernels, self.libraries = Kernels(self.gpu), Libraries()
        self.trace: list[str] = []
        self._events: dict[int, Any] = {}
        self._graphs: WeakKeyDictionary[Entry, Any] = WeakKeyDictionary()
        self._warm: WeakSet[Entry] = WeakSet()
        self._slots: list[tuple[Bytes, Any]] = []
        self._turn = 0
        self._is_capturing = False

    def arena(self, nbytes: int) -> DeviceMemory:
        """As `Device`. Raises GC-M002, which says how much is free."""
        self._never_captured("memory")
        self._runtime.setDevice(self.gpu.number)
        free, total = map(int, self._runtime.memGetInfo())
        if nbytes > free:
            self._short(nbytes, free, total)
        try:
            return DeviceMemory(self._runtime, nbytes)
        except ERRORS:
            self._short(nbytes, free, total)

    def _short(self, nbytes: int, free: int, total: int) -> NoReturn:
        told = (
            f"GPU {self.gpu.number} has {free:,} B free of {total:,} B, and the plan needs "
            f"{nbytes:,} B at once"
        )
        fail("GC-M002", told, f"--memory {free}B plans within what is free, or use a smaller batch")

    def host_arena(self, nbytes: int) -> Bytes:
        self._never_captured("pinned memory")
        try:
            return pinned(self._runtime, nbytes)
        except ERRORS as error:
            told = f"{nbytes:,} B of the host's memory cannot be pinned: {error}"
            fail("GC-M002", told, "give a smaller --host")

    def load(self, launches: Iterable[Launch]) -> None:
        self._never_captured("a kernel")
        self._runtime.setDevice(self.gpu.number)
        try:
            self.kernels.load(launches)
        except ERRORS as error:
            fail("GC-X001", f"GPU {self.gpu.number} takes no kernel: {error}", DOCTOR)

    def launch(self, launch: Launch, args: Sequence[Argument], stream: int) -> None:
        with self._queued(launch.kernel, stream):
            self.kernels.launch(launch, args, self.streams[stream].ptr)

    def library(
        self,
        key: str,
        symbol: str,
        told: Mapping[str, Any],
        reads: Sequence[tuple[Spec, int]],
        writes: Sequence[tuple[Spec, int]],
        workspace: int,
    ) -> Callable[[int], None]:
        kernel = self.libraries.kernel(key, symbol, told, reads, writes, workspace)

        def queue(stream: int) -> None:
            with self._queued(key, stream):
                kernel(self.streams[stream].ptr)

        return queue

    def copy_in(self, target: int, source: Bytes, stream: int) -> None:
        self._copy(target, source.ctypes.data, source.nbytes, stream, to_host=False)

    def copy_out(self, target: Bytes, source: int, stream: int) -> None:
        self._copy(target.ctypes.data, source, target.nbytes, stream, to_host=True)

    def _copy(self, target: int, source: int, nbytes: int, stream: int, *, to_host: bool) -> None:
        runtime = self._runtime
        kind = runtime.memcpyDeviceToHost if to_host else runtime.memcpyHostToDevice
        with self._queued("copy", stream):
            runtime.memcpyAsync(target, source, nbytes, kind, self.streams[stream].ptr)

    def call_host(self, function: Callable[[], None], stream: int) -> None:
        self._never_captured("a host step")
        with self._queued("host step", stream):
            self.streams[stream].synchronize()
        function()

    def read(self, target: Bytes, source: int) -> None:
        self.copy_out(target, source, MAIN)
        with self._queued("read", MAIN):
            self.streams[MAIN].synchronize()

    def write(self, target: int, source: Bytes) -> None:
        """As `Device`: `source` may change as soon as this returns. Through a pinned slot, so that
        the copy needs not be over then; entries begin behind it."""
        slot, event = self._slot(source.nbytes)
        slot[: source.nbytes] = source
        self._copy(target, slot.ctypes.data, source.nbytes, MAIN, to_host=False)
        event.record(self.streams[MAIN])

    def _slot(self, nbytes: int) -> tuple[Bytes, Any]:
        """The next slot, large enough, whose last copy is over."""
        self._turn = (self._turn + 1) % SLOTS
        while len(self._slots) < SLOTS:
            self._slots.append((self.host_arena(0), self._cuda.Event(disable_timing=True)))
        slot, event = self._slots[self._turn]
        event.synchronize()
        if slot.nbytes < nbytes:
            slot = self.host_arena(nbytes)
            self._slots[self._turn] = slot, event
        return slot, event

    def poison(self, target: int, nbytes: int, stream: int) -> None:
        self._runtime.memsetAsync(target, 0xFF, nbytes, self.streams[stream].ptr)

    def record(self, event: int, stream: int) -> None:
        if event not in self._events:
            self._events[event] = self._cuda.Event(disable_timing=True)
        self._events[event].record(self.streams[stream])

    def wait(self, event: int, stream: int) -> None:
        self.streams[stream].wait_event(self._events[event])

    def synchronize(self) -> None:
        try:
            for stream in self.streams:
                stream.synchronize()
        except ERRORS as error:
            lost("while it computed", error)

    def run(self, key: Entry, queue: Callable[[], None], has_host_steps: bool) -> None:
        """As `Device`: eagerly at first, then as a CUDA graph."""
        self._runtime.setDevice(self.gpu.number)  # this thread may be another one
        if self.mode != "graph" or has_host_steps or key not in self._warm:
            with self._all_streams():
                queue()
            self._warm.add(key)
            return
        if key not in self._graphs:
            self._graphs[key] = self._captured(queue)
        with self._queued("graph", MAIN):
            self._graphs[key].launch(self.streams[MAIN])

    def microseconds(self, queue: Callable[[], None], repeats: int) -> float:
        """The median time of what `queue` queues on the main stream, but for its first run."""
        main, times = self.streams[MAIN], []
        for _ in range(repeats + 1):
            first, last = self._cuda.Event(), self._cuda.Event()
            first.record(main)
            queue()
            last.record(main)
            self.synchronize()
            times.append(1e3 * float(self._cuda.get_elapsed_time(first, last)))
        return median(times[1:])

    def _captured(self, queue: Callable[[], None]) -> Any:
        """A graph of what is queued; whatever would allocate raises meanwhile."""
        main = self.streams[MAIN]
        self.synchronize()
        self._is_capturing = True
        try:
            with self._cuda.using_allocator(_forbid):
                main.begin_capture()
                try:
                    with self._all_streams():
                        queue()
                finally:
                    graph = main.end_capture()
        except ERRORS as error:
            lost("while a graph was captured", error)
        finally:
            self._is_capturing = False
        graph.upload(main)
        return graph

    @contextmanager
    def _all_streams(self) -> Iterator[None]:
        """Copies begin behind what the main stream has, and it goes on behind them: so they are
        part of a capture, and none is left open at its end."""
        main, *others = self.streams
        fork = self._cuda.Event(disable_timing=True)
        fork.record(main)
        for other in others:
            other.wait_event(fork)
        yield
        for other in others:
            join = self._cuda.Event(disable_timing=True)
            join.record(other)
            main.wait_event(join)

    @contextmanager
    def _queued(self, what: str, stream: int) -> Iterator[None]:
        """Errors of CUDA become GC-X002, with the kernel's name where it is traced."""
        try:
            yield
            if self.mode == "trace":
                self.trace.append(what)
                self.streams[stream].synchronize()
        except ERRORS as error:
            lost(f"in {what}", error)

    def _never_captured(self, what: str) -> None:
        if self._is_capturing:
            raise GraphError("GC-X002", f"{what} is asked for while a graph is captured")


def _forbid(nbytes: int) -> NoReturn:
    raise GraphError("GC-X002", f"{nbytes:,} B are allocated while a graph is captured")


__all__ = ["CudaDevice"]
