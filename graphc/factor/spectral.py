"""Spectral: decompositions that cut the singular values of a matrix of each group."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from graphc.factor.decomposition import Decomposition, relative
from graphc.factor.spectrum import Spectrum, spectrum
from graphc.ops.spec import F64


class Spectral(Decomposition):
    """A method whose error at each rank is what the singular values beyond it hold.

    A subclass says which matrices they are of.
    """

    @cached_property
    def matrices(self) -> list[F64]:
        """One of each group."""
        raise NotImplementedError

    @cached_property
    def spectra(self) -> list[Spectrum]:
        return [spectrum(matrix) for matrix in self.matrices]

    @cached_property
    def left(self) -> F64:
        found = np.sum([each.tails for each in self.spectra], axis=0)
        return relative(found, float(found[0]))

    @cached_property
    def values(self) -> F64:
        return np.stack([each.s for each in self.spectra])


__all__ = ["Spectral"]
