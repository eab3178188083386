"""Random choices of the host side: shuffles, crops, mirrors.

A choice is a function of (seed, layer, purpose, epoch, record) alone: threads, restarts and what
was drawn before do not matter.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from graphc.rng import F64, uniform

_PER_RECORD = 4


def record_draws(
    *, seed: int, layer: str, purpose: str, record: int = 0, epoch: int = 0
) -> list[float]:
    """Four uniforms in [0, 1) of one record in one epoch."""
    found = uniform(
        (_PER_RECORD,),
        seed=seed,
        step=epoch,
        layer=layer,
        tag=crc32(purpose.encode()),
        first=_PER_RECORD * record,
    )
    return [float(u) for u in found]


def below(bound: int, draw: float) -> int:
    """Map a uniform in [0, 1) to 0 .. bound-1."""
    return int(draw * bound)


def permutation(count: int, *, seed: int, layer: str, purpose: str, epoch: int) -> list[int]:
    """A random order of range(count), another one in each epoch."""
    tag = crc32(purpose.encode())
    high, low = uniform((2, count), seed=seed, step=epoch, layer=layer, tag=tag)
    keys: F64 = high + low * 2.0**-24  # 24 random bits each; one alone would tie too often
    return [int(i) for i in np.argsort(keys, kind="stable")]
