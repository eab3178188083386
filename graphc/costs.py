"""costs: how long kernels of the C++ core take: measured here, else by the shipped table's rates.

Measured times lie in `$GRAPHC_CACHE`, one file for each kind of processor, provider and number of
threads; `graphc tune` is their only writer.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Any

from graphc import _core
from graphc.config import Config
from graphc.errors import GraphError, fail
from graphc.files import write_file
from graphc.records import record

TABLE = Path(__file__).parent / "tables" / "cpu.json"
VERSION = 1
MAX_BYTES = 64 << 20
MEASURED, SHIPPED = "measured", "table"
REMARK = "kernels: "
"""How a remark on the choice of kernels begins."""
COPIES = {"copy 4096": 4096, "copy 67108864": 67_108_864}
"""Copies to the host pool that are measured: key -> bytes."""


@record(frozen=True, slots=True)
class Rate:
    """What a kernel reaches on one thread."""

    gflops: float
    gbps: float
    start_us: float


@record(frozen=True)
class Costs:
    """`times`: microseconds by what a kernel was told, measured with this many `threads`; `source`:
    a checksum of the file they are from."""

    threads: int = 1
    times: Mapping[str, float] = field(default_factory=dict)
    source: str = ""

    def microseconds(self, symbol: str, key: str, macs: int, nbytes: int) -> tuple[float, str]:
        """(time, what that rests on) of a kernel that multiplies and adds `macs` times and touches
        `nbytes` of operands."""
        if key in self.times:
            return self.times[key], MEASURED
        rate = _rates().get(symbol) or _rates()[""]
        compute = 2e-3 * macs / (rate.gflops * self.threads)
        move = 1e-3 * nbytes / (rate.gbps * min(self.threads, 2))
        return rate.start_us + max(compute, move), SHIPPED

    def link(self, is_file: bool) -> tuple[float, float, str]:
        """(bytes/s, microseconds to start, what that rests on) of copies to the host pool, which
        `is_file` or memory."""
        times = [self.times.get(pool_key(key, is_file), 0.0) for key in COPIES]
        (few, many), (short, long) = COPIES.values(), times
        if 0 < short < long:
            return 1e6 * (many - few) / (long - short), short, MEASURED
        told = json.loads(_table())["link"]
        return 1e9 * told["gbps"], told["start_us"], SHIPPED

    def digest(self) -> str:
        """Equal for costs that are equal."""
        return f"{zlib.crc32(_table()):08x}{self.source}"


def known_costs(threads: int, cache: Path | None = None) -> Costs:
    """What was measured on a machine like this one with so many threads. Raises GC-F001 for a file
    that cannot be read, GC-A001 for one that `graphc tune` did not write."""
    return Costs(threads, *read_times(cache_file(threads, cache)))


def pool_key(key: str, is_file: bool) -> str:
    """What a copy is called among the times; a pool that is a file is slower."""
    return f"{key} to a file" if is_file else key


def cache_file(threads: int, cache: Path | None = None) -> Path:
    """Where times of this machine's kind belong."""
    kind = f"{_processor()} {_core.isa()} {_core.onednn_version()}"
    folder = Config.load().cache if cache is None else cache
    return folder / f"cpu-{_core.isa()}-{zlib.crc32(kind.encode()):08x}-t{threads}.json"


def keep_times(times: Mapping[str, float], threads: int, cache: Path | None = None) -> Path:
    """Add measured times to the cache; returns its file. Raises GC-F002."""
    path = cache_file(threads, cache)
    about = {"processor": _processor(), "isa": _core.isa(), "onednn": _core.onednn_version()}
    write_times(path, {**about, "threads": threads}, times)
    return path


def write_times(path: Path, about: Mapping[str, Any], times: Mapping[str, float]) -> None:
    """Add times to a file, which says what they are `about`. Raises GC-F002."""
    known = {**read_times(path)[0], **times}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GraphError("GC-F002", f"cannot make folder {str(path.parent)!r}: {error}") from error
    text = {"version": VERSION, **about, "us": dict(sorted(known.items()))}
    write_file(path, json.dumps(text, indent=1) + "\n")


def read_times(path: Path) -> tuple[dict[str, float], str]:
    """Times and a checksum of the file that has them."""
    try:
        stat = path.stat()
    except OSError:
        return {}, ""
    if stat.st_size > MAX_BYTES:
        fail("GC-L001", f"{str(path)!r} has {stat.st_size} bytes", "delete it and tune again")
    return _read(path, stat.st_mtime_ns)


@cache
def _read(path: Path, stamp: int) -> tuple[dict[str, float], str]:
    del stamp  # of the version that is read; a newer one is read again
    text = b""
    try:
        text = path.read_bytes()
        told = json.loads(text)
    except OSError as error:
        fail("GC-F001", f"cannot read {str(path)!r}: {error.strerror}", "delete it and tune again")
    except (ValueError, RecursionError):
        told = None
    times = told.get("us") if isinstance(told, dict) and told.get("version") == VERSION else None
    if not isinstance(times, dict) or not all(_is_time(us) for us in times.values()):
        fail("GC-A001", f"{str(path)!r} holds no kernel times", "delete it and tune again")
    return times, f"{zlib.crc32(text):08x}"


def _is_time(us: Any) -> bool:
    return isinstance(us, (int, float)) and not isinstance(us, bool) and 0 <= us < 1e12


@cache
def _rates() -> dict[str, Rate]:
    """By symbol; "" for all others."""
    told = json.loads(_table())
    return {"": Rate(**told["default"])} | {s: Rate(**r) for s, r in told["kernels"].items()}


@cache
def _table() -> bytes:
    return TABLE.read_bytes()


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    wanted = ("model name", "model\t", "stepping", "CPU part")
    return ", ".join(
        dict.fromkeys(line.split(":", 1)[-1].strip() for line in lines if line.startswith(wanted))
    )


__all__ = [
    "COPIES",
    "MEASURED",
    "REMARK",
    "SHIPPED",
    "Costs",
    "cache_file",
    "keep_times",
    "known_costs",
    "pool_key",
    "read_times",
    "write_times",
]
