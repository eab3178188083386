"""RecordSource: labelled images one after the other, transformed, wrapping within a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import numpy as np

from graphc.data.draws import below, record_draws
from graphc.data.source import Array, Batch, State, batch_size, check_shape, counters
from graphc.data.transform import Planes, Transformer
from graphc.errors import GraphError, fail

T = TypeVar("T")


class Records(Protocol):
    """Labelled images by number; `count` of them, at least 1."""

    @property
    def count(self) -> int: ...

    def read(self, record: int, epoch: int) -> tuple[Planes, int]:
        """Image (C, H, W) and label of the `record`-th record, from 0, of an epoch."""

    def describe(self, record: int, epoch: int) -> str:
        """The record's name for error messages."""

    def close(self) -> None: ...


class RecordSource:
    """Batches {"data": (N, C, H, W), "label": (N,)} of `records`; a Source.

    `stated_batch`: the layer's batch_size. `rand_skip` n: start at a record drawn from 0 .. n-1.
    All images of a batch have one transformed shape (GC-D002).
    """

    def __init__(
        self, records: Records, transform: Transformer, stated_batch: int, rand_skip: int = 0
    ) -> None:
        self.records, self.transform = records, transform
        self.batch_size = batch_size(stated_batch, transform.sig, "data")
        self.start = self._skip(rand_skip)
        self.record, self.epoch = self.start, 0

    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W) of the next batch, from its first record."""
        image, _ = self._named(self.records.read)
        return (self.batch_size, *self._named(lambda r, e: self.transform.shape(image.shape)))

    def next(self) -> Batch:
        """The next batch; raises with the record's name."""
        before = self.record, self.epoch
        try:
            return self._batch()
        except GraphError:
            self.record, self.epoch = before
            raise

    def reset(self) -> None:
        self.record, self.epoch = self.start, 0

    def state(self) -> State:
        return {"record": self.record, "epoch": self.epoch}

    def restore(self, state: Mapping[str, int]) -> None:
        self.record, self.epoch = counters(state, record=self.records.count, epoch=None)

    def close(self) -> None:
        self.records.close()

    def _batch(self) -> Batch:
        data: Array | None = None
        label = np.empty(self.batch_size, np.float32)
        for i in range(self.batch_size):
            y, label[i] = self._named(self._one)
            if data is None:
                data = self._allocate(y)
            elif y.shape != data.shape[1:]:
                name = self.records.describe(self.record, self.epoch)
                fail(
                    "GC-D002",
                    f"{name} has shape {y.shape}, the first of its batch {data.shape[1:]}",
                    "bring all images to one size, or set crop_size",
                )
            data[i] = y
            self._advance()
        assert data is not None
        return {"data": data, "label": label}

    def _one(self, record: int, epoch: int) -> tuple[Array, int]:
        image, label = self.records.read(record, epoch)
        return self.transform(image, record, epoch), label

    def _allocate(self, first: Array) -> Array:
        """The batch array, checked against the net's types."""
        shape, s = (self.batch_size, *first.shape), self.transform.sig
        name = self.records.describe(self.record, self.epoch)
        check_shape(s, "data", shape, name)
        check_shape(s, "label", (self.batch_size,), name)
        return np.empty(shape, np.float32)

    def _named(self, read: Callable[[int, int], T]) -> T:
        """Call `read` on the current record; its errors get the record's name."""
        try:
            return read(self.record, self.epoch)
        except GraphError as error:
            name = self.records.describe(self.record, self.epoch)
            raise GraphError(error.code, f"{name}: {error.message}", error.hint) from None

    def _skip(self, rand_skip: int) -> int:
        if rand_skip <= 0:
            return 0
        if rand_skip > self.records.count:
            fail("GC-D002", f"rand_skip {rand_skip:,} exceeds the {self.records.count:,} records")
        t = self.transform
        drawn = record_draws(seed=t.seed, layer=t.sig.name, purpose="rand_skip")
        return below(rand_skip, drawn[0])

    def _advance(self) -> None:
        self.record += 1
        if self.record == self.records.count:
            self.record, self.epoch = 0, self.epoch + 1
