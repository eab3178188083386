"""tune: measure every kernel that could do a layer, so that the fastest is taken from then on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from graphc.costs import keep_times, known_costs
from graphc.ir.graph import Graph
from graphc.lower._problem import UNPACKED, Problem
from graphc.lower.cpu import make, problems
from graphc.memory import pinned_values, prepared
from graphc.runtime.cpu import usable_cpus
from graphc.runtime.executable import Keep

DTYPES = {"f32": np.float32, "i64": np.int64, "i32": np.int32, "u8": np.uint8}
LEAST, SECONDS = 5, 0.03
"""Runs of one kernel, and how long they go on."""
Progress = Callable[[int, int, str], None]
"""(kernels done, kernels in all, what is measured now)."""


@dataclass(frozen=True)
class TuneReport:
    """`times`: microseconds, the fastest run, of what was measured now, by problem; `known`: how
    many had been measured before; `file`: where all of them lie."""

    times: dict[str, float]
    known: int
    file: Path
    threads: int


def tune(
    net: Graph | str | Path,
    *,
    batch: int | None = None,
    threads: int | None = None,
    keep: Keep = (),
    again: bool = False,
    progress: Progress = lambda done, count, key: None,
) -> TuneReport:
    """Measure the kernels of a network's forward on this machine and add them to the cache.

    Later compilations with as many threads choose kernels and formats by these times. What is in
    the cache is not measured anew, unless `again`. Raises GC-F002 for a cache that cannot be
    written, GC-A001 for one that is no cache, and what loading raises.
    """
    count = threads or usable_cpus()
    graph = prepared(net, train=False, batch=batch, keep=keep)
    before = known_costs(count).times
    found = problems(graph, pinned_values(graph, keep), count)
    wanted = [problem for key, problem in found.items() if again or key not in before]
    times: dict[str, float] = {}
    for done, problem in enumerate(wanted):
        progress(done, len(wanted), problem.key)
        us = measure(problem, count)
        if us is not None:
            times[problem.key] = us
    return TuneReport(times, len(found) - len(wanted), keep_times(times, count), count)


def measure(problem: Problem, threads: int) -> float | None:
    """Microseconds of the fastest of several runs on random operands; None where the kernel does
    not take the problem after all."""
    kernel = make(problem, threads)
    if kernel is not None and UNPACKED in problem.reads:
        size = ("f32", (kernel.packed,))
        known = tuple(size if shape == UNPACKED else shape for shape in problem.reads)
        kernel = make(replace(problem, reads=known), threads)
        problem = replace(problem, reads=known)
    if kernel is None:
        return None
    rng = np.random.Generator(np.random.Philox(key=0))

    def array(
        dtype: str, dims: tuple[int, ...]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        if dtype != "f32":
            return np.zeros(dims, DTYPES[dtype])
        return rng.random(dims, np.float32)

    reads = [array(*shape) for shape in problem.reads]
    writes = [array(*shape) for shape in problem.writes]
    return kernel.time(reads, writes, LEAST, SECONDS)


__all__ = ["TuneReport", "measure", "tune"]
