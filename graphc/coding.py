"""Coded tensors: float32 arrays of which many elements are zero, or few are distinct, bit by bit.

A tensor is kept as where its elements lie that are not zero (all; a bit for each; gaps of 4 or 8
bits) and what these are (floats, or codes into a table of at most 256). What is smallest is taken,
and none of it unless a tenth is saved. Zero is +0 alone; every bit pattern comes back.

A gap counts the zeros before an element; the largest that its bits hold stands for as many zeros
and no element. After the gaps coding of Han et al., Deep compression, 2016, which stores a zero
there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from graphc.errors import fail
from graphc.floats import Array
from graphc.limits import Limits
from graphc.numpy_later import np, npt
from graphc.records import record
from graphc.tensorfile import MAX_DIM, MAX_RANK, arrays_block, parse_arrays

ALL, BITS, GAPS4, GAPS8 = "all", "bits", "gaps4", "gaps8"
MOST_CODES = 256
LEAST_SIZE = 256
"""Elements below which coding is not worth its table."""
_SAMPLE = 1 << 12
_CHUNK = 1 << 20  # codes whose bits are apart in memory at a time


@record(frozen=True)
class Coded:
    """`stored` elements of a tensor. `places`: how those are found; `parts`: "places", and "values"
    or "table" and "codes" of `bits` bits each."""

    shape: tuple[int, ...]
    stored: int
    places: str
    bits: int
    parts: Mapping[str, npt.NDArray[Any]]

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts.values())


def encode(array: Array) -> Coded | None:
    """The tensor coded; None if that saves less than a tenth."""
    words = np.ascontiguousarray(array, np.float32).reshape(-1).view(np.uint32)
    if not LEAST_SIZE <= words.size <= MAX_DIM:
        return None
    count = int(np.count_nonzero(words))
    places, where = ALL, np.zeros(0, np.uint8)
    if count < words.size:
        places, where = _places(words != 0)
    # zeros among the codes may be less than a place for each other element
    options = [_values(array.shape, words[words != 0], places, where)]
    if places != ALL:
        options.append(_values(array.shape, words, ALL, np.zeros(0, np.uint8)))
    best = min(options, key=lambda coded: coded.nbytes)
    return best if best.nbytes < 0.9 * 4 * words.size else None


def decode(coded: Coded) -> Array:
    """The tensor. Raises GC-W003 for parts that do not make one."""
    size = math.prod(coded.shape)
    values = _words(coded)
    if coded.places == ALL:
        if coded.stored != size or "places" in coded.parts:
            _broken("does not store all of its elements")
        return np.asarray(values.view(np.float32).reshape(coded.shape))
    mask = _found(coded, size)
    made = np.zeros(size, np.uint32)
    made[mask] = values
    return np.asarray(made.view(np.float32).reshape(coded.shape), np.float32)


def _values(shape: tuple[int, ...], words: Any, places: str, where: Any) -> Coded:
    parts: dict[str, Any] = {} if places == ALL else {"places": where}
    table = _table(words)
    if table is None:
        parts["values"] = words.view(np.float32)
        return Coded(shape, words.size, places, 0, parts)
    bits = max(1, (table.size - 1).bit_length())
    codes = np.searchsorted(table, words).astype(np.uint8)
    parts |= {"table": table.view(np.float32), "codes": _packed(codes, bits)}
    coded = Coded(shape, words.size, places, bits, parts)
    plain = 4 * words.size + where.nbytes
    return coded if coded.nbytes < plain else _plain(shape, words, places, where)


def _plain(shape: tuple[int, ...], words: Any, places: str, where: Any) -> Coded:
    parts = {} if places == ALL else {"places": where}
    return Coded(shape, words.size, places, 0, parts | {"values": words.view(np.float32)})


def _table(words: Any) -> Any:
    """The distinct bit patterns in order, None if there are more than codes."""
    step = max(1, words.size // _SAMPLE)
    if not words.size or np.unique(words[::step]).size > MOST_CODES:
        return None
    table = np.unique(words)
    return table if table.size <= MOST_CODES else None


def _packed(codes: Any, bits: int) -> Any:
    """Codes of so many bits each, one after the other, the highest bit first."""
    rows = (
        np.packbits(np.unpackbits(codes[at : at + _CHUNK, None], axis=1)[:, 8 - bits :])
        for at in range(0, codes.size, _CHUNK)
    )
    return np.concatenate([np.zeros(0, np.uint8), *rows])


def _unpacked(packed: Any, bits: int, count: int) -> Any:
    codes = np.empty(count, np.uint8)
    for at in range(0, count, _CHUNK):
        many = min(_CHUNK, count - at)
        start = at * bits // 8
        each = np.unpackbits(packed[start : start + (many * bits + 7) // 8], count=many * bits)
        rows = np.zeros((many, 8), np.uint8)
        rows[:, 8 - bits :] = each.reshape(many, bits)
        codes[at : at + many] = np.packbits(rows, axis=1)[:, 0]
    return codes


def _places(mask: Any) -> tuple[str, Any]:
    """The shortest form of where a mask is set."""
    at = np.flatnonzero(mask)
    gaps = np.diff(at, prepend=-1) - 1
    sizes = {
        BITS: (mask.size + 7) // 8,
        GAPS4: (int((gaps // 15 + 1).sum()) + 1) // 2,
        GAPS8: int((gaps // 255 + 1).sum()),
    }
    best = min(sizes, key=lambda kind: sizes[kind])
    if best == BITS:
        return best, np.packbits(mask)
    most = 15 if best == GAPS4 else 255
    ends = np.cumsum(gaps // most + 1)
    steps = np.full(int(ends[-1]) if ends.size else 0, most, np.uint8)
    steps[ends - 1] = gaps % most
    if best == GAPS8:
        return best, steps
    pairs = np.append(steps, np.full(steps.size % 2, 15, np.uint8)).reshape(-1, 2)
    return best, (pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8)


def _found(coded: Coded, size: int) -> Any:
    """The mask, or indices, of stored elements."""
    places = coded.parts.get("places", np.zeros(0, np.uint8))
    if coded.places == BITS:
        if places.size != (size + 7) // 8:
            _broken("has another number of bits than elements")
        mask = np.unpackbits(places, count=size).astype(bool)
        if int(mask.sum()) != coded.stored:
            _broken("stores another number of elements than its bits say")
        return mask
    most, steps = 255, places
    if coded.places == GAPS4:
        most, steps = 15, np.stack([places & 15, places >> 4], axis=1).reshape(-1)
    ends = np.cumsum(np.where(steps == most, most, steps.astype(np.int64) + 1)) - 1
    at = ends[steps != most]
    if at.size != coded.stored or (at.size and at[-1] >= size):
        _broken("stores other elements than its gaps say")
    return at


def _words(coded: Coded) -> Any:
    """The bit patterns of stored elements."""
    if coded.bits == 0:
        values = coded.parts.get("values", np.zeros(0, np.float32))
        if values.dtype != np.float32 or values.shape != (coded.stored,):
            _broken("has another number of values than it stores")
        return values.view(np.uint32)
    table, packed = (coded.parts.get(part, np.zeros(0, np.uint8)) for part in ("table", "codes"))
    if table.dtype != np.float32 or not 0 < table.size <= MOST_CODES or table.ndim != 1:
        _broken("has a table that is none")
    if packed.shape != ((coded.stored * coded.bits + 7) // 8,):
        _broken("has another number of codes than it stores")
    codes = _unpacked(packed, coded.bits, coded.stored)
    if codes.size and int(codes.max()) >= table.size:
        _broken("has codes that its table lacks")
    return table.view(np.uint32)[codes]


def coded_block(tensors: Mapping[str, Coded]) -> tuple[str, bytes]:
    """(what is known of coded tensors as JSON, their parts as a block of arrays)."""
    told = {
        name: [list(c.shape), c.stored, c.places, c.bits, sorted(c.parts)]
        for name, c in tensors.items()
    }
    parts = {
        f"{at}.{part}": array
        for at, coded in enumerate(tensors.values())
        for part, array in sorted(coded.parts.items())
    }
    return json.dumps(told, separators=(",", ":")) + "\n", arrays_block(parts)


def parse_coded(
    text: str, block: memoryview, wanted: Mapping[str, tuple[int, ...]], limits: Limits
) -> dict[str, Array]:
    """The tensors of a `coded_block`. `wanted`: names and shapes that may be there, so that nothing
    is made that nobody declares. Raises GC-W003, GC-U001, GC-L001."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        _broken(f"is no JSON: {error}")
    if not isinstance(told, dict):
        _broken("is no object")
    parts = parse_arrays(block, limits)
    found: dict[str, Array] = {}
    total = 0
    for at, (name, entry) in enumerate(told.items()):
        coded = _read(entry, at, parts)
        if wanted.get(name) != coded.shape:
            fail("GC-W003", f"coded tensor {name[:80]!r} {coded.shape} belongs to nothing")
        total += 4 * math.prod(coded.shape)
        limits.check("tensor_bytes", total, "coded tensors in bytes")
        found[name] = decode(coded)
    if parts:
        fail("GC-W003", f"array {next(iter(parts))[:80]!r} belongs to no coded tensor")
    return found


def _read(entry: Any, at: int, parts: dict[str, npt.NDArray[Any]]) -> Coded:
    """One checked entry; takes its parts out of `parts`."""
    if not isinstance(entry, list) or len(entry) != 5:
        _broken("has an entry that is none")
    shape, stored, places, bits, names = entry
    if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(map(_is_count, shape)):
        _broken("has a shape that is none")
    if not _is_count(stored) or stored > math.prod(shape) or not _is_count(bits) or bits > 8:
        _broken("has counts that are none")
    if places not in (ALL, BITS, GAPS4, GAPS8) or not isinstance(names, list):
        _broken("is coded in a way that there is not")
    own: dict[str, npt.NDArray[Any]] = {}
    for name in names:
        array = parts.pop(f"{at}.{name}", None)
        if array is None or array.ndim != 1:
            _broken(f"lacks its part {str(name)[:20]!r}")
        if name in ("places", "codes") and array.dtype != np.uint8:
            _broken(f"has a part {name!r} of another type")
        own[name] = array
    return Coded(tuple(shape), stored, places, bits, own)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_DIM


def _broken(message: str) -> NoReturn:
    fail("GC-W003", f"a coded tensor {message}", "compile the network again")


__all__ = ["Coded", "coded_block", "decode", "encode", "parse_coded"]
