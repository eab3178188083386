"""Types of graphc._core (csrc/bind.cpp); every function raises GraphError."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Spec: TypeAlias = tuple[str, Sequence[int], Sequence[int] | None]
"""(element type "f32" | "i64" | "i32" | "u8", dims, strides in elements or None for dense)."""

def uniform(
    *, count: int, seed: int, step: int, layer: int, tag: int, first: int = 0
) -> npt.NDArray[np.float32]:
    """Elements first .. first + count - 1 of a random stream; see graphc.rng."""

def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10: the four words of a counter and a key."""

def crc32(data: bytes | memoryview) -> int:
    """CRC-32 of ISO 3309, as zlib's."""

def address_of(data: memoryview[int] | memoryview[float] | npt.NDArray[Any]) -> int:
    """Where the first byte of a buffer lies."""

def figures(data: memoryview[float]) -> tuple[float, float, float]:
    """Least, mean and greatest of float32 numbers in a row, at least one; NaN if one is."""

def ranked(data: memoryview[float], top: int) -> list[int]:
    """Indices of the `top` greatest of float32 numbers in a row, of equal ones the first first, NaN
    last."""

def crc32_of_file(file: int, offset: int, size: int) -> int:
    """The same of `size` bytes of an open file; GC-A001 where it ends before, GC-F001."""

def isa() -> str:
    """The instructions that hot loops use: "portable", "avx2" or "avx512". Raises GC-R004 for a bad
    GRAPHC_ISA."""

def kernel_symbols() -> list[str]:
    """The kernels that can be made, by name: those of oneDNN only where `channel_block()` is not 0.
    Raises GC-R004 for a bad GRAPHC_ISA."""

def onednn_version() -> str:
    """oneDNN's version; "" in builds without it."""

def channel_block() -> int:
    """Channels in a block of oneDNN's blocked tensors: 16 with AVX-512, 8 with AVX2. 0 if it is not
    built in, if GRAPHC_ISA says portable, or if GRAPHC_ISA is no longer what oneDNN was bound to
    when this process first asked. Raises GC-R004 for a bad GRAPHC_ISA."""

class Kernel:
    """One kernel made for operands of given specs; see `make_kernel`."""

    @property
    def workspace(self) -> int:
        """Bytes of workspace a run needs."""

    @property
    def packed(self) -> int:
        """Floats of the packed weight, where only the kernel knows (oneDNN's); else 0. A kernel
        made with a weight of no elements, ("f32", (0,), None), tells it, but cannot be run."""

    def time(
        self,
        reads: Sequence[npt.NDArray[Any]],
        writes: Sequence[npt.NDArray[Any]],
        least: int,
        seconds: float,
        cold: Sequence[int] = (),
    ) -> float:
        """Microseconds of the fastest of at least `least` runs, as many as fit `seconds`, with the
        threads that the kernel was made for. No cache holds the reads with the numbers `cold`,
        dense ones, when a run starts."""

    def run(
        self,
        reads: Sequence[npt.NDArray[Any]],
        writes: Sequence[npt.NDArray[Any]],
        threads: int = 1,
        seed: int = 0,
        step: int = 0,
    ) -> None:
        """Run on arrays of exactly the kernel's specs; the workspace starts full of NaN. `seed` and
        `step` choose the random streams. Raises what the kernel has against its data."""

def make_kernel(
    symbol: str,
    reads: Sequence[Spec],
    writes: Sequence[Spec],
    attrs: Mapping[str, Any] = ...,
    threads: int = 1,
) -> Kernel:
    """The kernel called `symbol` for these operands; GC-A001 for what it cannot do. `threads`: the
    most its workspace has room for (a run with more makes the kernel anew)."""

def kernel_fits(
    symbol: str,
    reads: Sequence[Spec],
    writes: Sequence[Spec],
    attrs: Mapping[str, Any] = ...,
    threads: int = 1,
) -> bool:
    """Whether `make_kernel` would make it rather than raise GC-A001. Ask for oneDNN's with a packed
    weight of no elements."""

class Pages:
    """Zeroed memory that ends at a page nobody may touch; a writable buffer of bytes."""

    def __init__(self, nbytes: int) -> None: ...
    @staticmethod
    def over(memory: memoryview) -> Pages:
        """Memory of somebody else's: a writable, private mapping of a file."""
    @property
    def nbytes(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

Place: TypeAlias = tuple[int, int, int]
"""(region number, byte offset, bytes)."""

class Step:
    """One step of a session's entry; `symbol` "" is a host step, or a copy on another stream."""

    def __init__(
        self,
        *,
        name: str,
        symbol: str,
        reads: Sequence[Spec],
        writes: Sequence[Spec],
        attrs: Mapping[str, Any],
        read_places: Sequence[Place],
        write_places: Sequence[Place],
        workspace: Place,
        poison_before: Sequence[Place],
        poison_after: Sequence[Place],
        spent: Sequence[Place] = ...,
        stream: int = 0,
        waits: Sequence[int] = ...,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def symbol(self) -> str: ...

class Session:
    """Lists of steps on shared memory, ready to run; see csrc/core/session.h."""

    def __init__(
        self, regions: Sequence[Pages], entries: Sequence[Sequence[Step]], threads: int
    ) -> None: ...
    def run(
        self,
        entry: int,
        callback: Callable[[int], object],
        *,
        seed: int = 0,
        step: int = 0,
        poison: bool = False,
        audit: bool = False,
        measure: bool = False,
        drop: bool = False,
    ) -> None:
        """Run an entry without the interpreter's lock; `callback` gets the number of each host
        step. `drop`: pages of spent operands go back to the system."""

    @property
    def failed(self) -> int:
        """The step at which the last run ended early, -1 if it did not."""

    def times(self, entry: int) -> npt.NDArray[np.float64]:
        """Microseconds each step of the last measured run took. Not during a run (GC-R003)."""

class Packer:
    """Packs rows (first step, last step, size, align); see csrc/plan/pack.h."""

    def __init__(self, items: npt.NDArray[np.int64], ceiling: int) -> None: ...
    def place(
        self,
        order: npt.NDArray[np.int64],
        hangs: npt.NDArray[np.int64],
        past: int = ...,
        limit: int = ...,
    ) -> tuple[int, npt.NDArray[np.int64]]:
        """Arena size and offsets of the first `past` items of `order`, or of all; those that hang
        are placed from the top. Ends early, with what is placed by then, at `limit` bytes."""

    def improve(
        self,
        order: npt.NDArray[np.int64],
        hangs: npt.NDArray[np.int64],
        first: int,
        past: int,
        work: int,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """A better order and choice of those that hang, changed at positions first .. past - 1."""

def multiply_add(
    *, start: float, factor: float, addend: float, steps: int, threads: int
) -> tuple[float, int, float]:
    """Let every lane of every thread do x = x * factor + addend, `steps` times: seconds, how many
    multiply-adds that were, and the sum of the last x. See csrc/peaks/multiply_add.h."""

class Stream:
    """Two blocks of 64-bit words, the first one 0, 1, 2, ...; see csrc/peaks/stream.h."""

    def __init__(self, words: int, threads: int) -> None: ...
    @property
    def size(self) -> int:
        """Words of a block."""

    def read(self, first: int, count: int) -> tuple[float, int]:
        """Seconds to read words of the first block, and their sum."""

    def copy(self, first: int, count: int) -> float:
        """Seconds to copy words of the first block to the second."""

    def swap(self) -> None:
        """The second block becomes the first."""

class Replays:
    """What a Program takes that computes some calls twice, and what is best; see
    csrc/plan/replay.h. Scripts are rows (position that it comes before, position of the call)."""

    def __init__(
        self,
        *,
        later: int,
        us: Sequence[float],
        space: Sequence[int],
        deadline: Sequence[int],
        tables: Sequence[tuple[Sequence[int], Sequence[int]]],
        bytes: Sequence[int],
        droppable: Sequence[bool],
        again: Sequence[bool],
        given: Sequence[bool],
        origin: Sequence[int],
        held: Sequence[int],
        large: Sequence[bool],
    ) -> None: ...
    def trial(self, script: npt.NDArray[np.int32]) -> tuple[int, float]:
        """Bytes at the fullest step, and microseconds of replays."""

    def script(self, groups: Sequence[int], most: int) -> npt.NDArray[np.int32] | list[int] | None:
        """The script of a choice, by root: -1, kept, else its group; or the roots that would be
        replayed too late; None if it has over `most` replays."""

    def chain(
        self, block_of: Sequence[int], outs: Sequence[int], slots: int, effort: int
    ) -> list[tuple[int, float, npt.NDArray[np.int32]]]:
        """Trials of what the chain of blocks proposes for memories of all sizes."""

    def stages(
        self, known: Sequence[tuple[int, float]], effort: int
    ) -> list[tuple[int, float, npt.NDArray[np.int32]]] | None:
        """Trials that beat those known, given as (peak, us), in bytes or time; None if the Program
        is not small, or more than `effort` ways would have to be tried."""

    def polish(
        self, script: npt.NDArray[np.int32], most: int, how: int
    ) -> tuple[int, float, npt.NDArray[np.int32]]:
        """A trial within `most` bytes that is smaller (`how` 1), faster (2), or better by single
        replays (4)."""
