"""Bilinear projections of patches: sums of Kronecker products, as pairs of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod

from graphc.factor.conv import Conv
from graphc.factor.decomposition import Decomposition, Factor, Paths, blank
from graphc.factor.kronecker import Kronecker, balanced_pair
from graphc.ops.spec import F64


class Bilinear(Decomposition):
    """W[(i,j),c,k] = sum_p A_p[i,c] B_p[j,k]: each patch X (C, taps) becomes A_p X B_p^T.

    The N filters are m1 by m2, the two factors of N nearest to each other. Per path p `_bl<p>_pw`,
    1x1 with the m1 filters A_p, and `_bl<p>_dw`, which applies the m2 kernels B_p to each of these,
    with the original's geometry; the first has the bias, and the paths are summed. Source: Yu et
    al., arXiv 2011.01391.
    """

    name = "bilinear"
    grouped = False

    @classmethod
    def why_not(cls, conv: Conv) -> str:
        if not conv.kernel:
            return f"method {cls.name} is for convolutions; project_bilinear takes inner products"
        if conv.group > 1:
            return f"method {cls.name} takes no groups, and this has {conv.group}"
        return "" if max(conv.kernel) > 1 else "its kernel is 1x1"

    @cached_property
    def _sum(self) -> Kronecker:
        conv, taps = self.conv, prod(self.conv.kernel)
        flat = conv.weight.reshape(conv.outputs, -1)
        return Kronecker(flat, balanced_pair(conv.outputs), (conv.inputs, taps))

    @cached_property
    def full(self) -> int:
        return self._sum.full

    @cached_property
    def left(self) -> F64:
        return self._sum.left

    def layout(self, rank: int) -> Paths:
        conv = self.conv
        rows = balanced_pair(conv.outputs)[0]
        ones = (1,) * len(conv.kernel)
        point = Conv(blank(rows, conv.inputs, *ones), None, 1, **conv.with_geometry(()))
        weight, geometry = blank(conv.outputs, 1, *conv.kernel), (conv.stride, conv.pad)
        return tuple(
            (
                Factor(f"bl{path}_pw", point),
                Factor(
                    f"bl{path}_dw",
                    Conv(weight, None if path else conv.bias, rows, *geometry, conv.dilation),
                ),
            )
            for path in range(rank)
        )

    def arrays(self, rank: int) -> Sequence[F64]:
        found: list[F64] = []
        for a, b in zip(*self._sum.terms(rank), strict=True):
            found += [a, b[None].repeat(len(a), axis=0)]
        return found


__all__ = ["Bilinear"]
