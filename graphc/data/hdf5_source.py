"""Hdf5Source: rows of the HDF5 files in a list, file after file, wrapping within a batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphc.data.draws import I64, permutation
from graphc.data.files import MAX_PATH, read_lines
from graphc.data.hdf5_file import Hdf5File
from graphc.data.source import AHEAD, Array, Batch, State, batch_size, check_shape, counters
from graphc.errors import GraphError, fail
from graphc.ir.op import Sig


class Hdf5Source:
    """Batches of the datasets named like the layer's tops; a Source.

    One whole file is in memory at a time. All datasets of a file have equally many rows (axis 0),
    all files the same other axes. `shuffle`: files and rows come in a new order in each epoch.
    Raises GC-F00x, GC-D00x, GC-L001, GC-U002.
    """

    ahead = AHEAD

    def __init__(
        self, source: str, s: Sig, stated_batch: int, *, shuffle: bool = False, seed: int = 0
    ) -> None:
        self.source, self.sig, self.shuffle, self.seed = source, s, shuffle, seed
        self.names = dict(zip(s.tops, s.top_names, strict=True))
        self.batch_size = batch_size(stated_batch, s, s.tops[0])
        lines = read_lines(s.env.resolve(source), s.env.limits)
        self.files = [name for line in lines for name in line.split()]  # Caffe splits at any space
        if not self.files:
            fail("GC-D001", f"list {source!r} names no files")
        for name in self.files:
            if len(name) > MAX_PATH:
                fail("GC-D002", f"list {source!r}: {name[:80]!r}... is too long for a file name")
        self._loaded: tuple[int, Batch] | None = None
        self._orders: dict[str, tuple[tuple[object, ...], I64]] = {}
        self.reset()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each top, from the first file's headers."""
        with self._open(self._file_order()[0]) as file:
            shapes = {role: file.shape(name) for role, name in self.names.items()}
        self._check_rows(shapes, self._file_order()[0])
        return {role: (self.batch_size, *shape[1:]) for role, shape in shapes.items()}

    def next(self) -> Batch:
        before = self.state()
        try:
            return self._batch()
        except GraphError:
            self.restore(before)
            raise

    def reset(self) -> None:
        self.file = self.row = self.epoch = 0

    def state(self) -> State:
        return {"file": self.file, "row": self.row, "epoch": self.epoch}

    def restore(self, state: Mapping[str, int]) -> None:
        found = counters(state, file=len(self.files), row=None, epoch=None)
        self.file, self.row, self.epoch = found

    def origin(self, state: Mapping[str, int], row: int) -> str:
        before = self.state()
        try:
            self.restore(state)
            while True:
                index = self._file_order()[self.file]
                rows = self._row_order(index, len(self._load(index)[self.sig.tops[0]]))
                if self.row + row < len(rows):
                    return f"{self.files[index]!r}, row {rows[self.row + row]}"
                row -= len(rows) - self.row
                self._advance(len(rows) - self.row, len(rows))
        finally:
            self.restore(before)

    def close(self) -> None:
        self._loaded = None

    def _batch(self) -> Batch:
        batch: Batch = {}
        filled = 0
        while filled < self.batch_size:
            index = self._file_order()[self.file]
            arrays = self._load(index)
            rows = self._row_order(index, len(arrays[self.sig.tops[0]]))
            taken = rows[self.row : self.row + self.batch_size - filled]
            if not len(taken):
                fail("GC-D002", f"{self.files[index]!r} has {len(rows)} rows, not {self.row + 1}")
            for role, array in arrays.items():
                if role not in batch:
                    batch[role] = self._allocate(role, array, index)
                self._put(batch[role], filled, array[taken], role, index)
            filled += len(taken)
            self._advance(len(taken), len(rows))
        return batch

    def _allocate(self, role: str, array: Array, index: int) -> Array:
        shape = (self.batch_size, *array.shape[1:])
        check_shape(self.sig, role, shape, repr(self.files[index]))
        return np.empty(shape, np.float32)

    def _put(self, out: Array, start: int, rows: Array, role: str, index: int) -> None:
        if rows.shape[1:] != out.shape[1:]:
            fail(
                "GC-D002",
                f"{self.files[index]!r}, dataset {self.names[role]!r}: rows of shape "
                f"{rows.shape[1:]}, but {out.shape[1:]} in the file before",
            )
        out[start : start + len(rows)] = rows

    def _advance(self, taken: int, rows: int) -> None:
        self.row += taken
        if self.row >= rows:
            self.row, self.file = 0, self.file + 1
        if self.file == len(self.files):
            self.file, self.epoch = 0, self.epoch + 1

    def _file_order(self) -> I64:
        return self._order("files", len(self.files))

    def _row_order(self, index: int, rows: int) -> I64:
        return self._order(f"rows of file {index}", rows)

    def _order(self, purpose: str, count: int) -> I64:
        key = (purpose, count, self.epoch if self.shuffle else 0)
        if self._orders.get(purpose, ((), ()))[0] != key:
            order = self._drawn(purpose, count) if self.shuffle else np.arange(count)
            self._orders = {k: v for k, v in self._orders.items() if k == "files"}
            self._orders[purpose] = (key, order)
        return self._orders[purpose][1]

    def _drawn(self, purpose: str, count: int) -> I64:
        return permutation(
            count, seed=self.seed, layer=self.sig.name, purpose=purpose, epoch=self.epoch
        )

    def _open(self, index: int) -> Hdf5File:
        env = self.sig.env
        return Hdf5File(env.resolve(self.files[index]), env.limits)

    def _load(self, index: int) -> Batch:
        """All datasets of a file, kept until another one is needed."""
        if self._loaded is None or self._loaded[0] != index:
            self._loaded = None  # let go of the old file before reading the new one
            with self._open(index) as file:
                arrays = {role: file.read(name) for role, name in self.names.items()}
            self._check_rows({role: a.shape for role, a in arrays.items()}, index)
            self._loaded = (index, arrays)
        return self._loaded[1]

    def _check_rows(self, shapes: Mapping[str, tuple[int, ...]], index: int) -> None:
        told = ", ".join(f"{self.names[role]!r} {shape}" for role, shape in shapes.items())
        if any(not shape for shape in shapes.values()):
            fail("GC-D002", f"{self.files[index]!r}: a dataset has no axes: {told}")
        rows = {shape[0] for shape in shapes.values()}
        if len(rows) > 1:
            fail("GC-D002", f"{self.files[index]!r}: datasets have different rows: {told}")
        if 0 in rows:
            fail("GC-D002", f"{self.files[index]!r} has no rows: {told}")
