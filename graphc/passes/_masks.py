"""Which weights to keep: the largest, alone, of each few, or in blocks."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from graphc.ir.graph import Array
from graphc.records import record

Mask = npt.NDArray[np.bool_]


@record(frozen=True)
class Pattern:
    """`rows` by `columns`: a block of outputs and columns (channel and tap) that is kept or not as
    a whole. `keep` of `of` > 0: so many of each `of` channels next to each other."""

    rows: int = 1
    columns: int = 1
    keep: int = 0
    of: int = 0


def parse_pattern(text: str) -> Pattern | None:
    """ "unstructured", "N:M" or "RxC"; None for anything else."""
    if text == "unstructured":
        return Pattern()
    found = re.fullmatch(r"([1-9]\d{0,4})(:|x)([1-9]\d{0,4})", text)
    if found is None:
        return None
    first, second = int(found[1]), int(found[3])
    if found[2] == "x":
        return Pattern(first, second)
    return Pattern(keep=first, of=second) if first < second else None


def scores(matrix: Array, pattern: Pattern) -> Array:
    """What each block of (outputs, channels, taps) is worth: the mean of |w| over those of its
    elements that exist."""
    columns = np.abs(matrix).reshape(len(matrix), -1)
    if pattern.rows == pattern.columns == 1:
        return columns
    sums = _blocks(columns, pattern)
    return np.asarray(sums / _blocks(np.ones_like(columns), pattern), np.float32)


def _blocks(columns: Array, pattern: Pattern) -> Array:
    """Sums over blocks; those at the ends may be cut."""
    down = np.add.reduceat(columns, range(0, columns.shape[0], pattern.rows), axis=0)
    return np.asarray(np.add.reduceat(down, range(0, columns.shape[1], pattern.columns), axis=1))


def spread(kept: Mask, matrix: Array, pattern: Pattern) -> Mask:
    """A mask of blocks as one of the matrix's elements."""
    rows, columns = len(matrix), matrix[0].size if len(matrix) else 0
    whole = np.repeat(np.repeat(kept, pattern.rows, 0), pattern.columns, 1)
    return whole[:rows, :columns].reshape(matrix.shape)


def largest(values: Array, count: int) -> Mask:
    """Where the `count` largest values are; of equal ones the first."""
    flat = values.reshape(-1)
    mask = np.zeros(flat.size, bool)
    if count >= flat.size:
        mask[:] = True
    elif count > 0:
        least = np.partition(flat, flat.size - count)[flat.size - count]
        mask[:] = flat > least
        ties = np.flatnonzero(flat == least)
        mask[ties[: count - int(mask.sum())]] = True
    return mask.reshape(values.shape)


def few_of_each(matrix: Array, pattern: Pattern) -> Mask:
    """The `keep` largest of each `of` channels, for every output and tap."""
    outputs, channels, taps = matrix.shape
    grouped = np.abs(matrix).reshape(outputs, channels // pattern.of, pattern.of, taps)
    order = np.argsort(-grouped, axis=2, kind="stable")
    mask = np.zeros(grouped.shape, bool)
    np.put_along_axis(mask, order[:, :, : pattern.keep], True, axis=2)
    return mask.reshape(matrix.shape)


def densities(shapes: Sequence[tuple[int, ...]], density: float) -> list[float]:
    """The share of weights that each layer of (outputs, channels, *kernel) keeps, such that
    together they keep `density`, and each in proportion to the sum of its extents over their
    product; none more than all. Source: Evci et al., Rigging the lottery, 2020 (ERK)."""
    sizes = [math.prod(shape) for shape in shapes]
    raw = [sum(shape) / max(1, size) for shape, size in zip(shapes, sizes, strict=True)]
    full: set[int] = set()
    while True:
        rest = [i for i in range(len(shapes)) if i not in full]
        wanted = density * sum(sizes) - sum(sizes[i] for i in full)
        weight = sum(raw[i] * sizes[i] for i in rest)
        scale = wanted / weight if weight else 0.0
        over = {i for i in rest if scale * raw[i] > 1}
        if not over:
            return [1.0 if i in full else max(0.0, scale * raw[i]) for i in range(len(shapes))]
        full |= over


__all__ = ["Mask", "Pattern", "densities", "few_of_each", "largest", "parse_pattern", "scores"]
__all__ += ["spread"]
