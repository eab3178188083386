"""Channel algebra: which indices of which axes live and die together (design 2, "ties").

An endpoint is "role.axis" ("x0.1", "weight.0"). Filter removal and decomposition read these data
and need no per-layer code. Source: index-level atoms, in place of layer-level groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from graphc.numpy_later import np, npt
from graphc.records import record


@record(frozen=True, slots=True)
class Tie:
    """dst[at + (t * count + i) * repeat + r] ~ src[start + i] for t < tile, i < count, r < repeat.

    `count` None: to the end of src. Equal channels: Tie("x.1", "y.1"); the third bottom of a
    Concat: Tie("x2.1", "y.1", at=offset); Flatten of C x H x W: Tie("x.1", "y.1", repeat=H * W).
    """

    src: str
    dst: str
    start: int = 0
    count: int | None = None
    at: int = 0
    repeat: int = 1
    tile: int = 1

    def pairs(self, src_size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Index arrays (into src, into dst) of all tied pairs, given the extent of src."""
        count = src_size - self.start if self.count is None else self.count
        src = np.tile(np.repeat(np.arange(count) + self.start, self.repeat), self.tile)
        return src, self.at + np.arange(src.size)


@record(frozen=True, slots=True)
class Grouped:
    """dst indexes within a group: dst[j] ~ src[g * n + j] for rows of group g (n: size of dst).

    The input axis of a grouped convolution's weight.
    """

    src: str
    dst: str
    groups: int


@record(frozen=True, slots=True)
class Balance:
    """As many indices must stay in each of the `groups` equal blocks of `endpoint`."""

    endpoint: str
    groups: int


@record(frozen=True, slots=True)
class Ordered:
    """The position matters (LRN across channels): removing an index shifts its neighbours."""

    endpoint: str


@record(frozen=True, slots=True)
class Free:
    """The axis is consumed or produced here alone: its indices may go with what feeds them."""

    endpoint: str


Algebra: TypeAlias = tuple[Tie | Grouped | Balance | Ordered | Free, ...]
Kept: TypeAlias = "Mapping[str, npt.NDArray[np.int64]]"
"""Ascending indices that are left of axes, by endpoint; an axis that is not there is whole."""


def same(src: str, dst: str, *axes: int) -> Algebra:
    """Ties of equal indices along `axes` of two roles."""
    return tuple(Tie(f"{src}.{axis}", f"{dst}.{axis}") for axis in axes)
