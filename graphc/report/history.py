"""History: the course of a training run, as series to draw."""

from __future__ import annotations

from array import array
from dataclasses import field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from graphc.records import record
from graphc.report.csv_log import COLUMNS, read_log
from graphc.train import events
from graphc.train.events import element_names

F64 = npt.NDArray[np.float64]


@record
class Series:
    """Values against iterations."""

    iters: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, iteration: int, value: float) -> None:
        self.iters.append(iteration)
        self.values.append(value)

    def arrays(self) -> tuple[F64, F64]:
        """(iterations, values), copies."""
        return np.array(self.iters, np.float64), np.array(self.values, np.float64)


class History:
    """A listener that keeps `loss` and `rate`, 32 bytes per iteration together; `tests`: output
    name -> test net -> series; `images` and `seconds` that the iterations took."""

    def __init__(self) -> None:
        self.loss, self.rate = Series(), Series()
        self.tests: dict[str, dict[int, Series]] = {}
        self.images, self.seconds = 0, 0.0
        self._tested, self._net, self._outputs = 0, 0, list[tuple[str, float]]()

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.TestOutput):
            self._outputs.append((event.name, event.value))
            return
        if self._outputs:
            self.end_test()
        if isinstance(event, events.TestStart):
            self._tested, self._net = event.iter, event.net
        elif isinstance(event, events.Tick):
            self.loss.add(event.iter, event.loss)
            self.rate.add(event.iter, event.rate)
            self.images += event.images
            self.seconds += event.seconds

    def end_test(self) -> None:
        """Take in the outputs of the last test, which are complete."""
        names = element_names([name for name, _ in self._outputs])
        for name, (_, value) in zip(names, self._outputs, strict=True):
            self._add_test(name, self._net, self._tested, value)
        self._outputs = []

    def load(self, path: Path, start: int) -> None:
        """Take in what a CsvLog tells of the iterations before `start`. Raises GC-F002."""
        columns, rows = read_log(path)
        tests = [name for name in columns[len(COLUMNS) :] if name.startswith("test")]
        for row in rows:
            iteration = int(row["iter"])
            if iteration >= start:
                continue
            if row["loss"]:
                self.loss.add(iteration, float(row["loss"]))
            if row["lr"]:
                self.rate.add(iteration, float(row["lr"]))
            for column in tests:
                net, _, name = column.removeprefix("test").partition(".")
                if row[column] and net.isdigit():
                    self._add_test(name, int(net), iteration, float(row[column]))

    def _add_test(self, name: str, net: int, iteration: int, value: float) -> None:
        self.tests.setdefault(name, {}).setdefault(net, Series()).add(iteration, value)


__all__ = ["F64", "History", "Series"]
