"""What layers that work along one axis share: splitting a shape there, and the axis's old names."""

from __future__ import annotations

import math

from graphc.errors import fail
from graphc.ir.op import Trait
from graphc.ir.types import Type


def around(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """(elements before, along, after) `axis`: a blob of `shape` seen with three axes."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def axis_or_dim(x: Type, axis: int | None, legacy: int | None, legacy_name: str) -> int:
    """The axis of Concat and Slice: `axis` (default 1), or what older nets call `*_dim`.

    Raises GC-N008 when both are given, GC-S002 when the axis is out of range.
    """
    if legacy is None:
        return x.axis(1 if axis is None else axis)
    if axis is not None:
        fail("GC-N008", f"axis is {axis} and {legacy_name} is {legacy}", "give only axis")
    if not 0 <= legacy < x.rank:
        fail("GC-S002", f"{legacy_name} {legacy} is out of range for a blob of shape {x.shape}")
    return legacy


def along(traits: frozenset[Trait], axis: int) -> frozenset[Trait]:
    """The traits of a layer at work along `axis`: along axis 0 it mixes the samples."""
    return traits if axis else traits - {Trait.BATCH_SEPARABLE}
