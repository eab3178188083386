"""read_arrays: numpy files as float32 arrays; sizes checked before they are unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc.data.files import file_size
from graphc.errors import GraphError, fail
from graphc.limits import Limits


def read_arrays(path: Path, limits: Limits) -> dict[str, npt.NDArray[np.float32]]:
    """The arrays of a .npz by name; that of a .npy under the name "".

    Raises GC-F001, GC-D001 (broken, or pickled Python objects), GC-R001 (no numbers), GC-L001.
    """
    limits.check("tensor_bytes", file_size(path), f"the size of {str(path)!r} in bytes")
    try:
        _check_members(path, limits)
        with path.open("rb") as file:  # given a path, np.load leaves a broken archive open
            loaded: Any = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": _as_float32(loaded, str(path))}
            with loaded:
                return {name: _as_float32(loaded[name], f"{path}, {name}") for name in loaded.files}
    except GraphError:
        raise
    except Exception as error:  # ValueError, zipfile.BadZipFile, zlib.error, MemoryError, ...
        fail("GC-D001", f"{str(path)!r} cannot be read as numpy arrays: {error}")


def _check_members(path: Path, limits: Limits) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
        limits.check("tensor_bytes", total, f"the unpacked size of {str(path)!r} in bytes")


def _as_float32(array: Any, what: str) -> npt.NDArray[np.float32]:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        kind = array.dtype if isinstance(array, np.ndarray) else "raw bytes"
        fail("GC-R001", f"{what!r} holds {kind}, not numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(array, np.float32)
