"""The safetensors format: named tensors in one block of bytes, read as views.

Layout: 8 bytes length of the header (little-endian), the header (a JSON object: name -> dtype,
shape, begin and end within the data), the data. Reads nothing but `errors`, `limits`.
Source: the format section of the safetensors documentation.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import IO, Any

from graphc.errors import fail
from graphc.floats import Array, Floats, Held, as_array
from graphc.limits import Limits
from graphc.numpy_later import np, npt
from graphc.records import record

ALIGN = 64  # bytes: a cache line
MAX_RANK, MAX_DIM, MAX_SIZE = 32, (1 << 31) - 1, 1 << 48
_IS_LITTLE = sys.byteorder == "little"
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # bytes of an element
_EXACT = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2"}
_EXACT |= {"I8": "|i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1"}
_EXACT_BYTES = {kind: int(dtype[2:]) for kind, dtype in _EXACT.items()}


def parse_tensors(data: memoryview, limits: Limits) -> dict[str, Array]:
    """Tensors by name, in the header's order; F32 ones are views of `data`, others are cast.

    Raises as `held_tensors`.
    """
    return {name: as_array(held) for name, held in held_tensors(data, limits).items()}


def held_tensors(data: memoryview, limits: Limits) -> dict[str, Held]:
    """As `parse_tensors`, but none is made NumPy's array unless it must be cast.

    Raises GC-W003 for anything that is no such block (overlapping, missing or surplus bytes
    included), GC-U001 for element types other than floats, GC-L001.
    """
    return {
        name: _to_float32(raw, place.dtype, place.shape)
        for name, place, raw in _tensors(data, limits, _FLOATS)
    }


def parse_arrays(data: memoryview, limits: Limits) -> dict[str, npt.NDArray[Any]]:
    """Arrays by name with the element types of `arrays_block`, views of `data`. Raises as
    `parse_tensors`."""
    return {
        name: np.frombuffer(raw, _EXACT[place.dtype]).reshape(place.shape)
        for name, place, raw in _tensors(data, limits, _EXACT_BYTES)
    }


def write_tensors(file: IO[bytes], tensors: Mapping[str, Array]) -> None:
    """Write float32 tensors, each straight from its array.

    Those that fill lines of `ALIGN` bytes come first, in the order given. If the block begins at
    such a line of a file, so do they: a mapping of the file can be computed with as it is.
    """
    placed = _placed(tensors)
    file.write(_make_header({name: ("F32", 4, array) for name, array in placed.items()}))
    for array in placed.values():
        file.write(raw_bytes(array))


def tensors_size(tensors: Mapping[str, Array]) -> int:
    """How many bytes `write_tensors` will write."""
    header = _make_header({name: ("F32", 4, array) for name, array in _placed(tensors).items()})
    return len(header) + sum(4 * a.size for a in tensors.values())


def arrays_block(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A block of arrays that keep their element types: floats and integers.

    Raises GC-R002 for other types.
    """
    kinds = {np.dtype(dtype): kind for kind, dtype in _EXACT.items()}
    entries: dict[str, tuple[str, int, npt.NDArray[Any]]] = {}
    for name, array in arrays.items():
        kind = kinds.get(array.dtype.newbyteorder("<"))
        if kind is None:
            fail("GC-R002", f"array {name!r} holds {array.dtype}", f"one of {', '.join(_EXACT)}")
        entries[name] = (kind, array.itemsize, array)
    data = (a.astype(_EXACT[kind], copy=False).tobytes() for kind, _, a in entries.values())
    return _make_header(entries) + b"".join(data)


def _placed(tensors: Mapping[str, Array]) -> dict[str, Array]:
    return dict(sorted(tensors.items(), key=lambda item: 4 * item[1].size % ALIGN != 0))


def raw_bytes(array: Array) -> memoryview:
    """The elements in row-major order, little-endian float32; a view where they lie so."""
    return np.ascontiguousarray(array, "<f4").reshape(-1).view(np.uint8).data


def _make_header(tensors: Mapping[str, tuple[str, int, npt.NDArray[Any]]]) -> bytes:
    """The header of arrays given with the format's name of their type, and its bytes."""
    entries, end = {}, 0
    for name, (dtype, itemsize, array) in tensors.items():
        begin, end = end, end + itemsize * array.size
        entries[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (begin, end)}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGN)
    return len(text).to_bytes(8, "little") + text


def _tensors(
    data: memoryview, limits: Limits, item_bytes: Mapping[str, int]
) -> list[tuple[str, _Place, memoryview]]:
    """Name, place and bytes of every tensor, in the header's order, all checked."""
    header, start = _header(data, limits)
    places = {name: _place(name, entry, item_bytes) for name, entry in header.items()}
    end = 0
    for name, place in sorted(places.items(), key=lambda item: (item[1].begin, item[1].end)):
        if place.begin != end or place.end > len(data) - start:
            fail(
                "GC-W003",
                f"tensor {name!r} lies at bytes {place.begin:,} to {place.end:,}; expected from "
                f"{end:,} within {len(data) - start:,}",
            )
        end = place.end
        limits.check("tensor_bytes", 4 * math.prod(place.shape), f"tensor {name!r} in bytes")
    if end != len(data) - start:
        fail("GC-W003", f"{len(data) - start - end:,} bytes follow the last tensor")
    return [(n, p, data[start + p.begin : start + p.end]) for n, p in places.items()]


def _header(data: memoryview, limits: Limits) -> tuple[dict[str, Any], int]:
    """The entries of the header and where the data begin."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        fail("GC-W003", f"a header of {size:,} bytes does not fit the file's {len(data):,}")
    limits.check("text_bytes", size, "the size of the header in bytes")
    try:
        header = json.loads(bytes(data[8 : 8 + size]), object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        fail("GC-W003", f"the header is no JSON: {error}")
    if not isinstance(header, dict):
        fail("GC-W003", f"the header is a {type(header).__name__}, no object")
    header.pop("__metadata__", None)
    limits.check("binary_fields", len(header), "the number of tensors")
    return header, 8 + size


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name stands there twice")
    return table


@record(frozen=True, slots=True)
class _Place:
    """One checked entry of the header: bytes `begin` to `end` of the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def _place(name: str, entry: Any, item_bytes: Mapping[str, int]) -> _Place:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        fail("GC-W003", f"tensor {name!r} has not exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in item_bytes:
        told = f"tensor {name!r} holds {str(dtype)[:20]!r}"
        fail("GC-U001", f"{told}, expected {' or '.join(item_bytes)}")
    if not _are_counts(shape, MAX_RANK) or not _are_counts(offsets, 2) or len(offsets) != 2:
        fail("GC-W003", f"tensor {name!r} has a shape or offsets that are none")
    size, elements = math.prod(shape) * item_bytes[dtype], math.prod(max(d, 1) for d in shape)
    is_possible = max(shape, default=0) <= MAX_DIM and elements <= MAX_SIZE
    if not is_possible or offsets[1] - offsets[0] != size:
        fail("GC-W003", f"tensor {name!r}: shape {shape} in {dtype} does not fill bytes {offsets}")
    return _Place(dtype, tuple(shape), offsets[0], offsets[1])


def _are_counts(value: Any, most: int) -> bool:
    if not isinstance(value, list) or len(value) > most:
        return False
    return all(type(v) is int and 0 <= v < 1 << 63 for v in value)


def _to_float32(raw: memoryview, dtype: str, shape: tuple[int, ...]) -> Held:
    if dtype == "F32" and _IS_LITTLE:
        return Floats.over(raw, shape)
    if dtype == "BF16":  # the upper half of a float32
        upper = np.frombuffer(raw, "<u2").astype(np.uint32)
        return np.asarray(upper << np.uint32(16), np.uint32).view(np.float32).reshape(shape)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.frombuffer(raw, {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype])
        return np.asarray(numbers, np.float32).reshape(shape)


__all__ = ["ALIGN", "arrays_block", "held_tensors", "parse_arrays", "parse_tensors", "raw_bytes"]
__all__ += ["tensors_size", "write_tensors"]
