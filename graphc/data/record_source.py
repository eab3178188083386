"""RecordSource: labelled images one after the other, transformed, wrapping within a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from graphc.data.draws import Span, below, record_draws, spans
from graphc.data.images import Planes
from graphc.data.source import AHEAD, Array, Batch, State, batch_size, check_shape, counters
from graphc.data.transform import Transformer
from graphc.errors import GraphError, fail


class Records(Protocol):
    """Labelled images by number; `count` of them, at least 1."""

    @property
    def count(self) -> int: ...

    def read(self, record: int, epoch: int) -> tuple[Planes, int]:
        """Image (C, H, W) and label of the `record`-th record, from 0, of an epoch."""

    def read_many(
        self, record: int, epoch: int, count: int
    ) -> tuple[Sequence[Planes] | Planes, list[int]] | None:
        """Images, in one array if they are alike, and labels of records that follow each other;
        None where they are to be read one by one, which tells what is wrong with them."""

    def describe(self, record: int, epoch: int) -> str:
        """The record's name for error messages."""

    def close(self) -> None: ...


class RecordSource:
    """Batches {"data": (N, C, H, W), "label": (N,)} of `records`; a Source.

    `stated_batch`: the layer's batch_size. `rand_skip` n: start at a record drawn from 0 .. n-1.
    All images of a batch have one transformed shape (GC-D002).
    """

    def __init__(
        self,
        records: Records,
        transform: Transformer,
        stated_batch: int,
        rand_skip: int = 0,
        ahead: int = AHEAD,
    ) -> None:
        self.records, self.transform, self.ahead = records, transform, ahead
        self.batch_size = batch_size(stated_batch, transform.sig, "data")
        self.start = self._skip(rand_skip)
        self.record, self.epoch = self.start, 0

    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W) of the next batch, from its first record."""
        with self._naming(self.record, self.epoch):
            image, _ = self.records.read(self.record, self.epoch)
            return (self.batch_size, *self.transform.shape(image.shape))

    def next(self) -> Batch:
        """The next batch; raises with the record's name."""
        found = self._read_many()
        images, labels = self._read() if found is None else found
        data = self._transformed(images)
        batch = {"data": data, "label": labels}
        for role, array in batch.items():
            expected = self.transform.sig.outs.get(role)
            if expected is not None and expected.shape != array.shape:
                name = self._name(self.record, self.epoch)
                check_shape(self.transform.sig, role, array.shape, name)
        self.record, self.epoch = self._after(self.batch_size)
        return batch

    def reset(self) -> None:
        self.record, self.epoch = self.start, 0

    def state(self) -> State:
        return {"record": self.record, "epoch": self.epoch}

    def restore(self, state: Mapping[str, int]) -> None:
        self.record, self.epoch = counters(state, record=self.records.count, epoch=None)

    def origin(self, state: Mapping[str, int], row: int) -> str:
        place = spans(state["record"], state["epoch"], row + 1, self.records.count)[-1]
        return self._name(place.first + place.count - 1, place.epoch)

    def close(self) -> None:
        self.records.close()

    def _read_many(self) -> tuple[Sequence[Planes] | Planes, Array] | None:
        """Images and labels of the next batch, if they can be read several at a time."""
        parts: list[Any] = []
        labels: list[int] = []
        for span in self._spans(self.batch_size):
            found = self.records.read_many(span.first, span.epoch, span.count)
            if found is None:
                return None
            parts.append(found[0])
            labels += found[1]
        images = parts[0] if len(parts) == 1 else [image for part in parts for image in part]
        return images, np.array(labels, np.float32)

    def _read(self) -> tuple[list[Planes], Array]:
        """Images and labels of the next batch."""
        images: list[Planes] = []
        labels: list[int] = []
        record, epoch, read = self.record, self.epoch, self.records.read
        try:
            for _ in range(self.batch_size):
                image, label = read(record, epoch)
                images.append(image)
                labels.append(label)
                record += 1
                if record == self.records.count:
                    record, epoch = 0, epoch + 1
        except GraphError as error:
            raise self._named(error, record, epoch) from None
        return images, np.array(labels, np.float32)

    def _transformed(self, images: Sequence[Planes] | Planes) -> Array:
        first, places = images[0], self._spans(self.batch_size)
        stack: Any = images if isinstance(images, np.ndarray) else None
        if stack is None and all(x.shape == first.shape and x.dtype == first.dtype for x in images):
            stack = np.stack(list(images))
        if stack is not None:
            with self._naming(self.record, self.epoch):
                return self.transform.batch(stack, places)
        rows: list[Array] = []
        for span in places:
            for record in range(span.first, span.first + span.count):
                with self._naming(record, span.epoch):
                    y = self.transform(images[len(rows)], record, span.epoch)
                if rows and y.shape != rows[0].shape:
                    fail(
                        "GC-D002",
                        f"{self._name(record, span.epoch)} has shape {y.shape}, the first of its "
                        f"batch {rows[0].shape}",
                        "bring all images to one size, or set crop_size",
                    )
                rows.append(y)
        return np.stack(rows)

    def _spans(self, count: int) -> list[Span]:
        return spans(self.record, self.epoch, count, self.records.count)

    def _after(self, count: int) -> tuple[int, int]:
        """Record and epoch that come after the next `count` records."""
        last = self._spans(count)[-1]
        end = last.first + last.count
        return (0, last.epoch + 1) if end == self.records.count else (end, last.epoch)

    def _name(self, record: int, epoch: int) -> str:
        return self.records.describe(record, epoch)

    @contextmanager
    def _naming(self, record: int, epoch: int) -> Iterator[None]:
        """Errors of the block get the record's name."""
        try:
            yield
        except GraphError as error:
            raise self._named(error, record, epoch) from None

    def _named(self, error: GraphError, record: int, epoch: int) -> GraphError:
        told = f"{self._name(record, epoch)}: {error.message}"
        return GraphError(error.code, told, error.hint)

    def _skip(self, rand_skip: int) -> int:
        if rand_skip <= 0:
            return 0
        if rand_skip > self.records.count:
            fail("GC-D002", f"rand_skip {rand_skip:,} exceeds the {self.records.count:,} records")
        t = self.transform
        drawn = record_draws(Span(0, 0), seed=t.seed, layer=t.sig.name, purpose="rand_skip")
        return int(below(rand_skip, drawn[0, 0]))
