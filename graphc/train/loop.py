"""solve: the whole of a training run, in Caffe's order: tests, iterations, snapshots."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from graphc.errors import GraphError, fail
from graphc.ir.graph import typed
from graphc.train.debugging import DebugNet
from graphc.train.events import (
    LearningRate,
    Listener,
    Snapshot,
    SnapshotFailed,
    TestOutput,
    TestStart,
    Tick,
    TrainLoss,
    TrainOutput,
)

if TYPE_CHECKING:
    from graphc.train.solver import Feed, Solver

Request = Callable[[], str]
"""What is asked for from outside: "stop", "snapshot" or nothing. Every request is given once."""


def solve(
    solver: Solver,
    listen: Listener = lambda event: None,
    request: Request = lambda: "",
    feed: Feed | None = None,
) -> bool:
    """Train until max_iter; False if asked to stop before.

    A snapshot that cannot be written is told of, and training goes on. `feed`: of every iteration,
    where the nets have inputs. Raises GC-F002 if the folder of snapshots is not there or may not be
    written into, and what `Solver.step` raises.
    """
    settings = solver.settings
    if settings.snapshot_prefix and (settings.snapshot or settings.snapshot_after_train):
        check_writable(settings.snapshot_prefix)
    run = _Run(solver, listen, request, feed)
    finished = run.iterations()
    is_saved = settings.snapshot and solver.iter % settings.snapshot == 0
    if settings.snapshot_after_train and settings.snapshot_prefix and not is_saved:
        run.snapshot()
    if finished:
        run.last_look()
    return finished


def check_writable(prefix: str) -> None:
    """Can snapshots go where they are to? Raises GC-F002; nobody likes to hear it in the end."""
    folder = os.path.dirname(prefix) or "."
    if not os.path.isdir(folder):
        hint = f"make the folder, as by mkdir -p {folder}, or set snapshot_prefix"
        fail("GC-F002", f"snapshots go to {prefix!r}, but there is no folder {folder!r}", hint)
    if not os.access(folder, os.W_OK | os.X_OK):
        fail("GC-F002", f"snapshots go to {prefix!r}, but {folder!r} may not be written into")


class _Run:
    def __init__(
        self, solver: Solver, listen: Listener, request: Request, feed: Feed | None
    ) -> None:
        self.solver, self.listen, self.request, self.feed = solver, listen, request, feed
        data = solver.net.graph.inputs or [
            value for node in solver.net.graph.nodes for value in node.outs.values()
        ]
        dims = typed(data[0]).shape if data else ()
        self.images = (dims[0] if dims else 1) * solver.settings.iter_size

    def iterations(self) -> bool:
        solver, settings = self.solver, self.solver.settings
        while solver.iter < settings.max_iter:
            is_first = solver.iter == 0 and not settings.test_initialization
            if self.is_due(settings.test_interval) and not is_first:
                self.test()
            self.iterate()
            asked = self.request()
            if self.is_due(settings.snapshot) or asked == "snapshot":
                self.snapshot()
            if asked == "stop":
                return False
        return True

    def iterate(self) -> None:
        solver = self.solver
        iteration, shows = solver.iter, self.is_due(solver.settings.display)
        if isinstance(solver.net, DebugNet):
            solver.net.watch = self.listen if shows else None
        start = time.perf_counter()
        solver.iterate(self.feed, tell=shows)
        seconds = time.perf_counter() - start
        if shows:
            self.listen(TrainLoss(iteration, solver.smoothed.value))
            for index, name, value in numbers(solver.net.told):
                self.listen(TrainOutput(index, name, value))
            self.listen(LearningRate(iteration, solver.rate))
        self.listen(Tick(iteration, solver.loss, solver.rate, self.images, seconds))

    def is_due(self, interval: int) -> bool:
        return interval > 0 and self.solver.iter % interval == 0

    def test(self) -> None:
        for which in range(len(self.solver.tests)):
            self.listen(TestStart(self.solver.iter, which))
            means, _ = self.solver.test(which, self.feed)
            for index, name, value in numbers(means):
                self.listen(TestOutput(index, name, value))

    def snapshot(self) -> None:
        try:
            written = self.solver.snapshot()
        except GraphError as error:
            if error.code != "GC-F002":
                raise
            self.listen(SnapshotFailed(self.solver.iter, str(error)))
        else:
            self.listen(Snapshot(written))

    def last_look(self) -> None:
        """What Caffe shows of the finished network: the loss of one more batch, and its tests."""
        solver = self.solver
        if self.is_due(solver.settings.display):
            loss = solver.net.look(self.feed)
            self.listen(TrainLoss(solver.iter, solver.smoothed.add(solver.iter, loss)))
        if self.is_due(solver.settings.test_interval):
            self.test()


def numbers(outputs: Mapping[str, npt.NDArray[np.floating]]) -> Iterator[tuple[int, str, float]]:
    """(index over all, blob, number) of every element."""
    flat = [(name, value) for name, array in outputs.items() for value in array.ravel()]
    for index, (name, value) in enumerate(flat):
        yield index, name, float(value)


__all__ = ["Request", "check_writable", "solve"]
