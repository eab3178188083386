"""Read and write whole files: size checked first, writing aside and renaming at the end."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from graphc.errors import fail
from graphc.limits import Limits


def check_file(path: Path, limits: Limits, limit: str = "binary_bytes") -> int:
    """The size in bytes of a regular file. Raises GC-F001, and GC-L001 above the named limit."""
    try:
        info = path.stat()
    except (OSError, ValueError) as error:
        fail("GC-F001", f"{str(path)!r} cannot be read: {_reason(error)}")
    if not stat.S_ISREG(info.st_mode):
        what = "a folder" if stat.S_ISDIR(info.st_mode) else "no regular file"
        fail("GC-F001", f"{str(path)!r} is {what}, not a file")
    limits.check(limit, info.st_size, f"the size of {str(path)!r} in bytes")
    return info.st_size


def read_bytes(path: Path, limits: Limits, limit: str = "binary_bytes") -> bytes:
    """All bytes of a regular file. Raises GC-F001, and GC-L001 above the named limit."""
    size = check_file(path, limits, limit)
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


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file that appears at once or not at all; an old one stays if writing fails (GC-F002).

    Device files (/dev/null) are written directly.
    """
    direct = path.exists() and not path.is_file()
    aside = path if direct else path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
        if not direct:
            os.replace(aside, path)
    except (OSError, ValueError) as error:
        if not direct:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
        fail("GC-F002", f"{str(path)!r} cannot be written: {_reason(error)}")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
