"""Ratios ours / peer of one cell, and what its A/A pair says they are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Any

from bench.peers.engines import AGAIN, OURS

Rounds = Sequence[Sequence[float]]
"""Samples by round."""


@dataclass(frozen=True)
class Ratio:
    """Below 1: ours is faster. `paired`: the median over rounds of the ratio within a round."""

    medians: float
    minima: float
    paired: float

    @property
    def spread(self) -> float:
        """How far from 1 the farthest of the three is, as a factor >= 1."""
        return max(factor(value) for value in (self.medians, self.minima, self.paired))


def factor(ratio: float) -> float:
    """max(r, 1/r): the same for a ratio and its inverse."""
    return max(ratio, 1 / ratio)


def flat(rounds: Rounds) -> list[float]:
    return list(chain.from_iterable(rounds))


def ratio(ours: Rounds, peer: Rounds) -> Ratio:
    """Of samples taken in the same rounds, in any one unit."""
    a, b = flat(ours), flat(peer)
    pairs = [median(x) / median(y) for x, y in zip(ours, peer, strict=True)]
    return Ratio(median(a) / median(b), min(a) / min(b), median(pairs))


def noise(cell: Mapping[str, Any], time: str) -> Ratio | None:
    """The ratio of the A/A pair: what is measured between an engine and itself."""
    ours, again = (samples(cell, name, time) for name in (OURS, AGAIN))
    return ratio(ours, again) if ours and again else None


def samples(cell: Mapping[str, Any], engine: str, time: str) -> Rounds | None:
    """`time`: "wall" or "cpu". None if the engine did not run, or computed something else."""
    found = cell["engines"].get(engine, {})
    rounds: Rounds | None = found.get(time)
    is_right = found.get("error") is None or found["error"] <= TOLERANCE
    return rounds if rounds and all(rounds) and is_right else None


def is_noise(found: Ratio, noise: Ratio | None) -> bool:
    """Is the difference no larger than between an engine and itself, or of two minds?"""
    if noise is None or math.copysign(1, found.medians - 1) != math.copysign(1, found.minima - 1):
        return True
    return min(factor(found.medians), factor(found.minima)) <= noise.spread


TOLERANCE = 1e-3
"""Largest error of an output, relative to the greatest output, with which times count."""
