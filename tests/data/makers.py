"""Builds the small sources the data tests read: messages, LMDBs, images, lists."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from PIL import Image

from graphc.ir.op import Env, Sig
from graphc.ir.types import Phase
from graphc.limits import Limits


def sig(
    base: Path,
    tops: tuple[str, ...] = ("data", "label"),
    *,
    names: tuple[str, ...] = (),
    phase: Phase = "TEST",
    limits: Limits | None = None,
    **outs: Any,
) -> Sig:
    """The signature of a data layer called "t" whose files lie in `base`."""
    env = Env(base, limits or Limits())
    return Sig({}, tops, phase, outs=outs, env=env, name="t", top_names=names or tops)


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def single(field: int, value: float) -> bytes:
    return varint(field << 3 | 5) + struct.pack("<f", value)


def blob(array: np.ndarray, *, legacy: bool = False, packed: bool = True) -> bytes:
    """A BlobProto of float32 data."""
    values = array.astype("<f4").ravel()
    data = chunk(5, values.tobytes()) if packed else b"".join(single(5, v) for v in values)
    if legacy:
        return b"".join(number(i + 1, d) for i, d in enumerate(array.shape)) + data
    return data + chunk(7, chunk(1, b"".join(varint(d) for d in array.shape)))


def datum(image: np.ndarray, label: int = 0) -> bytes:
    """A Datum of bytes or, for float images, of unpacked floats."""
    shape = b"".join(number(i + 1, d) for i, d in enumerate(image.shape))
    if image.dtype == np.uint8:
        return shape + chunk(4, image.tobytes()) + number(5, label)
    return shape + number(5, label) + b"".join(single(6, v) for v in image.ravel())


def encoded_datum(image: bytes, label: int = 0) -> bytes:
    return chunk(4, image) + number(5, label) + number(7, 1)


def write_lmdb(path: Path, records: Sequence[bytes], **options: Any) -> Path:
    """An LMDB whose keys count up in the order of the records."""
    env = lmdb.open(str(path), map_size=1 << 26, **options)
    with env.begin(write=True) as transaction:
        for index, value in enumerate(records):
            transaction.put(f"{index:08}".encode(), value)
    env.close()
    return path


def png(pixels: np.ndarray, form: str = "PNG") -> bytes:
    """Pixels (H, W) or (H, W, 3), RGB, as an image file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def pictures(count: int, *shape: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, shape, np.uint8) for _ in range(count)]
