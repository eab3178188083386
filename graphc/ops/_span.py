"""span: which axes of x the coefficients of a Scale or Bias layer belong to."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.types import Type


def span(x: Type, axis: int, num_axes: int) -> tuple[int, tuple[int, ...]]:
    """First axis and shape of a blob that lies along `num_axes` axes of x from `axis` on.

    `num_axes` -1: all that are left; 0: a scalar. Raises GC-S002 and GC-N008.
    """
    start = x.axis(axis)
    if num_axes < -1:
        fail("GC-N008", f"num_axes is {num_axes}", "it must be -1 (all that follow) or more")
    stop = x.rank if num_axes == -1 else start + num_axes
    if stop > x.rank:
        fail(
            "GC-S002",
            f"axis {axis} and num_axes {num_axes} go beyond x of shape {x.shape}",
            "num_axes: -1 takes all axes that are left",
        )
    return start, x.shape[start:stop]


def span_of_bottom(x: Type, axis: int, other: Type, role: str) -> int:
    """First axis of x along which a second bottom lies. Raises GC-S002 and GC-S003."""
    if other.rank == 0:
        return 0
    start = x.axis(axis)
    along = x.shape[start : start + other.rank]
    if along != other.shape:
        fail(
            "GC-S003",
            f"{role} has shape {other.shape}, but x from axis {start} on has {along} "
            f"(x: {x.shape})",
            "the second bottom's shape must equal that of the axes it lies along",
        )
    return start


def channel_axis(start: int, shape: tuple[int, ...]) -> int | None:
    """Where x's channel axis 1 is in a blob that starts at axis `start` of x."""
    return 1 - start if start <= 1 < start + len(shape) else None


__all__ = ["channel_axis", "span", "span_of_bottom"]
