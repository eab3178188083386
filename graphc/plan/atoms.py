"""Atoms: the bytes of each root buffer, cut into parts that every view has wholly or not at all.

For the verifier, which must not share the lowering's idea of which views overlap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from graphc.ir.types import ITEM_BYTES
from graphc.numpy_later import np, npt
from graphc.program import Buffer, Program
from graphc.records import record

Bytes: TypeAlias = "npt.NDArray[np.int64]"


@record(frozen=True, slots=True)
class _Region:
    """Runs of `length` bytes, at `start` plus any sum of i * stride, i below extent, of each level;
    levels from the largest stride down."""

    start: int
    levels: tuple[tuple[int, int], ...]
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length + sum((n - 1) * step for n, step in self.levels)

    def runs(self) -> tuple[Bytes, Bytes]:
        starts = np.array([self.start], np.int64)
        for extent, stride in self.levels:
            steps = np.arange(extent, dtype=np.int64) * stride
            starts = (starts[:, None] + steps).reshape(-1)
        starts.sort()
        return starts, starts + self.length


class Atoms:
    """`of[buffer]`: numbers of its atoms within its root, rising; `count[root]`: how many there
    are."""

    def __init__(self, program: Program) -> None:
        self.of: list[tuple[int, ...]] = [(0,)] * len(program.buffers)
        self.count: dict[int, int] = {}
        families: dict[int, list[Buffer]] = {}
        for buffer in program.buffers:
            if buffer.view_of is not None:
                families.setdefault(buffer.view_of[0], []).append(buffer)
        for buffer in program.buffers:
            if buffer.view_of is not None:
                continue
            views = families.get(buffer.id)
            if views is None and 0 not in buffer.dims:
                self.count[buffer.id] = 1
            else:
                self.count[buffer.id] = self._cut([buffer, *(views or ())])

    def _cut(self, family: Sequence[Buffer]) -> int:
        regions: Sequence[_Region] = [_region(buffer) for buffer in family]
        if not any(region.length for region in regions):
            for buffer in family:
                self.of[buffer.id] = ()
            return 0
        if all(region == regions[0] for region in regions):
            return 1
        regions = _in_one_period(regions)
        if not any(region.levels for region in regions):
            return self._cut_gapless(family, regions)
        runs = [region.runs() for region in regions]
        edges = np.sort(np.concatenate([edge for pair in runs for edge in pair]))
        edges = edges[np.append(True, edges[1:] != edges[:-1])]
        inside = np.zeros((len(runs), edges.size), np.bool_)
        for row, (starts, ends) in zip(inside, runs, strict=True):
            before = np.searchsorted(starts, edges, "right") - 1
            row[:] = (before >= 0) & (edges < ends[before])
        columns = _distinct(inside[:, inside.any(0)])
        for buffer, row in zip(family, columns, strict=True):
            self.of[buffer.id] = tuple(int(atom) for atom in np.nonzero(row)[0])
        return int(columns.shape[1])

    def _cut_gapless(self, family: Sequence[Buffer], regions: Sequence[_Region]) -> int:
        """As `_cut`, of one run each."""
        edges = sorted({edge for region in regions for edge in (region.start, region.end)})
        inside = [[r.start <= edge < r.end for r in regions] for edge in edges]
        columns = dict.fromkeys(tuple(column) for column in inside if any(column))
        for at, buffer in enumerate(family):
            self.of[buffer.id] = tuple(n for n, column in enumerate(columns) if column[at])
        return len(columns)


def alike(a: Buffer, b: Buffer) -> bool:
    """Do both, wherever they begin, have their elements in the same places?"""
    if ITEM_BYTES[a.dtype] != ITEM_BYTES[b.dtype]:
        return False
    if (a.dims, a.strides) == (b.dims, b.strides):
        return True
    return math.prod(a.dims) == math.prod(b.dims) and a.is_dense and b.is_dense


def _distinct(columns: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Each different column once."""
    packed = np.ascontiguousarray(np.packbits(columns, axis=0).T)
    keys = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
    return columns[:, np.unique(keys, return_index=True)[1]]


def _region(buffer: Buffer) -> _Region:
    item = ITEM_BYTES[buffer.dtype]
    start = buffer.view_of[1] if buffer.view_of is not None else 0
    if not math.prod(buffer.dims):
        return _Region(start, (), 0)
    axes = zip(buffer.dims, buffer.strides, strict=True)
    strided = sorted(((d, s * item) for d, s in axes if d > 1), key=lambda a: -a[1])
    levels: list[tuple[int, int]] = []
    for extent, stride in [*strided, (item, 1)]:
        if levels and levels[-1][1] == extent * stride:
            levels[-1] = (levels[-1][0] * extent, stride)
        else:
            levels.append((extent, stride))
    length = levels.pop()[0]
    return _Region(start, tuple(levels), length)


def _in_one_period(regions: Sequence[_Region]) -> Sequence[_Region]:
    """Regions that repeat alike (slices of every sample), by what one period of them holds."""
    while True:
        outer = {region.levels[:1] for region in regions}
        if len(outer) != 1 or outer == {()}:
            return regions
        (((_, period),),) = outer
        inner = [_Region(r.start % period, r.levels[1:], r.length) for r in regions]
        is_same = len({r.start // period for r in regions}) == 1
        if not is_same or any(r.end > period for r in inner):
            return regions
        regions = inner


__all__ = ["Atoms", "alike"]
