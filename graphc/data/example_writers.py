"""Writers of data sets: LMDB for Data layers, HDF5 for HDF5Data, npz for NumpyData."""

from __future__ import annotations

import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from graphc.data.datum import datum_bytes, encoded_datum_bytes
from graphc.data.examples import Example
from graphc.data.hdf5_file import h5py
from graphc.data.images import Planes
from graphc.data.stored_examples import DATA, LABEL
from graphc.errors import fail
from graphc.limits import MIB

_FIRST_MAP = 64 * MIB
_COMMIT = 1000  # records; as Caffe's converters
_LONGEST_KEY = 511  # bytes, of LMDB
_BLOCK = 256  # images that are written in one go


class Writer(Protocol):
    """Takes examples in order, `finish` after the last; `close` may be called at any time."""

    def add(self, example: Example) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


def lmdb() -> ModuleType:
    """The package lmdb. Raises GC-U002 where it is not installed."""
    try:
        import lmdb as module
    except ImportError:
        fail("GC-U002", "writing an LMDB needs the package lmdb", "pip install 'graphc[data]'")
    found: ModuleType = module
    return found


class LmdbWriter:
    """Datum records under keys "00000000_path", or "00000000" without a path, as Caffe writes.

    The map grows as needed. Raises GC-U002; what the library raises (a full disk) is an OSError.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._lmdb = lmdb()
        self._path, self._index = path, 0
        self._pending: list[tuple[bytes, bytes]] = []
        self._size = _FIRST_MAP
        path.mkdir()
        self._env: Any = self._guarded(
            lambda: self._lmdb.open(str(path), map_size=self._size, sync=False, lock=False)
        )

    def add(self, example: Example) -> None:
        key = os.fsencode(f"{self._index:08}" + (f"_{example.key}" if example.key else ""))
        if example.encoded:
            value = encoded_datum_bytes(example.encoded, example.label)
        else:
            value = datum_bytes(example.planes, example.label)
        self._pending.append((key[:_LONGEST_KEY], value))
        self._index += 1
        if len(self._pending) == _COMMIT:
            self._commit()

    def finish(self) -> None:
        self._commit()
        self._guarded(lambda: self._env.sync(True))

    def close(self) -> None:
        self._env.close()

    def _commit(self) -> None:
        while not self._guarded(self._put):
            self._size *= 2
            self._guarded(lambda: self._env.set_mapsize(self._size))
        self._pending.clear()

    def _put(self) -> bool:
        """Write what is pending; False if the map is too small for it."""
        try:
            with self._env.begin(write=True) as transaction:
                for key, value in self._pending:
                    transaction.put(key, value, append=True)
        except self._lmdb.MapFullError:
            return False
        return True

    def _guarded(self, do: Any) -> Any:
        try:
            return do()
        except self._lmdb.Error as error:
            raise OSError(f"LMDB: {error}") from error


class _Stacked(ABC):
    """Collects images of one shape and type in blocks; gives each to `_write`."""

    def __init__(self, count: int) -> None:
        self.count, self.labels = count, np.zeros(count, np.int32)
        self._index = 0
        self._block: list[Planes] = []
        self.first: Planes | None = None

    def add(self, example: Example) -> None:
        planes = example.planes
        if self.first is None:
            self.first = planes
            self._begin(planes)
        if planes.shape != self.first.shape or planes.dtype != self.first.dtype:
            fail(
                "GC-D002",
                f"image {example.key or self._index!r} is {planes.dtype} {planes.shape}, the first "
                f"{self.first.dtype} {self.first.shape}",
                "--resize brings all images to one size; an LMDB holds images of any",
            )
        self.labels[self._index] = example.label
        self._index += 1
        self._block.append(planes)
        if len(self._block) == _BLOCK:
            self._flush()

    def _flush(self) -> None:
        if self._block:
            self._write(np.stack(self._block), self._index)
            self._block.clear()

    @abstractmethod
    def _begin(self, planes: Planes) -> None:
        """Make room for `count` images like the first one."""

    @abstractmethod
    def _write(self, block: npt.NDArray[Any], end: int) -> None:
        """Write images up to the `end`-th."""


class Hdf5Writer(_Stacked):
    """Datasets "data" (N, C, H, W), uint8 or float32, and "label" (N,), float32. Raises GC-U002."""

    def __init__(self, path: Path, count: int) -> None:
        super().__init__(count)
        module = h5py()
        with _hdf5():
            self._file: Any = module.File(path, "w")

    def finish(self) -> None:
        self._flush()
        with _hdf5():
            self._file.create_dataset(LABEL, data=self.labels.astype(np.float32))

    def close(self) -> None:
        with _hdf5():
            self._file.close()

    def _begin(self, planes: Planes) -> None:
        with _hdf5():
            self._data = self._file.create_dataset(DATA, (self.count, *planes.shape), planes.dtype)

    def _write(self, block: npt.NDArray[Any], end: int) -> None:
        with _hdf5():
            self._data[end - len(block) : end] = block


@contextmanager
def _hdf5() -> Iterator[None]:
    """What h5py raises, errors of many kinds, as OSError."""
    try:
        yield
    except Exception as error:
        raise OSError(f"HDF5: {error}") from error


class NpzWriter(_Stacked):
    """Arrays "data" (N, C, H, W) and "label" (N,), int32; stored plain, so that they are mapped."""

    def __init__(self, path: Path, count: int) -> None:
        super().__init__(count)
        self._archive = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)
        self._member: Any = None

    def finish(self) -> None:
        self._flush()
        self._member.close()
        with self._archive.open(f"{LABEL}.npy", "w") as member:
            np.lib.format.write_array(member, self.labels)

    def close(self) -> None:
        if self._member is not None:
            self._member.close()
        self._archive.close()

    def _begin(self, planes: Planes) -> None:
        self._member = self._archive.open(f"{DATA}.npy", "w", force_zip64=True)
        head = {
            "descr": np.lib.format.dtype_to_descr(planes.dtype),
            "fortran_order": False,
            "shape": (self.count, *planes.shape),
        }
        np.lib.format.write_array_header_1_0(self._member, head)

    def _write(self, block: npt.NDArray[Any], end: int) -> None:
        self._member.write(block.tobytes())


WRITERS: dict[str, type[LmdbWriter] | type[Hdf5Writer] | type[NpzWriter]] = {
    "lmdb": LmdbWriter,
    "hdf5": Hdf5Writer,
    "npz": NpzWriter,
}

__all__ = ["WRITERS", "Hdf5Writer", "LmdbWriter", "NpzWriter", "Writer", "lmdb"]
