"""Network decoupling: sums of a 1x1 and a depthwise convolution (Guo et al., arXiv 1808.05517)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod

import numpy as np

from graphc.factor.conv import Conv
from graphc.factor.decomposition import Decomposition, Factor, Paths, blank, relative
from graphc.factor.spectrum import tails
from graphc.ops.spec import F64


class Decouple(Decomposition):
    """W[n,c,k] = sum_p pw_p[n,c] dw_p[n,k]: each filter (C, kernel) cut at the same rank.

    Per path p `_nd<p>_pw`, 1x1 with the original's groups, and `_nd<p>_dw`, depthwise with its
    geometry; the first has the bias, and the paths are summed.
    """

    name = "decouple"
    grouped = False

    @classmethod
    def why_not(cls, conv: Conv) -> str:
        if not conv.kernel:
            return f"method {cls.name} is for convolutions"
        return "" if max(conv.kernel) > 1 else "its kernel is 1x1"

    @cached_property
    def _filters(self) -> F64:
        """(N, C / group, kernel taps)."""
        return self.conv.weight.reshape(*self.conv.weight.shape[:2], -1)

    @cached_property
    def full(self) -> int:
        return int(min(self._filters.shape[1:]))

    @cached_property
    def _svd(self) -> tuple[F64, F64, F64]:
        u, s, v = np.linalg.svd(self._filters, full_matrices=False)
        return u, s, v

    @cached_property
    def left(self) -> F64:
        found = tails((self._svd[1] ** 2).sum(axis=0))
        return relative(found, float(found[0]))

    def layout(self, rank: int) -> Paths:
        conv = self.conv
        count, depth = conv.weight.shape[:2]
        ones = (1,) * len(conv.kernel)
        point = Conv(blank(count, depth, *ones), None, conv.group, **conv.with_geometry(()))
        geometry = (count, conv.stride, conv.pad, conv.dilation)
        return tuple(
            (
                Factor(f"nd{path}_pw", point),
                Factor(
                    f"nd{path}_dw",
                    Conv(blank(count, 1, *conv.kernel), None if path else conv.bias, *geometry),
                ),
            )
            for path in range(rank)
        )

    def arrays(self, rank: int) -> Sequence[F64]:
        u, s, v = self._svd
        assert v.shape[2] == prod(self.conv.kernel)
        root = np.sqrt(s)
        found: list[F64] = []
        for path in range(rank):
            found += [u[:, :, path] * root[:, [path]], v[:, path] * root[:, [path]]]
        return found


__all__ = ["Decouple"]
