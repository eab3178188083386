"""Source: what a data layer's `open` returns; batches in order.

Methods are called by one thread at a time; nothing depends on which thread that is, or on timing.
`graphc.data.prefetch` calls `next` ahead of its use, in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from graphc.errors import fail
from graphc.ir.op import Sig

Array: TypeAlias = npt.NDArray[np.float32]
Batch: TypeAlias = dict[str, Array]
State: TypeAlias = dict[str, int]
AHEAD = 4
"""Batches to read ahead, as many as Caffe."""


class Source(Protocol):
    """Batches of a data layer in order; a failed `next` leaves the position where it was.

    `ahead`: how many batches it is worth to read before they are asked for.
    """

    ahead: int

    def next(self) -> Batch:
        """The next batch: top role -> float32 array. Raises GC-D00x, GC-F00x, GC-L001."""

    def reset(self) -> None:
        """Back to the first batch."""

    def state(self) -> State:
        """Where `next` will go on, as numbers that a checkpoint can hold."""

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on where `state` was taken. Raises GC-D002 if it does not fit this source."""

    def origin(self, state: Mapping[str, int], row: int) -> str:
        """The record behind row `row` of the batch that begins at `state`, for messages."""

    def close(self) -> None:
        """Close files; may be called twice."""


def batch_size(stated: int, s: Sig, role: str) -> int:
    """Records per batch: axis 0 of the inferred type of top `role`, else the layer's own field.

    Raises GC-N008 below 1, GC-D002 if tops were given different batch sizes.
    """
    first = {t.shape[0] if t.shape else 1 for r, t in s.outs.items() if r in s.tops}
    if len(first) > 1:
        told = ", ".join(f"{r} {t.shape}" for r, t in s.outs.items())
        fail("GC-D002", f"the tops need one batch size, but are {told}")
    size = s.outs[role].shape[0] if role in s.outs and s.outs[role].shape else stated
    if size < 1:
        fail("GC-N008", f"batch_size is {size}", "it must be at least 1")
    return size


def check_shape(s: Sig, role: str, shape: tuple[int, ...], what: str) -> None:
    """Compare a batch with the type the net was built for, if there is one. Raises GC-D002."""
    expected = s.outs.get(role)
    if expected is not None and expected.shape != shape:
        fail(
            "GC-D002",
            f"{what} gives {role!r} of shape {shape}, but the net was built for {expected.shape}",
            "bring all records to one size, or give the shape that the source has",
        )


def counters(state: Mapping[str, int], **bounds: int | None) -> list[int]:
    """The named counters of a saved state, each 0 <= counter < bound (None: any).

    Raises GC-D002.
    """
    values: list[int] = []
    for name, bound in bounds.items():
        value = state.get(name)
        if not isinstance(value, int) or value < 0 or (bound is not None and value >= bound):
            told = "" if bound is None else f", but there are {bound:,}"
            fail(
                "GC-D002",
                f"the saved position says {name} {value}{told}",
                "this is not the data source the checkpoint was made with",
            )
        values.append(value)
    return values
