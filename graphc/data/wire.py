"""The protobuf wire format, read without protobuf: fields of one message, packed numbers.

Enough for BlobProto and Datum, so that an artefact with data layers runs without protobuf.
Source: the encoding page of the Protocol Buffers documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from graphc.errors import fail

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_NUMBER = (1 << 29) - 1
MAX_FIELDS = 1_000_000
_MASK64 = (1 << 64) - 1
_WIDTH = {FIXED64: 8, FIXED32: 4}

Field: TypeAlias = tuple[int, int, int | memoryview]


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Read one unsigned varint at byte `at`; returns (value, next byte). Raises GC-P002."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            fail("GC-P002", f"message of {len(data)} bytes ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK64, at
    fail("GC-P002", f"the number that ends at byte {at} is longer than 64 bits")


def signed(value: int, bits: int = 32) -> int:
    """A varint as a signed integer of `bits` bits (int32 fields keep the low 32 bits)."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def varints(data: memoryview) -> Iterator[int]:
    """Yield the numbers of a packed varint field."""
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield value


def fields(data: memoryview, max_fields: int = MAX_FIELDS) -> Iterator[Field]:
    """Yield (field number, wire type, value) of a message, in file order.

    The value is an int for VARINT, the raw bytes for the other types. A run of single fixed-size
    numbers of one field comes as if it were packed. Raises GC-P002 for anything that is no message
    (truncated fields, groups, field number 0), GC-L001 for over `max_fields` fields.
    """
    at, size = 0, len(data)
    for _ in range(max_fields):
        if at >= size:
            return
        start = at
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0 or number > MAX_NUMBER or kind not in (VARINT, FIXED64, BYTES, FIXED32):
            fail("GC-P002", f"byte {start} starts no field (number {number}, wire type {kind})")
        if kind == VARINT:
            value, at = varint(data, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, at = varint(data, at)
        else:
            length = _WIDTH[kind]
            run = _run(data, start, at - start, length)
            if run is not None:
                yield number, BYTES, run
                at = start + (at - start + length) * (len(run) // length)
                continue
        if length > size - at:
            fail("GC-P002", f"field {number} claims {length:,} bytes, but {size - at:,} are left")
        yield number, kind, data[at : at + length]
        at += length
    if at < size:
        fail("GC-L001", f"a message of {size:,} bytes has over {max_fields:,} fields")


def _run(data: memoryview, start: int, tag_size: int, width: int) -> memoryview | None:
    """The packed values of a run of equal tags from `start`; None if there is no second one.

    Old writers tag each float on its own; a blob of millions is then read in one stroke. The
    look-ahead grows as the run does, so that short runs stay cheap.
    """
    stride = tag_size + width
    tag, rows, most = bytes(data[start : start + tag_size]), 0, (len(data) - start) // stride
    if most < 2 or bytes(data[start + stride : start + stride + tag_size]) != tag:
        return None
    window = 16
    while rows < most:
        count = min(window, most - rows)
        raw = data[start + rows * stride : start + (rows + count) * stride]
        tags = np.frombuffer(raw, np.uint8).reshape(count, stride)[:, :tag_size]
        wrong = np.flatnonzero((tags != np.frombuffer(tag, np.uint8)).any(1))
        if wrong.size:
            rows += int(wrong[0])
            break
        rows += count
        window *= 4
    block = np.frombuffer(data[start : start + rows * stride], np.uint8).reshape(rows, stride)
    return memoryview(block[:, tag_size:].tobytes())


class Numbers:
    """Collects a repeated float or double field, packed or not, in file order.

    `dtype`: "<f4" (wire type FIXED32) or "<f8" (FIXED64).
    """

    def __init__(self, dtype: str) -> None:
        self._dtype = np.dtype(dtype)
        self._single = FIXED32 if self._dtype.itemsize == 4 else FIXED64
        self._pieces: list[memoryview] = []

    def add(self, number: int, kind: int, value: int | memoryview) -> None:
        """Take one occurrence of the field. Raises GC-P002 for a wrong wire type or odd length."""
        if isinstance(value, int) or kind not in (BYTES, self._single):
            fail("GC-P002", f"field {number} has wire type {kind}, expected {self._dtype} numbers")
        if len(value) % self._dtype.itemsize:
            fail(
                "GC-P002", f"field {number}: {len(value)} bytes are no whole {self._dtype} numbers"
            )
        self._pieces.append(value)

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def array(self) -> npt.NDArray[np.float32]:
        """All numbers as float32; doubles out of its range become infinite, as a cast does."""
        raw = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.frombuffer(raw, self._dtype).astype(np.float32)
