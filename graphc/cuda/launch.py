"""Launch: one call of a CUDA kernel; Work: those that make the results of one kernel row.

Everything that a launch needs is here, the same for a GPU and for the runner of the tests: which
source, which kernel, how many blocks of how many threads, shared memory, arguments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias

from graphc.errors import fail
from graphc.numpy_later import np
from graphc.records import record

THREADS = 256
"""Of a block, unless something else is said."""
MOST_BLOCKS = 2048
"""Of a grid whose threads walk on through the elements: what fills the largest GPU."""
WARP = 32
ITEMS = {
    "f32": "float",
    "f16": "graphc::Half",
    "bf16": "graphc::Bfloat16",
    "u8": "unsigned char",
    "i32": "int",
    "i64": "long long",
}
"""Element types by their name in C++, see kernels/storage.h."""

Told: TypeAlias = Mapping[str, Any]


@record(frozen=True, slots=True)
class Spec:
    """A dense operand: the name of its element type, a key of `ITEMS`, and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def item(self) -> str:
        return ITEMS[self.dtype]


@record(frozen=True, slots=True)
class Operand:
    """An argument: the address of operand `index`, reads first, then writes."""

    index: int


@record(frozen=True, slots=True)
class Scratch:
    """An argument: an address in the workspace, `offset` bytes from its start, where 4-byte numbers
    lie: "f32" or "i32"."""

    offset: int
    dtype: str = "f32"


@record(frozen=True, slots=True)
class Given:
    """An argument that the runtime knows by name."""

    name: str


FAULT = Given("fault")
"""The address of an int, at first 2^31 - 1: the lowest place at which data was wrong."""
STREAM = Given("stream")
"""The address of a RandomStream, see kernels/philox.h."""
NULL = Given("null")
"""A null pointer."""


@record(frozen=True, slots=True)
class Launch:
    """`source`: a file of kernels/, or text that was generated; `kernel`: a C++ expression that
    names it, template arguments included; `args`: `Operand`s and the like, numpy scalars, and
    records for structs; `shared`: bytes of dynamic shared memory."""

    source: str
    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    args: tuple[Any, ...]
    shared: int = 0


@record(frozen=True, slots=True)
class Work:
    """Launches in order, and the bytes of workspace that they use."""

    launches: tuple[Launch, ...]
    workspace: int = 0


def over(count: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block of threads that walk through `count` elements, at least one block."""
    return (max(1, min(MOST_BLOCKS, -(-count // THREADS))),), (THREADS,)


def over_rows(rows: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block of warps that walk through `rows`."""
    return over(rows * WARP)


def per_warp(threads: int = THREADS) -> int:
    """Bytes of shared memory of a number for each warp of a block, see block_sum."""
    return threads // WARP * 4


def long(*numbers: int) -> Any:
    """A struct of 64-bit numbers; a single one is passed as itself."""
    if len(numbers) == 1:
        return np.int64(numbers[0])
    return struct(*map(np.int64, numbers))


def struct(*fields: Any) -> Any:
    """A struct by value: a record whose fields lie as C++ lays them."""
    dtype = np.dtype([(f"f{i}", f.dtype) for i, f in enumerate(fields)], align=True)
    return np.array(tuple(fields), dtype)[()]


def refuse(symbol: str, why: str) -> NoReturn:
    """Raise GC-A001: the kernel cannot be made for these operands."""
    fail("GC-A001", f"cuda kernel {symbol}: {why}")
