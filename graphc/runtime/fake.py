"""FakeDevice: the machine behind target "fake": memory of NumPy, kernels on the CPU, streams whose
order is any that their events allow.

What is queued runs when somebody waits for it. Bytes that nobody has written are NaN, and so are
those that a plan says are over. A plan that waits for too little gives other numbers here.
"""

from __future__ import annotations

import ctypes
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from graphc.cuda import Launch, Spec
from graphc.cuda.on_cpu import KernelError, Kernels, unavailable
from graphc.errors import fail
from graphc.runtime.device import STREAMS, Argument, Bytes, Entry

Order: TypeAlias = "tuple[int, ...] | None"
"""Which stream goes on first, of those that can: the last one is kept waiting as long as possible.
None: one by chance, anew each time."""
LATE, EARLY, RANDOM = (0, 1, 2), (2, 1, 0), None
"""Copies happen once somebody waits for them; as soon as they may; or any time between."""
ORDERS = tuple(itertools.permutations(range(STREAMS)))
NAN = 0xFF
"""All bytes of a float32 that is none."""
ALIGN = 256


class FakeMemory:
    """Bytes that begin at a multiple of 256."""

    def __init__(self, nbytes: int) -> None:
        self.array = np.full(nbytes + ALIGN, NAN, np.uint8)
        self.address = -(-self.array.ctypes.data // ALIGN) * ALIGN


class FakeDevice:
    """A `graphc.runtime.device.Device`; `seed`: of an order by chance.

    Raises GC-X001 where kernels cannot be built.
    """

    poisons = True

    def __init__(self, order: Order = LATE, seed: int = 0) -> None:
        why = unavailable()
        if why:
            fail("GC-X001", f"target 'fake' cannot run here: {why}", "target 'cpu' can")
        self.order, self._random = order, random.Random(seed)
        self._kernels = Kernels()
        self._queues: list[deque[tuple[str, Any]]] = [deque() for _ in range(STREAMS)]

    def arena(self, nbytes: int) -> FakeMemory:
        try:
            return FakeMemory(nbytes)
        except MemoryError:
            fail("GC-M002", f"no {nbytes:,} B of memory left", "use a smaller batch")

    def host_arena(self, nbytes: int) -> Bytes:
        try:
            return np.full(nbytes, NAN, np.uint8)
        except MemoryError:
            fail("GC-M002", f"no {nbytes:,} B of memory left", "use a smaller batch")

    def load(self, launches: Iterable[Launch]) -> None:
        try:
            self._kernels.load(launches)
        except KernelError as error:
            fail("GC-X001", f"g++ does not build a kernel: {error}")

    def launch(self, launch: Launch, args: Sequence[Argument], stream: int) -> None:
        self._queue(stream, partial(self._launch, launch, args))

    def _launch(self, launch: Launch, args: Sequence[Argument]) -> None:
        try:
            self._kernels.launch(launch, args)
        except KernelError as error:
            fail("GC-X001", f"a kernel fails: {error}")

    def library(
        self,
        key: str,
        symbol: str,
        told: Mapping[str, Any],
        reads: Sequence[tuple[Spec, int]],
        writes: Sequence[tuple[Spec, int]],
        workspace: int,
    ) -> Callable[[int], None]:
        fail("GC-A001", f"target 'fake' has no library, and no kernel {key!r}")

    def copy_in(self, target: int, source: Bytes, stream: int) -> None:
        self._queue(stream, partial(self.write, target, source))

    def copy_out(self, target: Bytes, source: int, stream: int) -> None:
        self._queue(stream, partial(self.read, target, source))

    def call_host(self, function: Callable[[], None], stream: int) -> None:
        self._queue(stream, function)

    def read(self, target: Bytes, source: int) -> None:
        target[...] = _at(source, target.size)

    def write(self, target: int, source: Bytes) -> None:
        _at(target, source.size)[...] = source

    def poison(self, target: int, nbytes: int, stream: int) -> None:
        self._queue(stream, lambda: _at(target, nbytes).fill(NAN))

    def record(self, event: int, stream: int) -> None:
        self._queues[stream].append(("record", event))

    def wait(self, event: int, stream: int) -> None:
        self._queues[stream].append(("wait", event))

    def run(self, key: Entry, queue: Callable[[], None], has_host_steps: bool) -> None:
        queue()

    def _queue(self, stream: int, function: Callable[[], None]) -> None:
        self._queues[stream].append(("run", function))

    def synchronize(self) -> None:
        over: set[int] = set()
        try:
            while any(self._queues):
                free = [s for s, q in enumerate(self._queues) if q and self._is_free(q[0], over)]
                if not free:
                    fail("GC-A001", "all streams wait for each other: the plan is wrong")
                what, told = self._queues[self._next(free)].popleft()
                if what == "record":
                    over.add(told)
                elif what == "run":
                    told()
        finally:
            for queue in self._queues:
                queue.clear()

    @staticmethod
    def _is_free(head: tuple[str, Any], over: set[int]) -> bool:
        return head[0] != "wait" or head[1] in over

    def _next(self, free: Sequence[int]) -> int:
        """The stream that goes on, of those that can."""
        return self._random.choice(free) if self.order is None else min(free, key=self.order.index)


def _at(address: int, nbytes: int) -> Bytes:
    """The bytes at an address."""
    found: Bytes = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))
    return found


__all__ = ["EARLY", "LATE", "ORDERS", "RANDOM", "FakeDevice", "Order"]
