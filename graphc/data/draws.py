"""Random choices of the host side: shuffles, crops, mirrors.

A choice is a function of (seed, layer, purpose, epoch, record) alone: threads, restarts and what
was drawn before do not matter.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
import numpy.typing as npt

from graphc.records import record
from graphc.rng import F64, uniform

_PER_RECORD = 4
I64 = npt.NDArray[np.int64]


@record(frozen=True, slots=True)
class Span:
    """`count` records of an epoch from the `first` on."""

    first: int
    epoch: int
    count: int = 1


def spans(first: int, epoch: int, count: int, records: int) -> list[Span]:
    """`count` records from the `first` of `epoch` on, where each epoch has `records`."""
    found: list[Span] = []
    while count:
        taken = min(count, records - first)
        found.append(Span(first, epoch, taken))
        first, epoch, count = 0, epoch + 1, count - taken
    return found


def record_draws(span: Span, *, seed: int, layer: str, purpose: str) -> F64:
    """Uniforms in [0, 1), (records, 4): four for each record of a span."""
    return uniform(
        (span.count, _PER_RECORD),
        seed=seed,
        step=span.epoch,
        layer=layer,
        tag=crc32(purpose.encode()),
        first=_PER_RECORD * span.first,
    )


def below(bound: int, draw: F64) -> I64:
    """Map uniforms in [0, 1) to 0 .. bound-1."""
    return (draw * bound).astype(np.int64)


def permutation(count: int, *, seed: int, layer: str, purpose: str, epoch: int) -> I64:
    """A random order of range(count), another one in each epoch."""
    tag = crc32(purpose.encode())
    high, low = uniform((2, count), seed=seed, step=epoch, layer=layer, tag=tag)
    keys: F64 = high + low * 2.0**-24  # 24 random bits each; one alone would tie too often
    return np.argsort(keys, kind="stable")
