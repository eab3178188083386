"""host_pages: memory of the host that what waits for the backward is sent to."""

from __future__ import annotations

import mmap
import os
import tempfile

from graphc import _core
from graphc.config import Config
from graphc.errors import fail


def host_pages(nbytes: int) -> _core.Pages:
    """Ordinary memory, or, if GRAPHC_HOST names a folder, a file there that nobody else sees and
    that is gone when we are.

    Raises GC-F002 where there is no room for such a file, GC-M002 for none in memory.
    """
    folder = Config.load().host
    if folder is None or nbytes == 0:
        return _core.Pages(nbytes)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, nbytes)  # a full disk shows now, not in a copy
            return _core.Pages.over(memoryview(mmap.mmap(file.fileno(), nbytes)))
    except OSError as error:
        told = f"cannot make a file of {nbytes:,} B in folder {str(folder)!r} for the host pool"
        fail("GC-F002", f"{told}: {error.strerror}", "GRAPHC_HOST names the folder")


__all__ = ["host_pages"]
