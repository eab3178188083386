"""CP and Jaderberg's first scheme: chains with depthwise columns and rows in them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod

import numpy as np

from graphc.factor.als import cp
from graphc.factor.conv import Conv
from graphc.factor.decomposition import Decomposition, Factor, Paths, blank
from graphc.ops.spec import F64


class Cp(Decomposition):
    """W[n,c,y,x] = sum_r n[n,r] c[c,r] y[y,r] x[x,r], by alternating least squares.

    `_cpin` 1x1 to r channels, `_cpv` a column and `_cph` a row for each of them, `_cpout` 1x1 with
    the bias. Source: Lebedev et al., arXiv 1412.6553.
    """

    name, spatial, drawn = "cp", 2, True

    @classmethod
    def why_not(cls, conv: Conv) -> str:
        if conv.group > 1:
            return f"method {cls.name} takes no groups, and this has {conv.group}"
        return super().why_not(conv)

    @cached_property
    def full(self) -> int:
        """Enough for any tensor of these extents."""
        return int(self.conv.weight.size // max(self.conv.weight.shape))

    def layout(self, rank: int) -> Paths:
        conv = self.conv
        high, wide = conv.kernel
        idle = conv.with_geometry(())
        return (
            (
                Factor("cpin", Conv(blank(rank, conv.inputs, 1, 1), None, 1, **idle)),
                Factor(
                    "cpv", Conv(blank(rank, 1, high, 1), None, rank, **conv.with_geometry((0,)))
                ),
                Factor(
                    "cph", Conv(blank(rank, 1, 1, wide), None, rank, **conv.with_geometry((1,)))
                ),
                Factor("cpout", Conv(blank(conv.outputs, rank, 1, 1), conv.bias, 1, **idle)),
            ),
        )

    def arrays(self, rank: int) -> Sequence[F64]:
        out, inn, column, row = cp(self.conv.weight, rank, self.rng)
        return inn.T, column.T, row.T, out


class Jaderberg(Decomposition):
    """W[n,c,y,x] = sum_m a[n,c,m] v[c,m,y] h[c,m,x]: m separable filters of each channel, mixed.

    `_dv` makes m channels of each (kernel kh x 1), `_dh` takes their rows (1 x kw), `_mix` is 1x1
    with the original's groups and bias. Each channel is a CP decomposition of (N, kh, kw). Source:
    Jaderberg et al., arXiv 1405.3866, scheme 1.
    """

    name, spatial, drawn = "jaderberg", 2, True
    grouped = False

    @classmethod
    def why_not(cls, conv: Conv) -> str:
        flat = len(conv.kernel) == 2 and 1 in conv.kernel
        return super().why_not(conv) or ("its kernel has one row or column" if flat else "")

    @cached_property
    def full(self) -> int:
        return prod(self.conv.kernel)

    def layout(self, rank: int) -> Paths:
        conv = self.conv
        high, wide = conv.kernel
        many = conv.inputs * rank
        down = Conv(blank(many, 1, high, 1), None, conv.inputs, **conv.with_geometry((0,)))
        along = Conv(blank(many, 1, 1, wide), None, many, **conv.with_geometry((1,)))
        depth = conv.weight.shape[1] * rank
        mix = Conv(
            blank(conv.outputs, depth, 1, 1), conv.bias, conv.group, **conv.with_geometry(())
        )
        return ((Factor("dv", down), Factor("dh", along), Factor("mix", mix)),)

    def arrays(self, rank: int) -> Sequence[F64]:
        down, along, mixes = [], [], []
        for part in self.conv.groups:
            mixed = []
            for channel in np.swapaxes(part, 0, 1):
                a, v, h = self._channel(channel, rank)
                down.append(v.T)
                along.append(h.T)
                mixed.append(a)
            mixes.append(np.concatenate(mixed, axis=1))
        return np.concatenate(down), np.concatenate(along), np.concatenate(mixes)

    def _channel(self, filters: F64, rank: int) -> list[F64]:
        """The factors of one channel's filters (N, kh, kw)."""
        high, wide = self.conv.kernel
        if rank == self.full:  # one term per tap, which is exact
            rows, columns = np.divmod(np.arange(rank), wide)
            return [
                filters.reshape(len(filters), -1),
                np.eye(high)[:, rows],
                np.eye(wide)[:, columns],
            ]
        return cp(filters, rank, self.rng, starts=1)


__all__ = ["Cp", "Jaderberg"]
