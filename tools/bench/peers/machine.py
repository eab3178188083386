"""The machine, and how busy it is with other work than ours."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")


def described() -> dict[str, Any]:
    """Processor, what of its instruction sets matters, cores this process may use, memory."""
    info = _cpuinfo()
    flags = set(info.get("flags", "").split())
    return {
        "cpu": info.get("model name", platform.processor() or "unknown"),
        "isa": [flag for flag in FLAGS if flag in flags],
        "cores": usable_cores(),
        "memory_bytes": _memory("MemTotal"),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def commit(folder: Path) -> str | None:
    """What `folder` is a checkout of, with `-dirty` if files differ; None if it is none."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not tell."""
    return _memory("MemAvailable")


def load_average() -> float | None:
    """Over the last minute; this benchmark's own work counts in it."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


class Bystander:
    """Cores that others kept busy between `start` and `stop`: all work less that of `pids`."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.pids = (os.getpid(), *pids)
        self.began, self.all, self.own = time.monotonic(), _busy_s(), self._own_s()

    def cores(self) -> float | None:
        """Work of others per second of clock; what the host took away (steal) counts too."""
        every = _busy_s()
        if every is None or self.all is None:
            return None
        spent = max(1e-9, time.monotonic() - self.began)
        return max(0.0, (every - self.all - (self._own_s() - self.own)) / spent)

    def _own_s(self) -> float:
        return sum(_process_s(pid) for pid in self.pids)


def _ticks() -> int:
    return os.sysconf("SC_CLK_TCK")


def _busy_s() -> float | None:
    """User, nice, system, interrupts and steal of all cores, in seconds since the start."""
    try:
        fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, soft, steal = map(int, fields)
    return (user + nice + system + irq + soft + steal) / _ticks()


def _process_s(pid: int) -> float:
    """CPU time of a process and of its children that have ended; 0 once it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return 0.0
    return sum(map(int, text.rpartition(")")[2].split()[11:15])) / _ticks()


def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace").split("\n\n")[0]
    except OSError:
        return {}
    rows = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in rows}


def _memory(name: str) -> int | None:
    try:
        text = Path("/proc/meminfo").read_text("ascii")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None
