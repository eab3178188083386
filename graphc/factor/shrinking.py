"""Shrinking: two layers with fewer channels between them, and the histories of their training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc.factor.conv import Conv
from graphc.factor.decomposition import relative
from graphc.factor.spectrum import least_rank, spectrum
from graphc.ops.spec import F64


def directions(first: Conv) -> list[tuple[F64, F64]]:
    """Of each group the eigenvectors K (r, k) of B B^T, B the filters, and the energies (k,)."""
    found = [spectrum(part.reshape(len(part), -1)) for part in first.groups]
    return [(each.u, each.s**2) for each in found]


def spare(first: Conv, error: float) -> int:
    """The least rank per group that leaves out at most `error` of the filters' energy."""
    energies = np.sum([e for _, e in directions(first)], axis=0)
    left = np.concatenate([np.cumsum(energies[::-1])[::-1], [0.0]])
    return least_rank(relative(left, float(left[0])), error)


def shrunk(first: Conv, second: Conv, rank: int) -> tuple[Conv, Conv]:
    """Both with `rank` channels per group in between: K^T B, and W K."""
    keys = [u[:, :rank] for u, _ in directions(first)]
    return (
        replace(first, weight=_first(first.weight, keys)),
        replace(second, weight=_second(second.weight, keys)),
    )


def shrunk_histories(first: Conv, histories: tuple[F64, F64], rank: int) -> tuple[F64, F64]:
    """The momentum of both layers' weights, as it would be had they been trained after the cut.

    K is orthonormal, so that K^T and K take the gradients of the old weights to those of the new.
    """
    keys = [u[:, :rank] for u, _ in directions(first)]
    return _first(histories[0], keys), _second(histories[1], keys)


def _first(weight: F64, keys: Sequence[F64]) -> F64:
    parts = np.split(weight, len(keys))
    return np.concatenate([np.tensordot(k.T, p, 1) for k, p in zip(keys, parts, strict=True)])


def _second(weight: F64, keys: Sequence[F64]) -> F64:
    parts = np.split(weight, len(keys))
    moved = [np.tensordot(p, k, ((1,), (0,))) for k, p in zip(keys, parts, strict=True)]
    return np.moveaxis(np.concatenate(moved), -1, 1)


__all__ = ["directions", "shrunk", "shrunk_histories", "spare"]
