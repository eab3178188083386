"""load: a shared library of CUDA, where its wheel puts it or the system has it."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import sysconfig
from pathlib import Path


@functools.cache
def load(stem: str) -> ctypes.CDLL | None:
    """The newest lib`stem` there is, "nvrtc" or "cublasLt"; None: none that can be loaded."""
    site = Path(sysconfig.get_path("purelib"))
    wheels = sorted(map(str, site.glob(f"nvidia/*/lib/lib{stem}.so.*[0-9]")), reverse=True)
    for place in (*wheels, ctypes.util.find_library(stem)):
        try:
            return ctypes.CDLL(place) if place else None
        except OSError:
            continue
    return None
