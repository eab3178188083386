"""The binary files in which MNIST (idx) and CIFAR are published, as arrays."""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc.data.examples import ArrayExamples
from graphc.data.files import read_bytes
from graphc.errors import fail
from graphc.limits import Limits

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CIFAR_PIXELS = 3 * 32 * 32
_GZIP = b"\x1f\x8b"


def from_idx(images: Path, labels: Path | None, limits: Limits) -> ArrayExamples:
    """MNIST's images (N, H, W) and labels (N,), packed with gzip or not.

    `labels` None: the file beside that is named alike, with "labels" and "idx1" for "images" and
    "idx3". Raises GC-F001, GC-D001, GC-D002, GC-L001.
    """
    found = labels or _labels_beside(images)
    return ArrayExamples(str(images), "idx", read_idx(images, limits), read_idx(found, limits))


def read_idx(path: Path, limits: Limits) -> npt.NDArray[Any]:
    """The array of an idx file. Format: two zero bytes, type, number of axes, extents (big-endian
    uint32), elements; source: the page of the MNIST database. Raises as `from_idx`."""
    data = _unpacked(path, limits)
    kind = _IDX_TYPES.get(data[2]) if len(data) > 4 and data[:2] == b"\0\0" else None
    rank = data[3] if kind else 0
    if kind is None or not 1 <= rank <= 4 or len(data) < 4 + 4 * rank:
        fail("GC-D001", f"{str(path)!r} is no idx file")
    shape = tuple(int(d) for d in np.frombuffer(data, ">u4", rank, 4))
    dtype, count = np.dtype(kind), math.prod(shape)
    if len(data) != 4 + 4 * rank + count * dtype.itemsize:
        fail(
            "GC-D001",
            f"{str(path)!r} states shape {shape}, but is {len(data):,} bytes long",
            "the file is cut short or damaged",
        )
    return np.frombuffer(data, dtype, count, 4 + 4 * rank).reshape(shape)


def from_cifar(files: Sequence[Path], limits: Limits) -> ArrayExamples:
    """Binary batches of CIFAR-10 (one label byte before the pixels), or of CIFAR-100, whose second
    label, the fine one, is taken. Planes stay red, green, blue, as Caffe's converter leaves them.

    Raises GC-F001, GC-D001, GC-L001.
    """
    parts = [_cifar_records(file, limits) for file in files]
    if len({part.shape[1] for part in parts}) > 1:
        fail("GC-D001", f"{str(files[0])!r} and the other files are of different CIFAR sets")
    records = np.concatenate(parts) if len(parts) > 1 else parts[0]
    images = records[:, -_CIFAR_PIXELS:].reshape(-1, 3, 32, 32)
    return ArrayExamples(str(files[0]), "cifar", images, records[:, -_CIFAR_PIXELS - 1])


def _cifar_records(path: Path, limits: Limits) -> npt.NDArray[np.uint8]:
    data = _unpacked(path, limits)
    for size in (_CIFAR_PIXELS + 1, _CIFAR_PIXELS + 2):
        if data and len(data) % size == 0:
            return np.frombuffer(data, np.uint8).reshape(-1, size)
    fail("GC-D001", f"{str(path)!r}: {len(data):,} bytes are no whole records of CIFAR")


def _unpacked(path: Path, limits: Limits) -> bytes:
    data = read_bytes(path, limits)
    if not data.startswith(_GZIP):
        return data
    try:
        with gzip.open(path) as file:
            out = file.read(limits.binary_bytes + 1)
    except (OSError, EOFError, ValueError) as error:
        fail("GC-D001", f"{str(path)!r} cannot be unpacked: {error}")
    except Exception as error:  # zlib.error
        fail("GC-D001", f"{str(path)!r} cannot be unpacked: {error}")
    limits.check("binary_bytes", len(out), f"the unpacked size of {str(path)!r} in bytes")
    return out


def _labels_beside(images: Path) -> Path:
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    found = images.with_name(name)
    if name == images.name or not found.exists():
        fail("GC-D001", f"no labels for {str(images)!r}", "name their file with --labels")
    return found


__all__ = ["from_cifar", "from_idx", "read_idx"]
