"""NumpyFile: the arrays of a .npz or .npy in their own element type, mapped where possible."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from graphc.errors import GraphError, fail, near
from graphc.files import map_open, open_file
from graphc.ir.types import MAX_RANK
from graphc.limits import Limits

_LOCAL = struct.Struct("<4s22xHH")  # signature, ..., bytes of name and of extra field
_HEADER = 10_000  # numpy writes under 200 bytes for an array of numbers
_ALONE = ""

Numbers = npt.NDArray[Any]


class NumpyFile:
    """Arrays by name; that of a .npy is called "". A context manager; arrays outlive it.

    What is stored plain in the file is mapped, so that only what is used is read; what is
    compressed is unpacked. Never unpickles. Raises GC-F001, GC-D001 (broken), GC-L001.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self._file = open_file(path)
        try:
            self._data = map_open(self._file)
            self._archive: zipfile.ZipFile | None = None
            self._members: dict[str, zipfile.ZipInfo | None] = self._listed()
        except GraphError:
            self.close()
            raise

    def __enter__(self) -> NumpyFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._members)

    def array(self, name: str) -> Numbers:
        """An array of numbers, not to be written to. Raises GC-D001 for a missing or broken one,
        GC-D002 for one that holds no numbers, GC-L001."""
        if name not in self._members:
            told = f"{str(self.path)!r} has no array {name!r}"
            hint = near(name, self.names) or f"it has {', '.join(map(repr, self.names)) or 'none'}"
            fail("GC-D001", told, hint)
        try:
            return self._array(self._members[name])
        except GraphError as error:
            where = f"{str(self.path)!r}" + (f", array {name!r}" if name else "")
            raise GraphError(error.code, f"{where}: {error.message}", error.hint) from None
        except Exception as error:  # ValueError, zlib.error, zipfile.BadZipFile, MemoryError, ...
            fail("GC-D001", f"{str(self.path)!r}, array {name!r} is broken: {error}")

    def _listed(self) -> dict[str, zipfile.ZipInfo | None]:
        if bytes(self._data[:6]) == np.lib.format.MAGIC_PREFIX:
            return {_ALONE: None}
        if bytes(self._data[:2]) != b"PK":
            self._broken("it begins neither like a .npz nor like a .npy")
        try:
            self._archive = zipfile.ZipFile(self._file)
        except Exception as error:  # zipfile lets errors of many kinds through
            self._broken(str(error))
        infos = self._archive.infolist()
        return {i.filename.removesuffix(".npy"): i for i in infos if i.filename.endswith(".npy")}

    def _array(self, member: zipfile.ZipInfo | None) -> Numbers:
        if member is None:
            return self._parsed(self._data)
        if member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1:
            return self._parsed(self._stored(member))
        self.limits.check("tensor_bytes", member.file_size, "its unpacked size in bytes")
        assert self._archive is not None
        return self._parsed(memoryview(self._archive.read(member)))

    def _stored(self, member: zipfile.ZipInfo) -> memoryview:
        """Where a member that is not compressed lies."""
        signature, name, extra = _LOCAL.unpack_from(self._data, member.header_offset)
        start = member.header_offset + _LOCAL.size + name + extra
        if signature != b"PK\3\4" or start + member.file_size > len(self._data):
            fail("GC-D001", "the archive says it lies where it does not")
        return self._data[start : start + member.file_size]

    def _parsed(self, data: memoryview) -> Numbers:
        """A .npy as an array on the same bytes."""
        head = io.BytesIO(data[:_HEADER])
        version = np.lib.format.read_magic(head)
        if version not in ((1, 0), (2, 0)):
            fail("GC-D001", f"its format has version {version}, known are (1, 0) and (2, 0)")
        read = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        shape, fortran, dtype = read(head)
        if dtype.kind not in "fiub" or dtype.itemsize > 8:
            fail("GC-D002", f"it holds {dtype}, not numbers", "pickled objects are never read")
        if len(shape) > MAX_RANK:
            fail("GC-D002", f"it has {len(shape)} axes, over {MAX_RANK}")
        count = math.prod(shape)
        if min(shape, default=0) < 0 or head.tell() + count * dtype.itemsize > len(data):
            fail(
                "GC-D001",
                f"it states shape {shape} of {dtype}, but holds {len(data) - head.tell():,} bytes",
                "the file is cut short",
            )
        flat = np.frombuffer(data, dtype, count, head.tell())
        array: Numbers = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
        array.flags.writeable = False
        return array

    def _broken(self, why: str) -> NoReturn:
        fail("GC-D001", f"{str(self.path)!r} cannot be read as numpy arrays: {why}")


__all__ = ["NumpyFile"]
