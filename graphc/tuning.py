"""tune: measure every kernel that could do a layer, so that the fastest is taken from then on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter

import numpy as np
import numpy.typing as npt

from graphc import _core
from graphc.config import Config
from graphc.costs import COPIES, keep_times, known_costs, pool_key
from graphc.errors import fail
from graphc.ir.graph import Graph
from graphc.lower._problem import UNPACKED, Problem
from graphc.lower.cpu import problems
from graphc.memory import pinned_values, prepared
from graphc.records import record
from graphc.runtime._prepared import DTYPES
from graphc.runtime.keeping import Keep
from graphc.runtime.threads import checked_threads

LEAST, SECONDS = 5, 0.03
"""Runs of one kernel, and how long they go on."""
Bytes = npt.NDArray[np.uint8]
Progress = Callable[[int, int, str], None]
"""(kernels done, kernels in all, what is measured now)."""


@record(frozen=True)
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
    train: bool = False,
    batch: int | None = None,
    threads: int | None = None,
    keep: Keep = (),
    again: bool = False,
    progress: Progress = lambda done, count, key: None,
) -> TuneReport:
    """Measure the kernels of a network's forward on this machine and add them to the cache; those
    of its backward too if `train`, in phase TRAIN if `net` is a file, and copies to the host pool.

    Later compilations with as many threads choose kernels and formats by these times. What is in
    the cache is not measured anew, unless `again`. Raises GC-R004 (threads), GC-F002 for a cache
    that cannot be written, GC-A001 for one that is no cache, and what loading raises.
    """
    count = checked_threads(threads)
    graph = prepared(net, train=train, batch=batch, keep=keep)
    before = known_costs(count).times
    found = problems(graph, pinned_values(graph, keep), count)
    wanted = [problem for key, (problem, _) in found.items() if again or key not in before]
    times: dict[str, float] = {}
    for done, problem in enumerate(wanted):
        progress(done, len(wanted), problem.key)
        times[problem.key] = measure(problem, count)
    if train:
        host = Config.load().host
        keys = {pool_key(key, host is not None): nbytes for key, nbytes in COPIES.items()}
        if again or not before.keys() >= keys.keys():
            times |= {key: measure_copy(nbytes, host) for key, nbytes in keys.items()}
    return TuneReport(times, len(found) - len(wanted), keep_times(times, count), count)


def measure(problem: Problem, threads: int) -> float:
    """Microseconds of the fastest of several runs on random operands, the weights not in a cache,
    as it is where other layers have run since."""
    kernel = _made(problem, threads)
    if UNPACKED in problem.reads:
        size = ("f32", (kernel.packed,))
        known = tuple(size if shape == UNPACKED else shape for shape in problem.reads)
        problem = replace(problem, reads=known)
        kernel = _made(problem, threads)
    rng = np.random.Generator(np.random.Philox(key=0))

    def array(
        dtype: str, dims: tuple[int, ...]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        if dtype != "f32":
            return np.zeros(dims, DTYPES[dtype])
        return rng.random(dims, np.float32)

    reads = [array(*shape) for shape in problem.reads]
    writes = [array(*shape) for shape in problem.writes]
    return kernel.time(reads, writes, LEAST, SECONDS, problem.weights)


def measure_copy(nbytes: int, folder: Path | None) -> float:
    """Microseconds of the fastest of several copies to the host pool: to other memory, or, if it is
    a file, to one in its folder. Raises GC-F002 for one that cannot be made."""
    source = np.ones(nbytes, np.uint8)
    if folder is None:
        return _copied(source, np.zeros(nbytes, np.uint8))
    try:
        with TemporaryFile(dir=folder) as file:
            return _copied(source, np.memmap(file, np.uint8, "w+", shape=(nbytes,)))
    except OSError as error:
        fail("GC-F002", f"cannot make a host pool in {str(folder)!r}: {error.strerror}")


def _copied(source: Bytes, target: Bytes) -> float:
    best, past = inf, perf_counter() + SECONDS
    np.copyto(target, source)
    runs = 0
    while runs < LEAST or perf_counter() < past:
        start = perf_counter()
        np.copyto(target, source)
        best, runs = min(best, perf_counter() - start), runs + 1
    return 1e6 * best


def _made(problem: Problem, threads: int) -> _core.Kernel:
    return _core.make_kernel(problem.symbol, *problem.specs, dict(problem.attrs), threads)


__all__ = ["TuneReport", "measure", "tune"]
