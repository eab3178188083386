"""Events of a run with tests, displays and a snapshot."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator

from graphc.train import events as ev


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Clock:
    """Half a second later with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


def course(first: int, past: int, *, display: int = 2, tested: int = 4) -> Iterator[ev.Event]:
    """Iterations [first, past) with loss 1 / (1 + i), NaN in iteration 5; as Caffe orders them."""
    for i in range(first, past):
        if i % tested == 0:
            yield from both_nets(i)
        loss = math.nan if i == 5 else 1 / (1 + i)
        if i % display == 0:
            yield ev.TrainLoss(i, loss)
            yield ev.TrainOutput(0, "loss", loss)
            yield ev.LearningRate(i, 0.1)
        yield ev.Tick(i, loss, 0.1, 64, 0.25)
    yield ev.Snapshot(f"net_iter_{past}.caffemodel")
    yield ev.TrainLoss(past, 0.01)
    yield from both_nets(past)


def both_nets(i: int) -> Iterator[ev.Event]:
    for net in (0, 1):
        yield ev.TestStart(i, net)
        yield ev.TestOutput(0, "accuracy", 0.5 + i / 100)
        yield ev.TestOutput(1, "p", 0.25)
        yield ev.TestOutput(2, "p", 0.75)
