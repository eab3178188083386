"""read_arrays: numpy files as float32 arrays; sizes checked before they are unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

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
        with path.open("rb") as file:  # given a path, np.load leaves a broken archive open
            if file.peek(2)[:2] == b"PK":
                _check_members(file, limits, str(path))
            loaded: Any = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": _as_float32(loaded, str(path))}
            with loaded:
                return {name: _as_float32(loaded[name], f"{path}, {name}") for name in loaded.files}
    except GraphError:
        raise
    except Exception as error:  # ValueError, zipfile.BadZipFile, zlib.error, MemoryError, ...
        fail("GC-D001", f"{str(path)!r} cannot be read as numpy arrays: {error}")


def _check_members(file: IO[bytes], limits: Limits, name: str) -> None:
    """See what a .npz would unpack to; the file is then at its start again."""
    import zipfile  # which a .npy does without

    with zipfile.ZipFile(file) as archive:
        total = sum(member.file_size for member in archive.infolist())
    limits.check("tensor_bytes", total, f"the unpacked size of {name!r} in bytes")
    file.seek(0)


def _as_float32(array: Any, what: str) -> npt.NDArray[np.float32]:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        kind = array.dtype if isinstance(array, np.ndarray) else "raw bytes"
        fail("GC-R001", f"{what!r} holds {kind}, not numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(array, np.float32)
