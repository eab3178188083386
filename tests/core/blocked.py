"""Operands in blocks of channels, (N, ceil(C / B), H, W, B), and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from core.rows import Array, spec

from graphc import _core

AROUND = 7  # what surrounds an operand that is a slice of the channels of a larger one


def room(
    shape: tuple[int, ...], lanes: int, gaps: int = 0, fill: float = np.nan, dtype: Any = np.float32
) -> Array:
    """A blocked operand for (N, C, H, W); `gaps`: blocks of another between samples."""
    n, c, h, w = shape
    blocks = -(-c // lanes)
    whole = np.full((n, blocks + gaps, h, w, lanes), AROUND, dtype)
    view = whole[:, gaps // 2 : gaps // 2 + blocks]
    view[...] = fill
    return view


def blocked(x: Array, lanes: int, gaps: int = 0) -> Array:
    """x (N, C, H, W) in blocks, with zeros for the channels it lacks."""
    y = room(x.shape, lanes, gaps, 0, x.dtype)
    for c in range(x.shape[1]):
        y[:, c // lanes, :, :, c % lanes] = x[:, c]
    return y


def plain(y: Array, channels: int) -> Array:
    """y in blocks as (N, C, H, W); asserts that the padding is 0 and nothing around is touched."""
    n, blocks, h, w, lanes = y.shape
    full = np.moveaxis(y, 4, 2).reshape(n, blocks * lanes, h, w)
    assert not full[:, channels:].any()
    if y.base is not None:
        outside = np.ones(y.base.shape, bool)
        start = y.__array_interface__["data"][0] - y.base.__array_interface__["data"][0]
        first = start // y.itemsize
        start = first // (h * w * lanes) if h * w else 0
        outside[:, start : start + blocks] = False
        assert (y.base[outside] == AROUND).all()
    return full[:, :channels]


def run(
    symbol: str, reads: list[Array], writes: list[Array], threads: int = 1, **told: Any
) -> list[Array]:
    """Run a kernel; returns `writes`."""
    kernel = _core.make_kernel(symbol, [spec(a) for a in reads], [spec(a) for a in writes], told)
    kernel.run(reads, writes, threads)
    return writes
