"""difference: how far two arrays are apart, where, and whether that is too far."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from graphc.ir.graph import Array
from graphc.ops.spec import F64
from graphc.records import record

TOLERANCE = 1e-4
SMALL = 1e-3
"""A blob whose values are all below this is held to this scale."""
EQUAL, CLOSE, DIFFERENT, SHAPES, NANS = "equal", "close", "different", "shapes differ", "NaN"


@record(frozen=True, slots=True)
class Made:
    """A blob, its last layer and that one's type, and all layers that write it, in order."""

    blob: str
    layer: str
    type: str
    layers: tuple[str, ...]


@record(frozen=True, slots=True)
class BlobDifference:
    """One blob of A and B. `max_abs`: largest |a - b|, at `index`, where the values are `at_a` and
    `at_b`; `relative`: that over max(max|b|, 0.001); `rms`: root mean square of a - b. Positions
    where both are NaN, or the same infinity, count as equal.

    `verdict`: "equal" bit for bit, "close", "different", "shapes differ", or "NaN" where only one
    side has one; with the last two the figures are NaN, and with shapes that differ, no `index`.
    """

    made: Made
    shape: tuple[int, ...]
    shape_b: tuple[int, ...]
    verdict: str
    max_abs: float = float("nan")
    relative: float = float("nan")
    rms: float = float("nan")
    index: tuple[int, ...] | None = None
    at_a: float = float("nan")
    at_b: float = float("nan")

    @property
    def ok(self) -> bool:
        return self.verdict in (EQUAL, CLOSE)


def difference(made: Made, a: Array, b: Array, tolerance: float) -> BlobDifference:
    """Compare one blob; see `BlobDifference`."""
    if a.shape != b.shape:
        return BlobDifference(made, a.shape, b.shape, SHAPES)
    if not a.size:
        return BlobDifference(made, a.shape, b.shape, EQUAL, 0.0, 0.0, 0.0)
    ours, theirs = a.astype(np.float64), b.astype(np.float64)
    odd = np.isnan(ours) != np.isnan(theirs)
    if odd.any():
        index, at_a, at_b = _at(odd, ours, theirs)
        return BlobDifference(made, a.shape, b.shape, NANS, index=index, at_a=at_a, at_b=at_b)
    apart = _apart(ours, theirs)
    index, at_a, at_b = _at(apart, ours, theirs)
    max_abs = float(apart.max())
    finite = np.abs(theirs[np.isfinite(theirs)])
    relative = max_abs / max(float(finite.max(initial=0.0)), SMALL)
    verdict = EQUAL if not max_abs else CLOSE if relative <= tolerance else DIFFERENT
    rms = float(np.sqrt(np.mean(apart**2)))
    return BlobDifference(
        made, a.shape, b.shape, verdict, max_abs, relative, rms, index, at_a, at_b
    )


def _apart(a: F64, b: F64) -> F64:
    """|a - b|; 0 where both are NaN or the same infinity."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    alike = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(alike, 0.0, apart)


def _at(where: npt.NDArray[Any], a: F64, b: F64) -> tuple[tuple[int, ...], float, float]:
    """The index of the first largest element of `where`, and the values there."""
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(where)), where.shape))
    return index, float(a[index]), float(b[index])


__all__ = ["TOLERANCE", "BlobDifference", "Made", "difference"]
