"""Rank rules: how far a layer is cut."""

from __future__ import annotations

from collections.abc import Callable

from graphc.errors import fail
from graphc.factor.conv import Ints
from graphc.factor.decomposition import Decomposition
from graphc.factor.evbmf import evbmf
from graphc.factor.spectrum import least_rank
from graphc.factor.tucker import Tucker

RULES = ("error", "energy", "amplitude", "threshold", "speedup", "evbmf")


def rank_by(rule: str, value: float, found: Decomposition, sizes: Ints) -> int:
    """The rank, per group, that a rule asks for; 1 to `found.full`. `sizes`: as `Conv.outs`.

    error e: the least with ||W - W'||^2 <= e ||W||^2; energy r: error 1 - r; amplitude r: energy
    r^2; threshold t: as many as there are singular values >= t; speedup x: the most that takes
    1 / x of the multiply-adds; evbmf: what stands out of noise. Raises GC-T001 for a rule that the
    method does not know, and a speedup that no rank reaches.
    """
    if rule == "error":
        return _by_error(found, value)
    if rule == "energy":
        return _by_error(found, 1 - value)
    if rule == "amplitude":
        return _by_error(found, 1 - value**2)
    if rule == "threshold":
        if found.values is None:
            fail("GC-T001", f"method {found.name} has no singular values for threshold")
        return max(1, int((found.values >= value).sum(axis=1).max()))
    if rule == "speedup":
        return _by_speedup(found, value, sizes)
    return _by_evbmf(found)


def _by_error(found: Decomposition, error: float) -> int:
    if found.left is not None:
        return least_rank(found.left, error)
    return _first(lambda rank: found.error(rank) <= error, found.full)


def _by_speedup(found: Decomposition, speedup: float, sizes: Ints) -> int:
    allowed = found.conv.macs(sizes) / speedup
    if found.macs(1, sizes) > allowed:
        most = found.conv.macs(sizes) / found.macs(1, sizes)
        told = f"no rank speeds it up {speedup:g} times"
        fail("GC-T001", told, f"rank 1 takes 1/{most:.3g} of the multiply-adds")
    return _first(lambda rank: found.macs(rank + 1, sizes) > allowed, found.full)


def _by_evbmf(found: Decomposition) -> int:
    if isinstance(found, Tucker):
        outer, inner = ([evbmf(m).rank for m in side] for side in found.unfoldings)
        found.inner = max(1, *inner)
        return max(1, *outer)
    if not found.matrices:
        fail("GC-T001", f"method {found.name} cuts no matrix, which evbmf needs")
    return min(found.full, max(1, *(evbmf(m).rank for m in found.matrices)))


def _first(holds: Callable[[int], bool], most: int) -> int:
    """The least of 1..most for which `holds`, which then holds for all above, or `most`."""
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


__all__ = ["RULES", "rank_by"]
