"""Counter-based random numbers of the host side: shuffles, crops, mirrors.

A draw is a function of (seed, layer, purpose, two counters) alone: threads, restarts and the
number of draws before it do not matter. Source: Salmon et al. 2011, Philox (here numpy's 4x64-10).
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
import numpy.typing as npt

_MASK = (1 << 64) - 1


def draws(
    count: int, *, seed: int, layer: str, purpose: str, first: int = 0, second: int = 0
) -> npt.NDArray[np.uint64]:
    """`count` uniform 64-bit integers; `first` and `second` are the counters (record, epoch)."""
    key = [seed & _MASK, crc32(purpose.encode())]
    counter = [0, first & _MASK, second & _MASK, crc32(layer.encode("utf-8", "surrogateescape"))]
    bits = np.random.Philox(
        key=np.array(key, np.uint64), counter=np.array(counter, np.uint64)
    )
    return np.asarray(bits.random_raw(count), np.uint64)


def below(bound: int, draw: np.uint64) -> int:
    """Map one draw to 0 .. bound-1 (bias under bound / 2^64)."""
    return int(draw) % bound


def permutation(count: int, *, seed: int, layer: str, purpose: str, epoch: int) -> list[int]:
    """A random order of range(count), another one in each epoch."""
    keys = draws(count, seed=seed, layer=layer, purpose=purpose, second=epoch)
    return [int(i) for i in np.argsort(keys, kind="stable")]
