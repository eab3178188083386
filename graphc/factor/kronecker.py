"""Kronecker sums: an inner product as a few bilinear maps (Yu et al., arXiv 2011.01391)."""

from __future__ import annotations

from graphc.factor.spectrum import Spectrum, spectrum
from graphc.ops.spec import F64


def rearranged(weight: F64, out: tuple[int, int], inn: tuple[int, int]) -> F64:
    """(m1 n1, m2 n2): a weight (m1 m2, n1 n2) such that kron(A, B) becomes the outer product of A
    and B, flattened (Van Loan and Pitsianis, 1993)."""
    (m1, m2), (n1, n2) = out, inn
    found: F64 = weight.reshape(m1, m2, n1, n2).transpose(0, 2, 1, 3)
    return found.reshape(m1 * n1, m2 * n2)


class Kronecker:
    """weight (m1 m2, n1 n2) = sum_r kron(A_r, B_r): A (r, m1, n1), B (r, m2, n2)."""

    def __init__(self, weight: F64, out: tuple[int, int], inn: tuple[int, int]) -> None:
        self.out, self.inn = out, inn
        self.spectrum: Spectrum = spectrum(rearranged(weight, out, inn))

    @property
    def full(self) -> int:
        return len(self.spectrum.s)

    @property
    def left(self) -> F64:
        """Relative squared error of the weight by the number of terms."""
        found = self.spectrum.tails
        return found / found[0] if found[0] else found

    def terms(self, count: int) -> tuple[F64, F64]:
        """A and B of the best `count` terms, of equal norms."""
        (m1, m2), (n1, n2) = self.out, self.inn
        left, right = self.spectrum.balanced(count)
        return left.T.reshape(count, m1, n1), right.reshape(count, m2, n2)

    def params(self, count: int) -> int:
        (m1, m2), (n1, n2) = self.out, self.inn
        return count * (m1 * n1 + m2 * n2)


def pairs(extent: int) -> list[tuple[int, int]]:
    """All ways to write `extent` as a product of two, smaller factor first, then the larger."""
    low = [each for each in range(1, int(extent**0.5) + 1) if extent % each == 0]
    found = [(each, extent // each) for each in low]
    return sorted({*found, *((b, a) for a, b in found)})


def balanced_pair(extent: int) -> tuple[int, int]:
    """The two factors of `extent` that are nearest to each other, the smaller first."""
    return max(pair for pair in pairs(extent) if pair[0] <= pair[1])


__all__ = ["Kronecker", "balanced_pair", "pairs", "rearranged"]
