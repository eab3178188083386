"""Datum: one record of an LMDB, image planes or an encoded image, and its label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from graphc.data.images import Colour, Planes, decode_image
from graphc.data.lmdb_blocks import Block
from graphc.data.wire import BYTES, VARINT, Numbers, fields, signed
from graphc.data.wire_writer import chunk, number_field
from graphc.data.wire_writer import head as tag_and_length
from graphc.errors import GraphError, fail
from graphc.limits import Limits
from graphc.records import record

_MOST_TAILS = 100_000
_CHANNELS, _HEIGHT, _WIDTH, _DATA, _LABEL, _FLOATS, _ENCODED = 1, 2, 3, 4, 5, 6, 7


@record(frozen=True, slots=True)
class Datum:
    """`planes`: (channels, height, width), uint8 or float32; None if `encoded` holds an image."""

    planes: Planes | None
    encoded: memoryview | None
    label: int

    def image(self, colour: Colour, limits: Limits) -> Planes:
        """The planes; an encoded image is decoded to BGR or grey. Raises GC-D001, GC-L001."""
        if self.planes is not None:
            return self.planes  # colour applies to encoded images alone, as in Caffe
        assert self.encoded is not None
        return decode_image(self.encoded, colour, limits)


def parse_datum(message: memoryview) -> Datum:
    """Read a Datum message. Raises GC-P002, and GC-D002 if its data do not fill its shape."""
    dims = [0, 0, 0]
    data: memoryview = memoryview(b"")
    floats = Numbers("<f4")
    label, encoded = 0, False
    for number, kind, value in fields(message):
        if number == _FLOATS:
            floats.add(number, kind, value)
        elif number == _DATA and kind == BYTES and not isinstance(value, int):
            data = value
        elif kind == VARINT and isinstance(value, int):
            if number in (_CHANNELS, _HEIGHT, _WIDTH):
                dims[number - 1] = signed(value)
            elif number == _LABEL:
                label = signed(value)
            elif number == _ENCODED:
                encoded = value != 0
    if encoded:
        return Datum(None, data, label)
    values = np.frombuffer(data, np.uint8) if len(data) else floats.array()
    channels, height, width = dims
    if min(dims) < 1 or channels * height * width != values.size:
        fail(
            "GC-D002",
            f"the record states {channels} x {height} x {width}, but holds {values.size:,} values",
        )
    return Datum(values.reshape(dims), None, label)


class DatumReader:
    """Reads Datum messages as `parse_datum` does, those laid out like the one before faster.

    Records of a data set begin with the same bytes, up to the pixels, and end in few ways. A
    message with a known beginning and a known end needs no parsing: its fields are those of these
    two, and what lies between is pixels.
    """

    def __init__(self, colour: Colour, limits: Limits) -> None:
        self._colour, self._limits = colour, limits
        self._head, self._start, self._end = b"", 0, 0
        self._shape: tuple[int, ...] = ()
        self._labels: dict[bytes, int] = {}  # by the bytes after the pixels

    def __call__(self, message: memoryview) -> tuple[Planes, int]:
        """Image and label. Raises GC-P002, GC-D00x, GC-L001."""
        if self._start and len(message) >= self._end and message[: self._start] == self._head:
            label = self._labels.get(bytes(message[self._end :]))
            if label is not None:
                flat = np.frombuffer(message, np.uint8, self._end - self._start, self._start)
                return flat.reshape(self._shape), label
        datum = parse_datum(message)
        image = datum.image(self._colour, self._limits)
        if datum.encoded is None and image.dtype == np.uint8:
            self._learn(message, image.shape, datum.label)
        return image, datum.label

    def many(self, blocks: Sequence[Block]) -> tuple[Planes, list[int]] | None:
        """Images (N, C, H, W) and labels of messages, if all have one layout; else None."""
        first = blocks[0]
        size = int(first.sizes[0])
        if any((block.sizes != size).any() for block in blocks):
            return None
        try:
            self(memoryview(first.data)[first.starts[0] : first.starts[0] + size])  # learns it
        except GraphError:
            return None
        if not self._start or size < self._end:
            return None
        rows = np.concatenate([_gathered(block, size) for block in blocks])
        if (rows[:, : self._start] != np.frombuffer(self._head, np.uint8)).any():
            return None
        labels = self._labels_of(rows[:, self._end :].tobytes(), size - self._end, rows)
        if labels is None:
            return None
        return rows[:, self._start : self._end].reshape(-1, *self._shape), labels

    def _labels_of(self, tails: bytes, size: int, rows: npt.NDArray[np.uint8]) -> list[int] | None:
        """Labels by the last `size` bytes of each message; None if they cannot be learned."""
        known = self._labels
        ends = [tails[i * size : (i + 1) * size] for i in range(len(rows))]
        for row, end in zip(rows, ends, strict=True):
            if end not in known:
                try:
                    self(memoryview(row))
                except GraphError:
                    return None
                if self._labels is not known or end not in known:
                    return None
        return [known[end] for end in ends]

    def _learn(self, message: memoryview, shape: tuple[int, ...], label: int) -> None:
        """Remember the layout of a message, if it is the usual one: extents, pixels, label."""
        size = shape[0] * shape[1] * shape[2]
        head = b"".join(number_field(i, d) for i, d in enumerate(shape, _CHANNELS))
        head += tag_and_length(_DATA, size)
        if message[: len(head)] != head:
            return
        start, end = len(head), len(head) + size
        tail = bytes(message[end:])
        if {number for number, _, _ in fields(memoryview(tail))} <= {_LABEL, _ENCODED}:
            if head != self._head or len(self._labels) >= _MOST_TAILS:
                self._labels = {}
            self._head, self._start, self._end, self._shape = head, start, end, shape
            self._labels[tail] = label


def _gathered(block: Block, size: int) -> npt.NDArray[np.uint8]:
    """The messages of a block, all of `size` bytes, one below the other."""
    shape = (len(block.data) - size + 1, size)
    windows: npt.NDArray[np.uint8] = np.ndarray(shape, np.uint8, block.data, strides=(1, 1))
    return windows[block.starts]


def datum_bytes(planes: Planes, label: int) -> bytes:
    """A Datum of `planes` (C, H, W), byte for byte as Caffe's image converter writes it; what is
    not uint8 becomes `float_data`."""
    shape = b"".join(number_field(i, d) for i, d in enumerate(planes.shape, _CHANNELS))
    values = planes.tobytes() if planes.dtype == np.uint8 else planes.astype("<f4").tobytes()
    told, plain = number_field(_LABEL, label), number_field(_ENCODED, 0)
    if planes.dtype == np.uint8:
        return shape + chunk(_DATA, values) + told + plain
    return shape + told + chunk(_FLOATS, values) + plain


def encoded_datum_bytes(image: bytes, label: int) -> bytes:
    """A Datum that holds the bytes of an image file."""
    return chunk(_DATA, image) + number_field(_LABEL, label) + number_field(_ENCODED, 1)
