"""Decomposition: what every way to write a convolution as several smaller ones has to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar, TypeAlias

import numpy as np

from graphc.factor.conv import Conv, Ints, product, regrouped, total
from graphc.ops.spec import F64
from graphc.records import record


@record(frozen=True)
class Factor:
    """One of the layers: what its name has beside that of the original, and what it computes."""

    suffix: str
    conv: Conv


Paths: TypeAlias = tuple[tuple[Factor, ...], ...]
"""Chains of layers that all read the bottom; the sum of what they end with is the top."""


class Decomposition:
    """Decompositions of one layer `conv`, by rank; a subclass is a method.

    A rank is that of each group where a method is `grouped`: 1 to `full`. Weights are (outputs,
    inputs / group, kernel...), everything is float64. `spatial`: how many spatial axes it needs,
    None: any.
    """

    name: ClassVar[str] = ""
    spatial: ClassVar[int | None] = None
    drawn: ClassVar[bool] = False
    """Does the result depend on random numbers?"""

    grouped: ClassVar[bool] = True
    """Is a rank one of each group, so that the layer's is as many times it?"""

    def __init__(self, conv: Conv, rng: np.random.Generator | None = None) -> None:
        self.conv = conv
        self.rng = rng or np.random.default_rng(0)

    @classmethod
    def why_not(cls, conv: Conv) -> str:
        """Why this method says nothing of a layer; empty if it can take it."""
        if cls.spatial is not None and len(conv.kernel) != cls.spatial:
            return f"method {cls.name} is for {cls.spatial} spatial axes"
        return ""

    @property
    def width(self) -> int:
        """By what a rank is multiplied to be the layer's."""
        return self.conv.group if self.grouped else 1

    @cached_property
    def full(self) -> int:
        """The largest rank that makes sense; spectral methods then change nothing."""
        raise NotImplementedError

    @cached_property
    def left(self) -> F64 | None:
        """(full + 1,): relative squared error of the weights at each rank, or a bound on it that
        falls to 0; None where only trying tells."""
        return None

    @cached_property
    def values(self) -> F64 | None:
        """(group, full): the singular values that are cut, where there is one set per group."""
        return None

    @cached_property
    def matrices(self) -> Sequence[F64]:
        """The matrices whose rank is cut, one per group; empty where it is no such cut."""
        return ()

    def layout(self, rank: int) -> Paths:
        """The layers with weights that take no memory and mean nothing, for counting."""
        raise NotImplementedError

    def arrays(self, rank: int) -> Sequence[F64]:
        """The weights of `layout(rank)`, in order."""
        raise NotImplementedError

    def factor(self, rank: int) -> Paths:
        """The layers at this rank."""
        arrays = iter(self.arrays(rank))
        return tuple(
            tuple(
                replace(f, conv=replace(f.conv, weight=next(arrays).reshape(f.conv.weight.shape)))
                for f in path
            )
            for path in self.layout(rank)
        )

    def macs(self, rank: int, sizes: Ints) -> int:
        """Multiply-adds of one sample at this rank, the bottom's spatial extents being `sizes`."""
        return paths_macs(self.layout(rank), sizes)

    def params(self, rank: int) -> int:
        return sum(f.conv.params for path in self.layout(rank) for f in path)

    def error(self, rank: int) -> float:
        """Relative squared error of the weights at this rank."""
        if self.left is not None:
            return float(self.left[rank])
        return weight_error(self.conv, self.factor(rank)) ** 2


def paths_macs(paths: Paths, sizes: Ints) -> int:
    found = 0
    for path in paths:
        extents = sizes
        for factor in path:
            found += factor.conv.macs(extents)
            extents = factor.conv.outs(extents)
    return found


def dense(paths: Paths) -> Conv | str:
    """The one convolution that `paths` amount to; else why there is none."""
    whole: list[Conv] = []
    for path in paths:
        found: Conv | str = path[0].conv
        for factor in path[1:]:
            found = product(found, factor.conv) if isinstance(found, Conv) else found
        if isinstance(found, str):
            return found
        whole.append(found)
    return total(whole) if len(whole) > 1 else whole[0]


def weight_error(conv: Conv, paths: Paths) -> float:
    """||W' - W|| / ||W||, Frobenius norms, W' being what `paths` amount to; 0 where W is 0."""
    made = dense(paths)
    assert isinstance(made, Conv)
    # a method may join groups, and then W' has entries outside of them
    wider = made.weight.shape[1] // conv.weight.shape[1]
    old = conv.weight
    if wider > 1:
        old = regrouped(conv, made.group).weight
    norm = float(np.linalg.norm(old))
    return float(np.linalg.norm(made.weight - old)) / norm if norm else 0.0


def blank(*shape: int) -> F64:
    """An array of zeros that takes no memory."""
    return np.broadcast_to(np.float64(0), shape)


def relative(left: F64, energy: float) -> F64:
    """Squared errors as shares of all energy; zeros where there is none."""
    return left / energy if energy else np.zeros_like(left)


__all__ = ["Decomposition", "Factor", "Paths", "blank", "dense", "paths_macs", "weight_error"]
