"""Windows: how a kernel slides along an axis, and what lies under it (im2col and back)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

from graphc.numpy_later import np
from graphc.ops.spec import F64
from graphc.records import record

BLOCK = 1 << 22  # elements of the largest column buffer (32 MiB of float64)


@record(frozen=True, slots=True)
class Window:
    """Window p of an axis covers elements p*stride - pad + j*dilation, j < kernel, of 0..size-1."""

    size: int
    kernel: int
    stride: int = 1
    pad: int = 0
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Elements from a window's first to its last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> int:
        return self.size + 2 * self.pad

    @property
    def out(self) -> int:
        """How many windows lie in the padded axis; below 1 where the kernel is too large."""
        return (self.padded - self.reach) // self.stride + 1

    def span(self, offset: int, first: int, stop: int) -> tuple[slice, slice]:
        """Which of the windows first..stop-1 have kernel element `offset` inside the axis, and
        which elements those are. The first slice counts from `first`; both may be empty."""
        shift = offset * self.dilation - self.pad
        low = max(first, -(shift // self.stride))
        high = min(stop, (self.size - 1 - shift) // self.stride + 1)
        if high <= low:
            return slice(0, 0), slice(0, 0)
        begin = low * self.stride + shift
        end = (high - 1) * self.stride + shift + 1
        return slice(low - first, high - first), slice(begin, end, self.stride)


Windows = tuple[Window, ...]
Rows = tuple[int, int]


def kernel_count(windows: Windows) -> int:
    """Elements of one window."""
    return math.prod(w.kernel for w in windows)


def window_count(windows: Windows) -> int:
    """Windows in one channel."""
    return math.prod(w.out for w in windows)


def unfold(x: F64, windows: Windows, rows: Rows | None = None) -> F64:
    """What lies under each window: x (M, size...) -> (M, kernel elements, windows), 0 in the pad.

    `rows`: only windows first..stop-1 along the first axis.
    """
    ranges = _ranges(windows, rows)
    outs = tuple(stop - first for first, stop in ranges)
    if _is_pointwise(windows):
        taken = x[:, slice(*ranges[0])] if ranges else x
        return taken.reshape(x.shape[0], 1, math.prod(outs))
    columns = np.zeros((x.shape[0], kernel_count(windows), math.prod(outs)))
    for k, (inside, under) in enumerate(_spans(windows, ranges)):
        columns[:, k].reshape(x.shape[0], *outs)[inside] = x[under]
    return columns


def fold(columns: F64, windows: Windows, image: F64, rows: Rows | None = None) -> None:
    """Add each element of `columns` to where `unfold` took it from in `image` (M, size...)."""
    ranges = _ranges(windows, rows)
    outs = tuple(stop - first for first, stop in ranges)
    for k, (inside, under) in enumerate(_spans(windows, ranges)):
        image[under] += columns[:, k].reshape(image.shape[0], *outs)[inside]


def blocks(samples: int, channels: int, windows: Windows) -> Iterator[tuple[slice, Rows]]:
    """Cut a batch into pieces whose columns stay below `BLOCK`: samples, and rows of windows."""
    height = windows[0].out if windows else 1
    row = max(1, channels * kernel_count(windows) * window_count(windows[1:]))
    rows = max(1, min(height, BLOCK // row))
    step = max(1, BLOCK // (row * max(1, height))) if rows == height else 1
    for n in range(0, samples, step):
        for first in range(0, height, rows):
            yield slice(n, min(n + step, samples)), (first, min(first + rows, height))


def _ranges(windows: Windows, rows: Rows | None) -> list[Rows]:
    ranges = [(0, w.out) for w in windows]
    if rows is not None and ranges:
        ranges[0] = rows
    return ranges


def _spans(
    windows: Windows, ranges: list[Rows]
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Slices (into windows, into elements) for each kernel element in row-major order."""
    axes = [
        [w.span(j, *rows) for j in range(w.kernel)] for w, rows in zip(windows, ranges, strict=True)
    ]
    everything = slice(None)
    for chosen in product(*axes):
        yield (everything, *(s[0] for s in chosen)), (everything, *(s[1] for s in chosen))


def _is_pointwise(windows: Windows) -> bool:
    return all(w.kernel == w.stride == 1 and w.pad == 0 for w in windows)
