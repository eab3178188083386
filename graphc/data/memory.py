"""MemorySource: batches of arrays that the caller handed over, for MemoryData layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc.data.source import Batch, State, batch_size, counters
from graphc.errors import fail
from graphc.ir.op import Sig


class MemorySource:
    """Batches {"data": (B, C, H, W), "label": (B, 1, 1, 1)} of the arrays given; a Source.

    `shape`: (C, H, W). Arrays come by `set_arrays`, which starts anew from their first row.
    """

    ahead = 0

    def __init__(self, s: Sig, stated_batch: int, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.batch_size = batch_size(stated_batch, s, "data")
        self.row = 0
        self._data = np.empty((0, *shape), np.float32)
        self._label = np.empty(0, np.float32)

    def set_arrays(self, data: npt.NDArray[Any], label: npt.NDArray[Any]) -> None:
        """Take data (N, C, H, W) and N labels, copied; N a multiple of the batch size.

        Raises GC-R001; the arrays before stay then.
        """
        rows = data.shape[0] if data.ndim else 0
        if data.shape != (rows, *self.shape):
            fail("GC-R001", f"data has shape {data.shape}, expected (N, {self._told()})")
        if label.shape[:1] != (rows,) or label.size != rows:
            fail("GC-R001", f"label has shape {label.shape}, expected ({rows},) as data has rows")
        if rows < 1 or rows % self.batch_size:
            fail(
                "GC-R001",
                f"data has {rows} rows, no multiple of the batch size {self.batch_size}",
                "leave out or repeat rows",
            )
        if data.dtype.kind not in "fiub" or label.dtype.kind not in "fiub":
            fail("GC-R001", f"data and label hold {data.dtype} and {label.dtype}, not numbers")
        with np.errstate(over="ignore", invalid="ignore"):
            self._data = np.array(data, np.float32)
            self._label = np.array(label, np.float32).reshape(rows)
        self.row = 0

    def next(self) -> Batch:
        rows = len(self._data)
        if not rows:
            fail(
                "GC-R001",
                f"no arrays were given: data (N, {self._told()}) and label (N,)",
                "call set_arrays before running",
            )
        part = slice(self.row, self.row + self.batch_size)
        self.row = part.stop % rows
        label = self._label[part].reshape(-1, 1, 1, 1)
        return {"data": self._data[part].copy(), "label": label.copy()}

    def reset(self) -> None:
        self.row = 0

    def state(self) -> State:
        return {"row": self.row}

    def restore(self, state: Mapping[str, int]) -> None:
        """The arrays must be set first; a row that begins no batch of them is refused."""
        (row,) = counters(state, row=max(1, len(self._data)))
        if row % self.batch_size:
            fail("GC-D002", f"the saved position says row {row}, within a batch")
        self.row = row

    def origin(self, state: Mapping[str, int], row: int) -> str:
        return f"row {state['row'] + row} of the arrays given"

    def close(self) -> None:
        """Nothing is open."""

    def _told(self) -> str:
        return ", ".join(map(str, self.shape))
