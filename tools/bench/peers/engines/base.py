"""Engine: what a worker asks of graphc and of every peer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from bench.peers.files import Files
from bench.peers.plain import Array


class Missing(Exception):
    """The engine is not here, or not in a version that can do this."""


@dataclass
class Samples:
    """Seconds of each call: on the clock, and of all threads of the process together."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Engine:
    """One engine with one network: NumPy array in, NumPy array out, in Caffe's NCHW order."""

    def version(self) -> str:
        raise NotImplementedError

    def load(self, files: Files, batch: int, threads: int) -> None:
        raise NotImplementedError

    def facts(self) -> dict[str, float]:
        """What it says of the loaded network besides."""
        return {}

    def run(self, x: Array) -> Array | None:
        """The output; None if the engine does not show it."""
        raise NotImplementedError

    def measure(self, x: Array, count: int) -> Samples:
        """Time `count` calls after one that is not counted."""
        self.run(x)
        found = Samples()
        for _ in range(count):
            cpu, wall = time.process_time(), time.perf_counter()
            self.run(x)
            found.wall.append(time.perf_counter() - wall)
            found.cpu.append(time.process_time() - cpu)
        return found

    def peak_bytes(self) -> int | None:
        """Greatest resident memory so far (VmHWM); None where the system does not tell."""
        return peak_of_process()

    def convert(self, files: Files) -> None:
        """Write what this engine starts fastest from; batch 1."""

    def load_converted(self, files: Files) -> None:
        """Load what `convert` wrote, for one thread."""
        self.load(files, 1, 1)


def peak_of_process() -> int | None:
    """VmHWM in bytes. ru_maxrss would not do: it starts at the parent's."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
