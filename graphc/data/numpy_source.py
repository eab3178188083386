"""NumpySource: rows of the arrays of a .npz or .npy file, for NumpyData layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc.data.draws import I64, Span, permutation, spans
from graphc.data.numpy_file import NumpyFile
from graphc.data.source import AHEAD, Array, Batch, State, batch_size, check_shape, counters
from graphc.data.transform import NO_TRANSFORM, Transformer
from graphc.errors import GraphError, fail

_IMAGE_AXES = 4


class NumpySource:
    """Batches of one array per top; a Source.

    `names`: the array of each top. Arrays have equally many rows (axis 0). Images, the first
    top's, are transformed if `transform` is told to; others become float32 as they are. `shuffle`:
    the rows come in a new order in each epoch. Raises GC-F001, GC-D00x, GC-L001, GC-N008.
    """

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        transform: Transformer,
        stated_batch: int,
        *,
        shuffle: bool = False,
        ahead: int = AHEAD,
    ) -> None:
        self.path, self.shuffle, self.ahead = path, shuffle, ahead
        self.transform, self.sig = transform, transform.sig
        self.batch_size = batch_size(stated_batch, self.sig, self.sig.tops[0])
        with NumpyFile(path, self.sig.env.limits) as file:
            if file.names == ("",) and len(names) == 1:
                names = file.names
            found = {role: file.array(n) for role, n in zip(self.sig.tops, names, strict=True)}
        self.names = dict(zip(self.sig.tops, names, strict=True))
        self.arrays: dict[str, npt.NDArray[Any]] = found
        self.rows = self._checked_rows()
        self.is_transformed = transform.param != NO_TRANSFORM
        self._order: tuple[int, I64] | None = None
        self.record = self.epoch = 0
        self.shapes()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each top."""
        shapes = {role: (self.batch_size, *a.shape[1:]) for role, a in self.arrays.items()}
        if self.is_transformed:
            role = self.sig.tops[0]
            if len(shapes[role]) != _IMAGE_AXES:
                fail(
                    "GC-D002",
                    f"{self._told(role)} has shape {self.arrays[role].shape}, but transform_param "
                    "is for images (N, C, H, W)",
                )
            with self._naming(role):
                shapes[role] = (self.batch_size, *self.transform.shape(shapes[role][1:]))
        return shapes

    def next(self) -> Batch:
        places = spans(self.record, self.epoch, self.batch_size, self.rows)
        rows = np.concatenate([self._rows(place) for place in places])
        batch: Batch = {}
        for role, array in self.arrays.items():
            taken = self._taken(array, rows, places)
            if self.is_transformed and role == self.sig.tops[0]:
                batch[role] = self._transformed(role, taken, places)
            else:
                with np.errstate(over="ignore", invalid="ignore"):
                    batch[role] = taken.astype(np.float32)
            check_shape(self.sig, role, batch[role].shape, self._told(role))
        last = places[-1]
        self.record, self.epoch = last.first + last.count, last.epoch
        if self.record == self.rows:
            self.record, self.epoch = 0, self.epoch + 1
        return batch

    def reset(self) -> None:
        self.record = self.epoch = 0

    def state(self) -> State:
        return {"record": self.record, "epoch": self.epoch}

    def restore(self, state: Mapping[str, int]) -> None:
        self.record, self.epoch = counters(state, record=self.rows, epoch=None)

    def origin(self, state: Mapping[str, int], row: int) -> str:
        place = spans(state["record"], state["epoch"], row + 1, self.rows)[-1]
        return f"{str(self.path)!r}, row {self._rows(place)[-1]}"

    def close(self) -> None:
        """The file is closed already; the arrays, which may be mapped, go with this object."""

    def _rows(self, place: Span) -> I64:
        """Numbers of the rows that come at a place."""
        if not self.shuffle:
            return np.arange(place.first, place.first + place.count)
        if self._order is None or self._order[0] != place.epoch:
            seed, layer = self.transform.seed, self.sig.name
            order = permutation(
                self.rows, seed=seed, layer=layer, purpose="shuffle", epoch=place.epoch
            )
            self._order = place.epoch, order
        return self._order[1][place.first : place.first + place.count]

    def _taken(
        self, array: npt.NDArray[Any], rows: I64, places: Sequence[Span]
    ) -> npt.NDArray[Any]:
        """Those rows; without a copy where they follow each other."""
        if self.shuffle or len(places) > 1:
            return array[rows]
        return array[places[0].first : places[0].first + places[0].count]

    def _transformed(self, role: str, images: npt.NDArray[Any], places: Sequence[Span]) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            planes = images if images.dtype == np.uint8 else images.astype(np.float32)
        with self._naming(role):
            return self.transform.batch(planes, places)

    @contextmanager
    def _naming(self, role: str) -> Iterator[None]:
        """Errors of the block get the array's name."""
        try:
            yield
        except GraphError as error:
            told = f"{self._told(role)}: {error.message}"
            raise GraphError(error.code, told, error.hint) from None

    def _checked_rows(self) -> int:
        told = ", ".join(f"{self.names[role]!r} {a.shape}" for role, a in self.arrays.items())
        if any(not a.ndim for a in self.arrays.values()):
            fail("GC-D002", f"{str(self.path)!r}: an array has no axes: {told}")
        rows = {len(a) for a in self.arrays.values()}
        if len(rows) > 1:
            fail("GC-D002", f"{str(self.path)!r}: arrays have different rows: {told}")
        if 0 in rows:
            fail("GC-D001", f"{str(self.path)!r} has no rows: {told}")
        return rows.pop()

    def _told(self, role: str) -> str:
        name = self.names[role]
        return f"{str(self.path)!r}" + (f", array {name!r}" if name else "")


__all__ = ["NumpySource"]
