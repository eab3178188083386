"""Separable pairs: a kernel of one column and one of one row (Tai et al., arXiv 1511.06067)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from graphc.factor.conv import Conv
from graphc.factor.decomposition import Factor, Paths, blank
from graphc.factor.spectral import Spectral
from graphc.ops.spec import F64


class Tai(Spectral):
    """W[n,c,y,x] = sum_r h[n,r,x] v[r,c,y] per group: the best such pair, by one decomposition of
    the matrix (C kh, kw N).

    `_v` slides down (kernel kh x 1), `_h` along (1 x kw); each has its axis' stride, padding and
    dilation, so `_v` still runs at the bottom's full width.
    """

    name, spatial = "tai", 2

    @classmethod
    def why_not(cls, conv: Conv) -> str:
        flat = len(conv.kernel) == 2 and 1 in conv.kernel
        return super().why_not(conv) or ("its kernel has one row or column" if flat else "")

    @cached_property
    def matrices(self) -> list[F64]:
        """(C kh, kw N) of each group."""
        found = []
        for part in self.conv.groups:
            count, depth, high, wide = part.shape
            found.append(part.transpose(1, 2, 3, 0).reshape(depth * high, wide * count))
        return found

    @cached_property
    def full(self) -> int:
        return int(min(self.matrices[0].shape))

    def layout(self, rank: int) -> Paths:
        conv = self.conv
        high, wide = conv.kernel
        down = blank(rank * conv.group, conv.weight.shape[1], high, 1)
        along = blank(conv.outputs, rank, 1, wide)
        first = Conv(down, None, conv.group, **conv.with_geometry((0,)))
        second = Conv(along, conv.bias, conv.group, **conv.with_geometry((1,)))
        return ((Factor("v", first), Factor("h", second)),)

    def arrays(self, rank: int) -> Sequence[F64]:
        _, count, depth, high, wide = self.conv.groups.shape
        down, along = [], []
        for each in self.spectra:
            left, right = each.balanced(rank)
            down.append(left.reshape(depth, high, rank).transpose(2, 0, 1))
            along.append(right.reshape(rank, wide, count).transpose(2, 0, 1))
        return np.concatenate(down), np.concatenate(along)


__all__ = ["Tai"]
