"""Device: what the executor of GPU plans asks of a machine. `fake` and `cuda` are two of them.

The executor (`graphc.runtime.walker`) binds every step of a plan to addresses once, and then only
queues: nothing is allocated, compiled or looked up while an entry runs. All of an entry's calls may
therefore be captured in a CUDA graph, but those with a host step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from graphc.cuda import Launch, Spec
from graphc.numpy_later import np, npt

STREAMS = 3
"""0 computes, 1 copies from the device to the host, 2 back; see `graphc.plan.waits`."""
NO_FAULT = 2**31 - 1
"""What a fault word holds while all is well (`graphc.cuda.launch.FAULT`)."""
STREAM_STATE = np.dtype([("key", np.uint32, 2), ("step", np.uint32)])
"""A RandomStream of kernels/philox.h: the seed, low word first, and the step of the draw."""

Bytes: TypeAlias = "npt.NDArray[np.uint8]"
Argument: TypeAlias = "int | np.generic[Any]"
"""A pointer, as a plain int (0: null), or a numpy scalar or record by value."""


class Memory(Protocol):
    """Memory of a device, free again when nobody holds it any more."""

    @property
    def address(self) -> int: ...


class Entry:
    """What tells an entry of a loaded plan from all others."""


class Device(Protocol):
    """A machine with memory and streams of its own. Addresses are plain ints.

    What is queued on one stream happens in order, and in no order with what is on another but for
    events. Everything given to a queue stays valid until `synchronize` returns.
    """

    poisons: bool
    """Is `poison` wanted? It is called only then."""

    def arena(self, nbytes: int) -> Memory:
        """New device memory, at a multiple of 256. Raises GC-M002."""

    def host_arena(self, nbytes: int) -> Bytes:
        """Memory of the host that copies reach without a detour (pinned). Raises GC-M002."""

    def load(self, launches: Iterable[Launch]) -> None:
        """Make the kernels of `launches` ready; `launch` is called for these alone."""

    def launch(self, launch: Launch, args: Sequence[Argument], stream: int) -> None:
        """Queue a kernel. `args`: those of `launch` in order, with addresses for its operands,
        workspace and what it knows by name."""

    def library(
        self,
        key: str,
        symbol: str,
        told: Mapping[str, Any],
        reads: Sequence[tuple[Spec, int]],
        writes: Sequence[tuple[Spec, int]],
        workspace: int,
    ) -> Callable[[int], None]:
        """What queues a library's kernel on a stream; `key`: of the offer that was planned (see
        graphc/cuda/variants.py), `symbol`, `told`: of the kernel row it stands in for; operands
        with their addresses. Called when a plan is loaded. Raises GC-A001 for an unknown key."""

    def copy_in(self, target: int, source: Bytes, stream: int) -> None:
        """Queue a copy of host bytes to an address."""

    def copy_out(self, target: Bytes, source: int, stream: int) -> None:
        """Queue a copy from an address to host bytes."""

    def call_host(self, function: Callable[[], None], stream: int) -> None:
        """Queue Python: a host step. When it runs, all before it on the stream is over, and all
        behind it has not begun; within it `read` and `write` may be called, and no other."""

    def read(self, target: Bytes, source: int) -> None:
        """Copy from an address at once."""

    def write(self, target: int, source: Bytes) -> None:
        """Copy to an address at once."""

    def poison(self, target: int, nbytes: int, stream: int) -> None:
        """Queue that these bytes become NaN: nobody may read them from now on."""

    def run(self, key: Entry, queue: Callable[[], None], has_host_steps: bool) -> None:
        """Queue an entry: by calling `queue`, or by launching what a call of it was captured as
        before. `key`: one object for an entry of a loaded plan, which lives as long as that; an
        entry with host steps cannot be captured. All streams are joined to stream 0 at its end."""

    def record(self, event: int, stream: int) -> None:
        """Queue that an event happens: numbers are small, and each is recorded once between two
        calls of `synchronize`, before it is waited for."""

    def wait(self, event: int, stream: int) -> None:
        """Queue that a stream waits for an event."""

    def synchronize(self) -> None:
        """Return when all that is queued is over; what went wrong in it is raised here."""


__all__ = [
    "NO_FAULT",
    "STREAMS",
    "STREAM_STATE",
    "Argument",
    "Bytes",
    "Device",
    "Entry",
    "Memory",
]
