"""LmdbBlocks: the records of an LMDB many at a time, where they lie plain.

`LmdbFile.records` looks at each record; for small ones that takes longer than reading them. Here
whole runs of leaf pages are read at once and their records found by a few operations on arrays.
Whatever is unusual, or broken, ends it, and is left to `LmdbFile.records`. See there for the
format.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from graphc.data.lmdb_file import BIG, BRANCH, DIRTY, LEAF, NONE, OVERFLOW, LmdbFile
from graphc.errors import GraphError
from graphc.limits import MIB
from graphc.records import record

_HEAD, _NODE = 16, 8  # bytes before a page's table of nodes, and before a node's key
_RUN = 32  # leaf pages that are read at once
_MOST = 4 * MIB  # bytes of large values that are read at once
I64 = npt.NDArray[np.int64]


@record(frozen=True, slots=True)
class Block:
    """Records in order: where in `data` the values begin, and their sizes in bytes."""

    data: bytes
    starts: I64
    sizes: I64

    def part(self, first: int, count: int) -> Block:
        return Block(
            self.data, self.starts[first : first + count], self.sizes[first : first + count]
        )


class _Unusual(Exception):
    """Something that is left to the other reader."""


class LmdbBlocks:
    """Values from the `start`-th record on, a number of them at a time."""

    def __init__(self, file: LmdbFile, start: int) -> None:
        self._file, self._skip = file, start
        self._blocks = self._walk()
        self._rest: Block | None = None

    def take(self, count: int) -> list[Block] | None:
        """The next `count` records; None if they do not lie plain, now and from then on."""
        found: list[Block] = []
        try:
            while count:
                block = self._rest or next(self._blocks)
                part = block.part(0, count)
                found.append(part)
                count -= len(part.starts)
                left = block.part(len(part.starts), len(block.starts))
                self._rest = left if len(left.starts) else None
        except (_Unusual, GraphError, StopIteration):
            self._blocks, self._rest = iter(()), None
            return None
        return found

    def _walk(self) -> Iterator[Block]:
        size = 1  # the first page tells whether its values lie elsewhere
        for run in self._leaf_runs():
            while run:
                now, run = run[:size], run[size:]
                block, is_large = self._block(now)
                size = 1 if is_large else _RUN
                skipped = min(self._skip, len(block.starts))
                self._skip -= skipped
                if skipped < len(block.starts):
                    yield block.part(skipped, len(block.starts))

    def _leaf_runs(self) -> Iterator[list[int]]:
        """Numbers of leaf pages, those that follow each other in one list."""
        file = self._file
        if file.root == NONE:
            return
        level = [[file.root]]
        for _ in range(file.depth - 1):
            level = [self._children(number) for numbers in level for number in numbers]
            if sum(map(len, level)) > file.pages:
                raise _Unusual
        run: list[int] = []
        for number in (n for numbers in level for n in numbers):
            if run and number != run[-1] + 1:
                yield run
                run = []
            run.append(number)
        yield run

    def _children(self, number: int) -> list[int]:
        """The pages below a branch page."""
        _, low, high, flags, _ = self._nodes([number], BRANCH)[:5]
        children: list[int] = (low | high << 16 | flags << 32).tolist()
        return children

    def _block(self, pages: list[int]) -> tuple[Block, bool]:
        """The records of leaf pages that follow each other; whether the values lie elsewhere."""
        at, low, high, flags, key, data = self._nodes(pages, LEAF)
        starts, sizes = at + _NODE + key, low | high << 16
        page_end = at - at % self._file.page_size + self._file.page_size
        if not flags.any():
            _check((starts + sizes <= page_end).all())
            return Block(data, starts, sizes), False
        _check((flags == BIG).all() and (starts + 8 <= page_end).all())
        bytes_at = np.frombuffer(data, np.uint8)[starts[:, None] + np.arange(8)]
        numbers = np.ascontiguousarray(bytes_at).view("<u8")[:, 0]
        _check((numbers < self._file.pages).all())
        return self._large(numbers.astype(np.int64), sizes), True

    def _large(self, numbers: I64, sizes: I64) -> Block:
        """Values on pages of their own, if these lie close to each other."""
        unit = self._file.page_size
        used = -(-(_HEAD + sizes) // unit)
        first, end = int(numbers.min()), int((numbers + used).max())
        total = int(used.sum())
        _check(end - first <= 2 * total and (end - first) * unit <= _MOST)
        last = int(np.argmax(numbers))  # its last page need not be whole
        size = (int(numbers[last]) - first) * unit + _HEAD + int(sizes[last])
        starts = (numbers - first) * unit
        _check((starts + _HEAD + sizes <= size).all())
        data = self._file.read(first, size)
        flags = np.frombuffer(data, np.uint8)[starts + 10] & ~np.uint8(DIRTY)
        _check((flags == OVERFLOW).all())
        return Block(data, starts + _HEAD, sizes)

    def _nodes(self, pages: list[int], kind: int) -> tuple[I64, I64, I64, I64, I64, bytes]:
        """Of all nodes of pages of a kind: where they begin, then the fields low, high, flags, key
        size, each checked to lie within its page; and the pages' bytes."""
        unit = self._file.page_size
        data = self._file.read(pages[0], len(pages) * unit)
        words = np.frombuffer(data, "<u2").reshape(len(pages), unit // 2)
        lower = words[:, 6].astype(np.int64)
        _check(((words[:, 5] & ~np.uint16(DIRTY)) == kind).all())
        counts = (lower - _HEAD) // 2
        _check((counts >= 1).all() and (lower <= unit).all())
        most = int(counts.max())
        table = words[:, _HEAD // 2 : _HEAD // 2 + most]
        offsets = table[np.arange(most) < counts[:, None]].astype(np.int64)
        _check((offsets % 2 == 0).all() and (offsets + _NODE <= unit).all())
        at = np.repeat(np.arange(len(pages)) * unit, counts) + offsets
        fields = words.reshape(-1)[(at // 2)[:, None] + np.arange(4)].astype(np.int64)
        low, high, flags, key = fields.T
        _check((offsets + _NODE + key <= unit).all())
        return at, low, high, flags, key, data


def _check(is_so: bool | np.bool_) -> None:
    if not is_so:
        raise _Unusual


__all__ = ["Block", "LmdbBlocks"]
