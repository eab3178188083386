"""Hdf5File: datasets of an HDF5 file as float32, following nothing that leads out of the file."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc.data.files import file_size
from graphc.errors import GraphError, fail
from graphc.limits import MIB, Limits

_DEFLATE_RATIO = 1100  # zlib packs at most 1032 bytes into one
_SMALL = MIB  # below this an unwritten dataset (all fill value) is believed


def h5py() -> ModuleType:
    """The package h5py. Raises GC-U002 where it is not installed."""
    try:
        import h5py as module
    except ImportError:
        fail("GC-U002", "HDF5 files need the package h5py", "pip install 'graphc[data]'")
    found: ModuleType = module
    return found


class Hdf5File:
    """An HDF5 file open for reading; a context manager.

    Only hard links are followed and only data stored in the file itself are read (GC-F003: soft
    and external links, external storage, virtual datasets). Raises GC-F001, GC-D001 (broken).
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self.size = file_size(path)
        self._h5py = h5py()
        try:
            self._file: Any = self._h5py.File(path, "r")
        except Exception as error:  # h5py lets errors of many kinds through
            fail("GC-D001", f"{str(path)!r} cannot be read as HDF5: {error}")

    def __enter__(self) -> Hdf5File:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a dataset, checked against `tensor_bytes` and against what is stored for it.

        Raises GC-D001 (missing, broken), GC-D002 (not numbers), GC-F003, GC-L001.
        """
        shape: tuple[int, ...] = self._guarded(name, self._checked)[1]
        return shape

    def read(self, name: str, *, native: bool = False) -> npt.NDArray[Any]:
        """A whole dataset; integers and doubles are converted to float32, unless `native`. Raises
        as `shape`."""
        array: npt.NDArray[Any] = self._guarded(name, self._read_native if native else self._read)
        return array

    def integer(self, name: str) -> int:
        """The only number of a dataset. Raises as `shape`, GC-D002 for more than one."""
        found: int = self._guarded(name, self._integer)
        return found

    def text(self, name: str) -> bytes:
        """A string of fixed size, up to its first NUL. Raises GC-D001, GC-D002, GC-F003."""
        found: bytes = self._guarded(name, self._text)
        return found

    def members(self, name: str) -> list[str]:
        """Names within a group. Raises GC-D001, GC-F003, GC-L001."""
        found: list[str] = self._guarded(name, self._members)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """What the file has at its top."""
        return tuple(str(name) for name in self._file)

    def _guarded(self, name: str, do: Any) -> Any:
        try:
            return do(name)
        except GraphError as error:
            where = f"{str(self.path)!r}, dataset {name!r}"
            raise GraphError(error.code, f"{where}: {error.message}", error.hint) from None
        except Exception as error:  # as above; also MemoryError
            fail("GC-D001", f"{str(self.path)!r}, dataset {name!r}: {error}")

    def _read(self, name: str) -> npt.NDArray[np.float32]:
        dataset, shape = self._checked(name)
        out = np.empty(shape, np.float32)
        if out.size:
            with np.errstate(over="ignore", invalid="ignore"):
                dataset.read_direct(out)
        return out

    def _read_native(self, name: str) -> npt.NDArray[Any]:
        dataset, shape = self._checked(name)
        out = np.empty(shape, dataset.dtype)
        if out.size:
            dataset.read_direct(out)
        return out

    def _integer(self, name: str) -> int:
        dataset, shape = self._checked(name)
        if math.prod(shape) != 1 or dataset.dtype.kind not in "iu":
            fail("GC-D002", f"it holds {shape} {dataset.dtype}, not one integer")
        return int(dataset[()].reshape(-1)[0])

    def _text(self, name: str) -> bytes:
        dataset = self._find(name)
        self._check_own(dataset)
        if dataset.shape != () or dataset.dtype.kind != "S":
            fail("GC-D002", f"it holds {dataset.shape} {dataset.dtype}, not a string")
        self.limits.check("text_bytes", dataset.dtype.itemsize, "its length in bytes")
        return bytes(dataset[()]).partition(b"\0")[0]

    def _members(self, name: str) -> list[str]:
        group = self._find(name, self._h5py.Group)
        self.limits.check("layers", len(group), "the number of its members")
        return [str(member) for member in group]

    def _check_own(self, dataset: Any) -> None:
        if dataset.is_virtual or dataset.external is not None:
            fail("GC-F003", "its data lie in another file", "copy them into this one")

    def _checked(self, name: str) -> tuple[Any, tuple[int, ...]]:
        dataset = self._find(name)
        self._check_own(dataset)
        if dataset.shape is None:
            fail("GC-D002", "it is empty")
        if dataset.dtype.kind not in "fiub":
            fail("GC-D002", f"it holds {dataset.dtype}, not numbers")
        shape = tuple(int(d) for d in dataset.shape)
        count = math.prod(shape)
        self.limits.check("tensor_bytes", 4 * count, "its size in bytes")
        claimed, stored = count * dataset.dtype.itemsize, int(dataset.id.get_storage_size())
        if stored > self.size or claimed > max(_SMALL, stored * _DEFLATE_RATIO):
            fail(
                "GC-D001",
                f"it states shape {shape} ({claimed:,} bytes), stored in {stored:,} bytes of a "
                f"file of {self.size:,}",
                "the file is damaged or hostile",
            )
        return dataset, shape

    def _find(self, name: str, kind: Any = None) -> Any:
        """Walk to a dataset, or what else `kind` says, along hard links."""
        place: Any = self._file
        for part in filter(None, name.split("/")):
            if not isinstance(place, self._h5py.Group) or part not in place:
                link = place.get(part, getlink=True) if hasattr(place, "get") else None
                if link is None:
                    fail("GC-D001", f"there is none; the file has {self._names()}")
            if not isinstance(place.get(part, getlink=True), self._h5py.HardLink):
                fail("GC-F003", f"{part!r} is a soft or external link", "store the data themselves")
            place = place[part]
        if not isinstance(place, kind or self._h5py.Dataset):
            what = "dataset" if kind else "group"
            fail("GC-D001", f"it is a {what}; the file has {self._names()}")
        return place

    def _names(self) -> str:
        names = sorted(str(n) for n in list(self._file)[:20])
        return ", ".join(map(repr, names)) or "nothing"
