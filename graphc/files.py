"""Files as a whole: written so that a crash leaves the old one, read by mapping.

Reads nothing but `graphc.errors`. Every file graphc makes goes through `replacing`.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from graphc.errors import GraphError, fail


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a draft of `path`, seekable; it takes the file's place when the block ends well.

    The draft lies in the same folder, on Linux without a name, so that even a killed process
    leaves nothing behind. At the end: fsync, rename, fsync of the folder. Mode bits of an older
    file are kept, and links are followed to the file they name. If anything fails, the old file
    is untouched; what fails while writing raises GC-F002. Devices and pipes are written directly.
    """
    shown = os.fspath(path)
    if not shown or "\0" in shown:
        fail("GC-F002", f"{shown!r} is not a path")
    try:
        target = os.path.realpath(shown)
        mode = _mode(target)
        if mode is None or stat.S_ISREG(mode):
            with _draft(target, mode) as file:
                yield file
        else:
            with open(target, "wb") as file:
                yield file
    except OSError as error:
        hint = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise GraphError("GC-F002", f"cannot write {shown!r}: {_reason(error)}", hint) from error


def write_file(path: str | Path, data: bytes | str) -> None:
    """Write all of `data` (text as UTF-8) to `path`, or nothing. Raises GC-F002."""
    with replacing(path) as file:
        file.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)


def map_file(path: str | Path) -> memoryview:
    """The bytes of a regular file, mapped and not read: nothing is copied. Raises GC-F001.

    The mapping lives as long as a view of it; the file must not be cut short meanwhile.
    """
    with open_file(path) as file:
        return map_open(file)


def open_file(path: str | Path) -> BinaryIO:
    """A regular file, open for reading. Raises GC-F001."""
    shown = os.fspath(path)
    try:
        mode = os.stat(shown).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder, not a file" if stat.S_ISDIR(mode) else "no regular file"
            fail("GC-F001", f"{shown!r} is {kind}")
        return open(shown, "rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise GraphError("GC-F001", f"cannot read {shown!r}: {_reason(error)}") from None


def map_open(file: BinaryIO, *, writable: bool = False) -> memoryview:
    """The bytes of an open file, mapped as `map_file` does. `writable`: what is written there is
    the process's own (copied on write) and never reaches the file. Raises GC-F001."""
    access = mmap.ACCESS_COPY if writable else mmap.ACCESS_READ
    try:
        if not os.fstat(file.fileno()).st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=access))
    except OSError as error:
        raise GraphError("GC-F001", f"cannot read {file.name!r}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _mode(target: str) -> int | None:
    """Type and permission bits of what is there, None if nothing is."""
    try:
        return os.stat(target).st_mode
    except FileNotFoundError:
        return None


@contextmanager
def _draft(target: str, mode: int | None) -> Iterator[BinaryIO]:
    """A new file that becomes `target` at the end of the block."""
    folder_path, base = os.path.split(target)
    temp = f".{base[:200]}.{os.urandom(4).hex()}.tmp"
    folder = os.open(folder_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        handle, named = _open_draft(folder, temp)
        file = os.fdopen(handle, "w+b")
        try:
            if mode is not None:
                os.fchmod(handle, stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(handle)
            if not named:
                # with a folder handle given, os.link follows the link that /proc shows
                os.link(f"/proc/self/fd/{handle}", temp, dst_dir_fd=folder, follow_symlinks=True)
                named = True
            os.replace(temp, base, src_dir_fd=folder, dst_dir_fd=folder)
            named = False
            _sync_folder(folder)
        finally:
            with suppress(OSError):  # after a failure, the rest of the buffer is of no interest
                file.close()
            if named:
                with suppress(OSError):
                    os.unlink(temp, dir_fd=folder)
    finally:
        os.close(folder)


def _open_draft(folder: int, temp: str) -> tuple[int, bool]:
    """A handle for writing, and whether the draft has the name `temp`."""
    flags = os.O_RDWR | os.O_CLOEXEC
    nameless = getattr(os, "O_TMPFILE", 0)
    if nameless and os.path.isdir("/proc/self/fd"):
        with suppress(OSError):  # some file systems only know files with names
            return os.open(".", nameless | flags, 0o666, dir_fd=folder), False
    return os.open(temp, os.O_CREAT | os.O_EXCL | flags, 0o666, dir_fd=folder), True


def sync_folder(path: str | Path) -> None:
    """Make renames and removals within a folder last. Raises OSError."""
    folder = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync_folder(folder)
    finally:
        os.close(folder)


def _sync_folder(folder: int) -> None:
    """Make the rename itself last; file systems that cannot sync a folder are let be."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise


__all__ = ["map_file", "map_open", "open_file", "replacing", "sync_folder", "write_file"]
