"""How many threads kernels may use."""

from __future__ import annotations

import os

from graphc.errors import fail

MAX_THREADS = 1024


def checked_threads(told: int | None) -> int:
    """`told`, or as many as there are CPUs for this process. Raises GC-R004."""
    if told is None:
        return min(usable_cpus(), MAX_THREADS)
    if type(told) is not int or not 1 <= told <= MAX_THREADS:
        fail("GC-R004", f"{told!r} threads; 1 to {MAX_THREADS} are possible")
    return told


def usable_cpus() -> int:
    """How many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


__all__ = ["checked_threads", "usable_cpus"]
