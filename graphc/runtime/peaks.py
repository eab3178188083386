"""measure_peaks: what this machine can do at most, the yardstick of measured times."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from graphc import _core
from graphc.cuda.library import GPU, Library
from graphc.records import record

MIB = 1 << 20
LEAST, SHARE = 256 * MIB, 8
"""Bytes of a stream at least, and the part of the machine's memory that one may take."""
WORD, PIECE = 8, 2 * MIB
"""Bytes of a word of a stream, and words of a piece that is timed by itself."""
TICK = 1e-9
"""Seconds that anything takes at least: a clock may be too coarse to tell."""
BURST, BURSTS = 0.002, 100
"""How long a loop of multiply-adds runs at least, seconds, and of how many the best counts: short
ones, so that some are not disturbed."""
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@record(frozen=True, slots=True)
class Peaks:
    """`flops`: FLOP/s of multiply-adds on registers alone, which count as two; `read`, `copy`:
    bytes/s of passes over `stream_bytes` of memory, a copy counted as read and written. All by
    `threads` threads together, with the instructions of `isa`."""

    isa: str
    threads: int
    flops: float
    read: float
    copy: float
    stream_bytes: int

    @property
    def bandwidth(self) -> float:
        """Bytes/s that memory gives or takes at most."""
        return max(self.read, self.copy)

    def microseconds(self, macs: int, nbytes: int) -> float:
        """The roofline: the longer of computing and moving, if either went at its peak."""
        return 1e6 * max(2 * macs / self.flops, nbytes / self.bandwidth)


def published_peaks(gpu: str = GPU) -> Peaks:
    """A GPU's, of graphc/tables: shares of published figures, and no measurements."""
    library = Library(gpu)
    flops, bandwidth = library.rate("f32"), library.rate("bytes")
    return Peaks(gpu, 1, flops, bandwidth, bandwidth, 0)


def measure_peaks(threads: int, stream_bytes: int | None = None) -> Peaks:
    """The peaks of this machine as it is now; takes a second or two.

    `stream_bytes` None: twice the last-level cache, at least 256 MiB, at most an eighth of the
    memory. Raises GC-R004 for numbers out of range, GC-M002.
    """
    nbytes = _stream_bytes() if stream_bytes is None else stream_bytes
    flops = _flops(threads)
    stream = _core.Stream(nbytes // WORD, threads)
    read = max(_passes(stream, lambda first, count: stream.read(first, count)[0]))
    copy = 2 * max(_passes(stream, stream.copy))
    return Peaks(_core.isa(), threads, flops, read, copy, nbytes)


def _passes(stream: _core.Stream, seconds: Callable[[int, int], float]) -> Iterator[float]:
    """Bytes/s of each piece of two passes over a whole block, so that every piece comes cold."""
    for _ in range(2):
        for first in range(0, stream.size, PIECE):
            count = min(PIECE, stream.size - first)
            if count == min(PIECE, stream.size):  # the last may be too short to tell
                yield WORD * count / max(seconds(first, count), TICK)


def _flops(threads: int) -> float:
    steps, seconds = 1 << 10, 0.0
    while seconds < BURST:
        steps *= 2
        seconds, _ = _multiply_add(steps, threads)

    def rate() -> float:
        seconds, count = _multiply_add(steps, threads)
        return 2 * count / seconds

    return max(rate() for _ in range(BURSTS))


def _multiply_add(steps: int, threads: int) -> tuple[float, int]:
    order = {"start": 0.0, "factor": 1.0, "addend": 1.0}
    seconds, count, _ = _core.multiply_add(**order, steps=steps, threads=threads)
    return seconds, count


def _stream_bytes() -> int:
    wanted = max(LEAST, 2 * _largest_cache())
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system tells
        return wanted
    return min(wanted, max(memory // SHARE, MIB))


def _largest_cache(folder: Path = CACHES) -> int:
    """Bytes of the largest cache that Linux tells of, as 266240K; 0 where it tells of none."""
    sizes = [0]
    for file in folder.glob("index*/size"):
        with suppress(OSError, ValueError):
            text = file.read_text().strip()
            sizes.append(int(text.rstrip("KM")) << {"K": 10, "M": 20}.get(text[-1:], 0))
    return max(sizes)


__all__ = ["Peaks", "measure_peaks"]
