"""Tucker-2: fewer channels in and out of a smaller core (Kim et al., arXiv 1511.06530)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from graphc.factor.conv import Conv
from graphc.factor.decomposition import Decomposition, Factor, Paths, blank, relative
from graphc.factor.spectrum import SLACK, spectrum, tails
from graphc.ops.spec import F64

SWEEPS = 10
"""Of higher-order orthogonal iteration; it settles within a few."""


class Tucker(Decomposition):
    """W[n,c,k] = sum_a,b out[n,a] core[a,b,k] in[c,b] per group.

    The rank is that of the outputs, a; b is the least for which the cut along the inputs leaves out
    no more than the one along the outputs. Both together bound the error, which
    higher-order orthogonal iteration then only lowers. `inner` gives b instead.

    `_tkin` 1x1, `_tkcore` with the kernel and all geometry, `_tkout` 1x1 with the bias.
    """

    name = "tucker"
    inner: int | None = None

    @classmethod
    def why_not(cls, conv: Conv) -> str:
        if not conv.kernel:
            return f"method {cls.name} is for convolutions"
        return "" if max(conv.kernel) > 1 else "its kernel is 1x1"

    @cached_property
    def unfoldings(self) -> tuple[list[F64], list[F64]]:
        """Of each group (N, C kernel), and (C, N kernel)."""
        outer = [part.reshape(len(part), -1) for part in self.conv.groups]
        inner = [np.swapaxes(part, 0, 1).reshape(part.shape[1], -1) for part in self.conv.groups]
        return outer, inner

    @cached_property
    def full(self) -> int:
        return int(min(self.unfoldings[0][0].shape))

    @cached_property
    def full_inner(self) -> int:
        return int(min(self.unfoldings[1][0].shape))

    @cached_property
    def _cuts(self) -> tuple[F64, F64]:
        """Relative squared errors of cutting one side alone, by rank."""
        energy = float((self.conv.weight**2).sum())
        sides = []
        for matrices in self.unfoldings:
            energies = [np.asarray(np.linalg.eigvalsh(m @ m.T)[::-1]) for m in matrices]
            found = np.sum([tails(np.maximum(e, 0)) for e in energies], axis=0)
            sides.append(relative(found, energy))
        outer, inner = sides
        return _ended(outer, self.full), _ended(inner, self.full_inner)

    @cached_property
    def left(self) -> F64:
        outer, inner = self._cuts
        return np.array([outer[r] + inner[self.inner_rank(r)] for r in range(self.full + 1)])

    def inner_rank(self, rank: int) -> int:
        """The inputs' rank that goes with the outputs' `rank`."""
        if self.inner is not None:
            return self.inner
        outer, inner = self._cuts
        return max(1, int(np.flatnonzero(inner <= outer[rank] + SLACK)[0]))

    def layout(self, rank: int) -> Paths:
        conv, inner = self.conv, self.inner_rank(rank)
        depth, ones, group = conv.weight.shape[1], (1,) * len(conv.kernel), conv.group
        idle = conv.with_geometry(())
        first = Conv(blank(inner * group, depth, *ones), None, group, **idle)
        core = blank(rank * group, inner, *conv.kernel)
        second = Conv(core, None, group, conv.stride, conv.pad, conv.dilation)
        third = Conv(blank(conv.outputs, rank, *ones), conv.bias, group, **idle)
        return ((Factor("tkin", first), Factor("tkcore", second), Factor("tkout", third)),)

    def arrays(self, rank: int) -> Sequence[F64]:
        inner = self.inner_rank(rank)
        found = [tucker2(part, rank, inner) for part in self.conv.groups]
        return (
            np.concatenate([c.T for _, _, c in found]),
            np.concatenate([core for _, core, _ in found]),
            np.concatenate([n for n, _, _ in found]),
        )


def tucker2(tensor: F64, outer: int, inner: int, sweeps: int = SWEEPS) -> tuple[F64, F64, F64]:
    """Factors n (N, outer) and c (C, inner) with orthonormal columns, and the core (outer, inner,
    kernel...), of tensor (N, C, kernel...).

    From the leading vectors of both unfoldings by higher-order orthogonal iteration, which never
    raises ||W - W'||^2 = ||W||^2 - ||core||^2 (De Lathauwer et al., 2000).
    """
    c = _leading(np.swapaxes(tensor, 0, 1), inner)
    n = _leading(tensor, outer)
    for _ in range(sweeps if (outer, inner) != tensor.shape[:2] else 0):
        n = _leading(np.einsum("nc...,cb->nb...", tensor, c, optimize=True), outer)
        c = _leading(
            np.swapaxes(np.einsum("nc...,na->ac...", tensor, n, optimize=True), 0, 1), inner
        )
    half = np.einsum("nc...,na->ac...", tensor, n, optimize=True)
    return n, np.einsum("ac...,cb->ab...", half, c, optimize=True), c


def _leading(tensor: F64, rank: int) -> F64:
    """The `rank` leading left singular vectors of the tensor unfolded along axis 0."""
    matrix = tensor.reshape(len(tensor), -1)
    if len(matrix) > matrix.shape[1]:
        return spectrum(matrix).u[:, :rank]
    return np.asarray(np.linalg.eigh(matrix @ matrix.T)[1][:, ::-1][:, :rank])


def _ended(left: F64, full: int) -> F64:
    """The errors up to rank `full`, at which nothing is left out."""
    return np.concatenate([left[:full], [0.0]])


__all__ = ["Tucker", "tucker2"]
