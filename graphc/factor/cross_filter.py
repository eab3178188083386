"""Cross-filter bases: fewer filters of the same kernel, and their 1x1 combinations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from graphc.factor.conv import Conv
from graphc.factor.decomposition import Decomposition, Factor, Paths, blank
from graphc.factor.spectral import Spectral
from graphc.ops.spec import F64


class CrossFilter(Decomposition):
    """W = combination (N, r) basis (r, D) per group, D = C / group * kernel.

    `_lowrank` has the original's kernel, stride, padding and dilation, and no bias; `_linear` is
    1x1 and has it.
    """

    @cached_property
    def matrices(self) -> list[F64]:
        """(N / group, D) of each group."""
        return [part.reshape(len(part), -1) for part in self.conv.groups]

    @cached_property
    def full(self) -> int:
        return int(min(self.matrices[0].shape))

    def layout(self, rank: int) -> Paths:
        conv = self.conv
        depth, ones = conv.weight.shape[1], (1,) * len(conv.kernel)
        basis = blank(rank * conv.group, depth, *conv.kernel)
        first = Conv(basis, None, conv.group, conv.stride, conv.pad, conv.dilation)
        combination = blank(conv.outputs, rank, *ones)
        second = Conv(combination, conv.bias, conv.group, **conv.with_geometry(()))
        return ((Factor("lowrank", first), Factor("linear", second)),)

    def arrays(self, rank: int) -> Sequence[F64]:
        pairs = self.pairs(rank)
        return np.concatenate([b for _, b in pairs]), np.concatenate([c for c, _ in pairs])

    def pairs(self, rank: int) -> list[tuple[F64, F64]]:
        """Combination and basis of each group."""
        raise NotImplementedError


class Pca(CrossFilter, Spectral):
    """W = U (U^T W), U the leading eigenvectors of W W^T: orthonormal combinations.

    No mean is taken off, as in Force Regularization's own script (Wen et al., arXiv 1703.09746),
    so that the error is a truncated singular value decomposition's.
    """

    name = "pca"

    def pairs(self, rank: int) -> list[tuple[F64, F64]]:
        return [each.projected(rank) for each in self.spectra]


class Svd(CrossFilter, Spectral):
    """W = (U sqrt(S)) (sqrt(S) V^T): both factors of one norm, for fine-tuning at one rate."""

    name = "svd"

    def pairs(self, rank: int) -> list[tuple[F64, F64]]:
        return [each.balanced(rank) for each in self.spectra]


class KMeans(CrossFilter):
    """W = (one-hot assignment) (centroids): each filter becomes the mean of those like it.

    Lloyd's iterations from k-means++ seeds (Arthur and Vassilvitskii, 2007), the best of `STARTS`.
    """

    name, drawn = "kmeans", True
    STARTS, ITERATIONS = 3, 100

    @cached_property
    def full(self) -> int:
        return len(self.matrices[0])

    def pairs(self, rank: int) -> list[tuple[F64, F64]]:
        return [self._best(matrix, rank) for matrix in self.matrices]

    def _best(self, rows: F64, count: int) -> tuple[F64, F64]:
        runs = [self._clustered(rows, count) for _ in range(self.STARTS)]
        _, member, centroids = min(runs, key=lambda run: run[0])
        return np.eye(count)[member], centroids

    def _clustered(self, rows: F64, count: int) -> tuple[float, F64, F64]:
        centroids = self._seeds(rows, count)
        member = np.full(len(rows), -1)
        for _ in range(self.ITERATIONS):
            far = _distances(rows, centroids)
            nearest = np.argmin(far, axis=1)
            if (nearest == member).all():
                break
            member = nearest
            for each in range(count):
                if (member == each).any():
                    centroids[each] = rows[member == each].mean(axis=0)
        return float(((rows - centroids[member]) ** 2).sum()), member, centroids

    def _seeds(self, rows: F64, count: int) -> F64:
        """Rows drawn in proportion to their squared distance from those drawn before."""
        chosen = [int(self.rng.integers(len(rows)))]
        far = _distances(rows, rows[chosen])[:, 0]
        while len(chosen) < count:
            far[chosen] = 0
            rest = np.setdiff1d(np.arange(len(rows)), chosen)
            whole = far.sum()
            pick = self.rng.choice(len(rows), p=far / whole) if whole else rest[0]
            chosen.append(int(pick))
            far = np.minimum(far, _distances(rows, rows[[int(pick)]])[:, 0])
        return np.take(rows, chosen, axis=0)


def _distances(rows: F64, centres: F64) -> F64:
    """Squared distances (rows, centres)."""
    squares = (rows**2).sum(1)[:, None] + (centres**2).sum(1)[None]
    return np.asarray(np.maximum(squares - 2 * rows @ centres.T, 0))


__all__ = ["CrossFilter", "KMeans", "Pca", "Svd"]
