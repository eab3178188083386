"""Launch: one call of a CUDA kernel; Work: those that make the results of one kernel row.

Everything that a launch needs is here, the same for a GPU and for the runner of the tests: which
source, which kernel, how many blocks of how many threads, shared memory, arguments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from graphc.errors import fail
from graphc.numpy_later import np
from graphc.records import record

THREADS = 256
"""Of a block, unless something else is said."""
MOST_BLOCKS = 2048
"""Of a grid whose threads walk on through the elements: what fills the largest GPU."""
WARP = 32
ELEMENTS_OF_BLOCK = 8192
"""Of one sum that a block takes; more are shared out, to at most `MOST_SHARES`."""
MOST_SHARES = 64
ITEM_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "u8": 1, "i32": 4, "i64": 8}
ITEMS = {
    "f32": "float",
    "f16": "graphc::Half",
    "bf16": "graphc::Bfloat16",
    "u8": "unsigned char",
    "i32": "int",
    "i64": "long long",
}
"""Element types by their name in C++, see kernels/storage.h."""
ITEM_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "u8": 1, "i32": 4, "i64": 8}

Told: TypeAlias = Mapping[str, Any]


@record(frozen=True, slots=True)
class Spec:
    """An operand: the name of its element type, a key of `ITEMS`, its shape, and how many elements
    it is along each axis from one to the next; None: it is dense."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def steps(self) -> tuple[int, ...]:
        """The strides, of a dense operand too."""
        return dense(self.shape) if self.strides is None else self.strides

    @property
    def is_dense(self) -> bool:
        return self._lies_as(dense(self.shape))

    @property
    def is_channels_last(self) -> bool:
        """Is it dense with axis 1 running fastest, (N, H, W, C) in memory?"""
        return self._lies_as(channels_last(self.shape))

    def _lies_as(self, strides: tuple[int, ...]) -> bool:
        triples = zip(self.shape, self.steps, strides, strict=True)
        return not self.size or all(a == b for n, a, b in triples if n > 1)

    @property
    def item(self) -> str:
        return ITEMS[self.dtype]


@record(frozen=True, slots=True)
class Operand:
    """An argument: the address of operand `index`, reads first, then writes, `offset` bytes on."""

    index: int
    offset: int = 0


@record(frozen=True, slots=True)
class Scratch:
    """An argument: an address in the workspace, `offset` bytes from its start, and what lies
    there."""

    offset: int
    dtype: str = "f32"


@record(frozen=True, slots=True)
class Given:
    """An argument that the runtime knows by name."""

    name: str


Memory: TypeAlias = Operand | Scratch
Place: TypeAlias = Memory | Given
"""Addresses."""

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


def dense(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a dense operand, in elements."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def channels_last(shape: Sequence[int]) -> tuple[int, ...]:
    """The same of one in whose memory axis 1 comes last."""
    if len(shape) < 3:
        return dense(shape)
    outer, _, *inner = dense((shape[0], 1, *shape[2:]))
    return (outer * shape[1], 1, *(n * shape[1] for n in inner))


def over(count: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block of threads that walk through `count` elements, at least one block."""
    return (max(1, min(MOST_BLOCKS, -(-count // THREADS))),), (THREADS,)


def over_rows(rows: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block of warps that walk through `rows`."""
    return over(rows * WARP)


def shares(count: int) -> int:
    """Of how many blocks each sums a share of `count` elements, before one adds up their sums."""
    return max(1, min(MOST_SHARES, -(-count // ELEMENTS_OF_BLOCK)))


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
