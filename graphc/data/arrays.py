"""read_arrays: numpy files as float32 arrays; sizes checked before they are unpacked."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import IO, Any

from graphc.data.files import file_size
from graphc.errors import GraphError, fail
from graphc.floats import Floats, Held, as_array
from graphc.limits import Limits
from graphc.numpy_later import np, npt

_PLAIN = re.compile(
    rb"{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,9}(?:, \d{1,9}){0,31}),?\), } *\n"
)


def read_arrays(path: Path, limits: Limits) -> dict[str, npt.NDArray[np.float32]]:
    """The arrays of a .npz by name; that of a .npy under the name "".

    Raises GC-F001, GC-D001 (broken, or pickled Python objects), GC-R001 (no numbers), GC-L001.
    """
    return {name: as_array(held) for name, held in read_held(path, limits).items()}


def read_held(path: Path, limits: Limits) -> dict[str, Held]:
    """As `read_arrays`; a plain float32 .npy is read without NumPy."""
    limits.check("tensor_bytes", file_size(path), f"the size of {str(path)!r} in bytes")
    try:
        with path.open("rb") as file:  # given a path, np.load leaves a broken archive open
            if file.peek(2)[:2] == b"PK":
                _check_members(file, limits, str(path))
            elif (plain := _read_plain(file)) is not None:
                return {"": plain}
            loaded: Any = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": _as_float32(loaded, str(path))}
            with loaded:
                return {name: _as_float32(loaded[name], f"{path}, {name}") for name in loaded.files}
    except GraphError:
        raise
    except Exception as error:  # ValueError, zipfile.BadZipFile, zlib.error, MemoryError, ...
        why = "it is none, or holds Python objects" if "pickle" in str(error) else error
        fail("GC-D001", f"{str(path)!r} cannot be read as numpy arrays: {why}")


def _check_members(file: IO[bytes], limits: Limits, name: str) -> None:
    """See what a .npz would unpack to; the file is then at its start again."""
    import zipfile  # which a .npy does without

    with zipfile.ZipFile(file) as archive:
        total = sum(member.file_size for member in archive.infolist())
    limits.check("tensor_bytes", total, f"the unpacked size of {name!r} in bytes")
    file.seek(0)


def _read_plain(file: IO[bytes]) -> Floats | None:
    """The array of a .npy of version 1.0 with float32 numbers in rows, if the file is one; else it
    is at its start again. Source: the format's description, numpy.lib.format."""
    magic, size = file.read(8), int.from_bytes(file.read(2), "little")
    if magic == b"\x93NUMPY\x01\x00" and sys.byteorder == "little":
        told = _PLAIN.fullmatch(file.read(size))
        shape = tuple(map(int, told[1].split(b", "))) if told else ()
        data = file.read() if told else b""
        if data and len(data) == 4 * math.prod(shape):
            return Floats.over(data, shape)
    file.seek(0)
    return None


def _as_float32(array: Any, what: str) -> npt.NDArray[np.float32]:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        kind = array.dtype if isinstance(array, np.ndarray) else "raw bytes"
        fail("GC-R001", f"{what!r} holds {kind}, not numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(array, np.float32)
