"""read_blob: a BlobProto file (mean image, infogain matrix) as an array."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from graphc.data.files import read_bytes
from graphc.data.wire import BYTES, VARINT, Numbers, fields, signed, varints
from graphc.data.wire_writer import chunk, number_field
from graphc.errors import GraphError, fail
from graphc.files import replacing, write_file
from graphc.ir.types import MAX_RANK
from graphc.limits import Limits

_LEGACY = (1, 2, 3, 4)  # num, channels, height, width; before `shape` where any is there
_DATA, _SHAPE, _DOUBLE = 5, 7, 8


def read_blob(path: Path, limits: Limits) -> npt.NDArray[np.float32]:
    """Read a binaryproto file: float32, in the shape the file states.

    Old files state num, channels, height, width, a missing one being 0 there as in Caffe. Raises
    GC-F001, GC-L001, GC-P002 (no such message), GC-D002 (data and shape disagree).
    """
    data = read_bytes(path, limits)
    try:
        return parse_blob(memoryview(data))
    except GraphError as error:
        raise GraphError(error.code, f"{str(path)!r}: {error.message}", error.hint) from None


def parse_blob(message: memoryview) -> npt.NDArray[np.float32]:
    """A BlobProto message as a float32 array of its stated shape. Raises GC-P002, GC-D002."""
    single, double = Numbers("<f4"), Numbers("<f8")
    legacy: dict[int, int] = {}
    shape: tuple[int, ...] = ()
    for number, kind, value in fields(message):
        if number == _DATA:
            single.add(number, kind, value)
        elif number == _DOUBLE:
            double.add(number, kind, value)
        elif number == _SHAPE and not isinstance(value, int):
            shape += _dims(value)
        elif number in _LEGACY and kind == VARINT and isinstance(value, int):
            legacy[number] = signed(value)
    array = (double if double else single).array()
    dims = tuple(legacy.get(n, 0) for n in _LEGACY) if legacy else shape
    if len(dims) > MAX_RANK:
        fail("GC-D002", f"the blob states over {MAX_RANK} axes")
    if any(d < 0 for d in dims) or math.prod(dims) != array.size:
        fail("GC-D002", f"the blob states shape {dims}, but holds {array.size:,} numbers")
    return array.reshape(dims)


def _dims(message: memoryview) -> tuple[int, ...]:
    dims: list[int] = []
    for number, kind, value in fields(message, max_fields=4 * MAX_RANK):
        if number != 1:
            continue
        if isinstance(value, int):
            dims.append(signed(value, 64))
        elif kind == BYTES:
            for count, dim in enumerate(varints(value)):
                if count > MAX_RANK:
                    break
                dims.append(signed(dim, 64))
    return tuple(dims)


def write_mean(path: Path, image: npt.NDArray[np.float32]) -> None:
    """Write a mean image (C, H, W): as .npy where that is the suffix, else as the (1, C, H, W)
    BlobProto of Caffe's compute_image_mean. Raises GC-F002."""
    if path.suffix == ".npy":
        with replacing(path) as file:
            np.lib.format.write_array(file, image)
        return
    legacy = b"".join(number_field(n, d) for n, d in enumerate((1, *image.shape), 1))
    write_file(path, legacy + chunk(_DATA, image.astype("<f4").tobytes()))


def read_mean(path: Path, limits: Limits) -> npt.NDArray[np.float32]:
    """A mean image (C, H, W), or means of channels (C,): a .npy, or a BlobProto.

    Raises GC-D002 for another number of axes, GC-F001, GC-L001, GC-P002, GC-D001.
    """
    if path.suffix == ".npy":
        from graphc.data.numpy_file import NumpyFile  # networks run without it

        with NumpyFile(path, limits) as file:
            mean = file.array("").astype(np.float32)
    else:
        mean = read_blob(path, limits)
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim not in (1, 3):
        fail("GC-D002", f"{str(path)!r} has shape {mean.shape}, a mean has (C, H, W) or (C,)")
    return mean
