"""contract: the one way a reference sums products, so that tests can count multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from graphc.numpy_later import np, npt

_COUNTER: ContextVar[list[int] | None] = ContextVar("macs", default=None)


def contract(spec: str, left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Einstein sum of two operands, `spec` as numpy.einsum's ("nk,ok->no"); one matrix product.

    Each letter stands at most once in an operand. NaN and inf pass without a warning.
    """
    terms, result = spec.split("->")
    first, second = terms.split(",")
    extents = dict(zip(first, left.shape, strict=True)) | dict(
        zip(second, right.shape, strict=True)
    )
    counter = _COUNTER.get()
    if counter is not None:
        counter[0] += math.prod(extents.values())
    left, first = _reduced(left, first, second + result)
    right, second = _reduced(right, second, first + result)
    batch = [c for c in first if c in second and c in result]
    summed = [c for c in first if c in second and c not in result]
    rows = [c for c in first if c not in second]
    cols = [c for c in second if c not in first]

    def stacked(array: npt.NDArray[Any], letters: str, *groups: list[str]) -> npt.NDArray[Any]:
        order = [letters.index(c) for group in groups for c in group]
        flat = (math.prod(extents[c] for c in group) for group in groups)
        return np.asarray(array.transpose(order).reshape(*flat))

    with np.errstate(all="ignore"):
        product = np.matmul(
            stacked(left, first, batch, rows, summed), stacked(right, second, batch, summed, cols)
        )
    made = [*batch, *rows, *cols]
    shaped = product.reshape([extents[c] for c in made])
    return np.asarray(shaped.transpose([made.index(c) for c in result]))


def _reduced(array: npt.NDArray[Any], letters: str, kept: str) -> tuple[npt.NDArray[Any], str]:
    """Sum over the axes whose letters stand nowhere in `kept`."""
    lone = tuple(i for i, c in enumerate(letters) if c not in kept)
    with np.errstate(all="ignore"):
        array = array.sum(lone) if lone else array
    return array, "".join(c for c in letters if c in kept)


@contextmanager
def counting() -> Iterator[list[int]]:
    """Within the block, the yielded one-element list counts multiply-adds done by `contract`."""
    counter = [0]
    token = _COUNTER.set(counter)
    try:
        yield counter
    finally:
        _COUNTER.reset(token)
