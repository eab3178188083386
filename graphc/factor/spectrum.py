"""Spectrum: singular values and left singular vectors, from which two factors are made."""

from __future__ import annotations

import numpy as np

from graphc.ops.spec import F64
from graphc.records import record

LARGE = 512
"""From this extent on the eigenvalues of the smaller Gram matrix are taken: half of the digits of
small singular values, in a fraction of the time."""
SLACK = 1e-12
"""Share of the energy by which a rank may miss what was asked for, as sums are rounded."""


@record(frozen=True)
class Spectrum:
    """Left singular vectors `u` (rows, k) and singular values `s` (k,), largest first, of `of`."""

    of: F64
    u: F64
    s: F64

    @property
    def tails(self) -> F64:
        """Squared Frobenius norm of what a cut at rank 0, 1, ..., k leaves out (Eckart-Young)."""
        return tails(self.s**2)

    def projected(self, rank: int) -> tuple[F64, F64]:
        """U (rows, rank) with orthonormal columns, and U^T of."""
        u = self.u[:, :rank]
        return u, u.T @ self.of

    def balanced(self, rank: int) -> tuple[F64, F64]:
        """U sqrt(S) and sqrt(S) V^T: two factors of equal norms."""
        u, right = self.projected(rank)
        root = np.sqrt(self.s[:rank])
        inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
        return u * root, inverse[:, None] * right


def spectrum(matrix: F64) -> Spectrum:
    """Singular value decomposition of a matrix (rows, columns), of as many values as it has."""
    if min(matrix.shape) < LARGE:
        u, s, _ = np.linalg.svd(matrix, full_matrices=False)
        return Spectrum(matrix, u, s)
    rows, columns = matrix.shape
    if rows <= columns:
        energies, u = np.linalg.eigh(matrix @ matrix.T)
        return Spectrum(matrix, u[:, ::-1], np.sqrt(np.maximum(energies[::-1], 0)))
    _, v = np.linalg.eigh(matrix.T @ matrix)
    u, triangle = np.linalg.qr(matrix @ v[:, ::-1])
    s = np.abs(np.diag(triangle))
    order = np.argsort(-s, kind="stable")
    return Spectrum(matrix, u[:, order], s[order])


def tails(energies: F64) -> F64:
    """(k + 1,): the sum of all but the first 0, 1, ..., k energies; the last is 0."""
    return np.concatenate([np.cumsum(energies[::-1])[::-1], [0.0]])


def least_rank(left: F64, error: float, least: int = 1) -> int:
    """The least rank at which `left` (k + 1,), relative squared errors by rank, is at most `error`.

    `left` falls; where even its last entry is above, that rank is returned.
    """
    fits = np.flatnonzero(left <= error + SLACK)
    return max(least, int(fits[0]) if fits.size else len(left) - 1)


__all__ = ["Spectrum", "least_rank", "spectrum", "tails"]
