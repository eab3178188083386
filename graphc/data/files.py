"""Read whole files and lines; only regular files, their size checked first."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from graphc.errors import fail
from graphc.limits import Limits

MAX_PATH = 4096  # characters; no system takes longer ones


def file_size(path: Path) -> int:
    """The size in bytes of a regular file. Raises GC-F001 if it is none."""
    try:
        info = path.stat()
    except (OSError, ValueError) as error:
        fail("GC-F001", f"{str(path)!r} cannot be read: {_reason(error)}")
    if not stat.S_ISREG(info.st_mode):
        what = "a folder" if stat.S_ISDIR(info.st_mode) else "no regular file"
        fail("GC-F001", f"{str(path)!r} is {what}, not a file")
    return info.st_size


def read_bytes(path: Path, limits: Limits, limit: str = "binary_bytes") -> bytes:
    """All bytes of a regular file. Raises GC-F001, and GC-L001 above the named limit."""
    size = file_size(path)
    limits.check(limit, size, f"the size of {str(path)!r} in bytes")
    try:
        with path.open("rb") as file:
            return file.read(size)  # what is appended meanwhile is not ours
    except (OSError, MemoryError) as error:
        fail("GC-F001", f"{str(path)!r} cannot be read: {_reason(error)}")


def read_lines(path: Path, limits: Limits) -> list[str]:
    """The lines of a text file without line ends and byte order mark, blank ones included.

    Bytes that are no UTF-8 stay what they are in file names. Raises GC-F001, GC-L001.
    """
    text = os.fsdecode(read_bytes(path, limits, "text_bytes"))
    return text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
