"""read_npz: the arrays of a numpy archive; nothing is unpickled, sizes are checked first."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import GraphError, fail
from graphc.front.sizes import check_shape, check_unpacked
from graphc.ir.graph import Array
from graphc.limits import Limits


def read_npz(path: str | Path, limits: Limits) -> dict[str, Array]:
    """Arrays by key, float32. Raises GC-W003 (broken, or no numbers), GC-L001."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            limits.check("binary_fields", len(members), "the number of arrays")
            unpacked = sum(member.file_size for member in members)
            check_unpacked(unpacked, Path(path).stat().st_size, limits)
            names = {member.filename for member in members}
            if len(names) < len(members):
                fail("GC-W003", "two arrays of the npz file have one name")
            return {m.filename.removesuffix(".npy"): _read(archive, m) for m in members}
    except GraphError:
        raise
    except Exception as error:  # on junk zipfile and numpy raise a dozen kinds
        fail("GC-W003", f"the npz file is broken: {error}")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """One `.npy` member; numpy itself would allocate whatever its header claims."""
    from numpy.lib import format as npy

    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        fail("GC-W003", f"{member.filename!r} is compressed in an unknown way")
    with archive.open(member) as file:
        is_first = npy.read_magic(file) == (1, 0)
        read: Any = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
        shape, is_fortran, dtype = read(file)
        if dtype.kind not in "fiu":
            fail("GC-W003", f"{member.filename!r} holds {dtype}, expected numbers")
        check_shape(shape, member.file_size - file.tell(), dtype.itemsize)
        raw = file.read(math.prod(shape) * dtype.itemsize)
        if file.read(1) or len(raw) != math.prod(shape) * dtype.itemsize:
            fail("GC-W003", f"{member.filename!r} is cut short or too long")
    with np.errstate(over="ignore", invalid="ignore"):
        flat: Array = np.asarray(np.frombuffer(raw, dtype), np.float32)
    array: Array = flat.reshape(shape, order="F" if is_fortran else "C")
    return array


__all__ = ["read_npz"]
