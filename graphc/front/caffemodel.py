"""The weights of a binary NetParameter, read and written without protobuf objects.

Only names, types and blobs are looked at; their field numbers are the same in all forks. The
arrays of packed floats are views of the mapped file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc.data.wire import BYTES, FIXED32, FIXED64, VARINT, fields, signed, varints
from graphc.errors import GraphError, Loc, fail
from graphc.files import map_file
from graphc.front.sizes import check_shape
from graphc.ir.graph import Array
from graphc.ir.types import MAX_RANK
from graphc.limits import Limits
from graphc.records import record

V1_LAYERS, LAYER = 2, 100  # of NetParameter
V0_LAYER = 1  # of V1LayerParameter


@record(frozen=True, slots=True)
class _Numbers:
    """Field numbers of one generation of the layer message."""

    name: int
    type: int
    blobs: int


_NEW, _V1, _V0 = _Numbers(1, 2, 7), _Numbers(4, 5, 6), _Numbers(1, 2, 50)
_LEGACY_DIMS = (1, 2, 3, 4)  # num, channels, height, width; of BlobProto, as are those below
_DATA, _SHAPE, _DOUBLE, _RAW_TYPE, _RAW = 5, 7, 8, 10, 12
_RAW_DTYPES = {0: "<f8", 1: "<f4", 2: "<f2"}  # NVIDIA's enum Type


@record(slots=True)
class WeightLayer:
    """One layer of the file; `type` as written there (a number in V1 files)."""

    name: str = ""
    type: str = ""
    blobs: list[Array] = field(default_factory=list)


@record
class _Budget:
    """Counts fields over all messages of a file, so that many small ones cannot take for ever."""

    limits: Limits
    used: int = 0

    def fields(self, message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
        for entry in fields(message, self.limits.binary_fields + 1):
            self.used += 1
            self.limits.check("binary_fields", self.used, "the number of fields of the file")
            yield entry


def read_caffemodel(path: str | Path, limits: Limits | None = None) -> dict[str, list[Array]]:
    """Blobs by layer name of a `.caffemodel` in V0, V1 or new format.

    float32, read-only views where the file has packed floats. Of layers with one name the first
    that has blobs counts. Raises GC-F001, GC-L001, GC-P002 (broken, or no network at all), GC-P004
    (old and new layers mixed), GC-W003 (element count against shape), GC-U001 (odd element type).
    """
    limits, data = limits or Limits(), map_file(path)
    table: dict[str, list[Array]] = {}
    try:
        limits.check("binary_bytes", len(data), "the size of the weight file in bytes")
        for layer in read_layers(data, limits):
            if not table.get(layer.name):
                table[layer.name] = layer.blobs
    except GraphError as error:
        raise error.at(loc=Loc(str(path))) from None
    return table


def read_layers(data: memoryview, limits: Limits) -> list[WeightLayer]:
    """Every layer of a NetParameter message, in file order; raises as `read_caffemodel`."""
    budget = _Budget(limits)
    found: list[tuple[int, memoryview]] = []
    try:
        for number, _, value in budget.fields(data):
            if number in (V1_LAYERS, LAYER) and not isinstance(value, int):
                found.append((number, value))
                limits.check("layers", len(found), "the number of layers")
    except GraphError as error:
        error.hint = error.hint or _what_is_it(data)
        raise
    kinds = {number for number, _ in found}
    if len(kinds) > 1:
        fail("GC-P004", "the file has both `layer` and `layers`", "save it with one Caffe version")
    if not found:
        fail("GC-P002", f"{len(data):,} bytes hold no layer of a network", _what_is_it(data))
    return [_layer(message, _NEW if n == LAYER else _V1, budget) for n, message in found]


def read_blob(message: memoryview, limits: Limits) -> Array:
    """The array of one BlobProto; raises as `read_caffemodel`."""
    return _Blob().read(message, _Budget(limits))


def _what_is_it(data: memoryview) -> str:
    start = bytes(data[:64])
    if not start:
        return "the file is empty"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        return f"the file is text: it begins {start[:24].decode('ascii')!r}"
    return "the file may be cut short or of another kind; fetch it again"


def _layer(message: memoryview, numbers: _Numbers, budget: _Budget) -> WeightLayer:
    """One layer; V0 layers lie inside a V1 shell that has the wiring."""
    layer, blobs, inner = WeightLayer(), list[memoryview](), None
    for number, kind, value in budget.fields(message):
        if number == numbers.type and kind == VARINT:
            layer.type = str(value)
        elif isinstance(value, int) or kind != BYTES:
            continue
        elif numbers is _V1 and number == V0_LAYER:
            inner = value
        elif number == numbers.name:
            layer.name = _text(value)
        elif number == numbers.type:
            layer.type = _text(value)
        elif number == numbers.blobs:
            blobs.append(value)
    if inner is not None:
        return _layer(inner, _V0, budget)
    budget.limits.check("layer_blobs", len(blobs), f"the number of blobs of layer {layer.name!r}")
    for index, blob in enumerate(blobs):
        try:
            layer.blobs.append(_Blob().read(blob, budget))
        except GraphError as error:
            error.message = f"blob {index}: {error.message}"
            raise error.at(layer=layer.name, type_=layer.type) from None
    return layer


def _text(data: memoryview) -> str:
    return bytes(data).decode("utf-8", "backslashreplace")


class _Blob:
    """One BlobProto: its numbers are collected first, then held against the shape it states."""

    def __init__(self) -> None:
        self.legacy: dict[int, int] = {}
        self.shape: list[int] = []
        self.single: list[memoryview] = []
        self.double: list[memoryview] = []
        self.raw: memoryview | None = None
        self.raw_type = 0

    def read(self, message: memoryview, budget: _Budget) -> Array:
        """The blob's array, float32. Raises GC-P002, GC-W003, GC-L001, GC-U001."""
        for number, kind, value in budget.fields(message):
            if isinstance(value, int):
                if number in _LEGACY_DIMS:
                    self.legacy[number] = signed(value)
                elif number == _RAW_TYPE:
                    self.raw_type = value
            elif number == _DATA and kind in (BYTES, FIXED32):
                self.single.append(value)
            elif number == _DOUBLE and kind in (BYTES, FIXED64):
                self.double.append(value)
            elif number == _SHAPE and kind == BYTES:
                self._read_shape(value, budget)
            elif number == _RAW and kind == BYTES:
                self.raw = value
        legacy = [self.legacy.get(n, 0) for n in _LEGACY_DIMS] if self.legacy else None
        return self._array(tuple(legacy or self.shape), budget.limits)

    def _read_shape(self, message: memoryview, budget: _Budget) -> None:
        for number, kind, value in budget.fields(message):
            if number == 1 and isinstance(value, int):
                self.shape.append(signed(value, 64))
            elif number == 1 and kind == BYTES and not isinstance(value, int):
                for dim in varints(value):
                    self.shape.append(signed(dim, 64))
                    if len(self.shape) > MAX_RANK:
                        break
            if len(self.shape) > MAX_RANK:
                fail("GC-W003", f"the shape has over {MAX_RANK} axes")

    def _array(self, shape: tuple[int, ...], limits: Limits) -> Array:
        dtype: np.dtype[Any] = np.dtype("<f4")
        pieces = self.single
        if self.raw is not None:
            if self.raw_type not in _RAW_DTYPES:
                fail("GC-U001", f"raw data of NVIDIA type {self.raw_type} is not supported")
            dtype, pieces = np.dtype(_RAW_DTYPES[self.raw_type]), [self.raw]
        elif self.double:
            dtype, pieces = np.dtype("<f8"), self.double
        size = sum(map(len, pieces))
        check_shape(shape, size, dtype.itemsize)
        limits.check("tensor_bytes", 4 * math.prod(shape), "the blob's size in bytes")
        return _to_float32(pieces, dtype).reshape(shape)


def _to_float32(pieces: Sequence[memoryview], dtype: npt.DTypeLike) -> Array:
    """The numbers of all pieces in one float32 array; a view, if they already are that."""
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.frombuffer(data, dtype).astype(np.float32, copy=False)


__all__ = ["WeightLayer", "read_blob", "read_caffemodel", "read_layers"]
