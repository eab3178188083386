"""CsvLog: a training run as a table that grows by a row per iteration."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TextIO

from graphc.errors import GraphError, fail
from graphc.files import write_file
from graphc.train import events
from graphc.train.events import element_names

COLUMNS = ("iter", "seconds", "loss", "smoothed_loss", "lr")

Cells = dict[str, str]


class CsvLog:
    """A listener that writes `COLUMNS`, then `test0.accuracy` for each output of each test net.

    A row per iteration, written when it is over: `seconds` since the start of the training, the
    iteration's own loss, the smoothed one where it is displayed, the rate, and what tests before
    the iteration gave. Cells are empty where there is nothing to tell. Columns of tests come with
    the first test.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start: int = 0,
        every: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """A log that is there already is continued: rows from iteration `start` on, and one cut
        short, are dropped. `every`: rows are written for its multiples, and where tests were run.
        Raises GC-F002 for a file that is no such log, or cannot be written."""
        self._path, self._every, self._clock = Path(path), every, clock
        self._columns, kept = read_log(self._path)
        kept = [row for row in kept if int(row["iter"]) < start]
        self._row: Cells = {}
        self._net, self._outputs = 0, list[tuple[str, float]]()
        self._file = self._written(kept)
        self._began = clock() - (float(kept[-1]["seconds"]) if kept else 0.0)

    def __call__(self, event: events.Event) -> None:
        if self._outputs and not isinstance(event, events.TestOutput):
            self._end_test()
        match event:
            case events.TestStart(iteration, net):
                self._begin(iteration)
                self._net = net
            case events.TestOutput(_, name, value):
                self._outputs.append((name, value))
            case events.TrainLoss(iteration, loss):
                self._begin(iteration)
                self._row["smoothed_loss"] = _cell(loss)
            case events.Tick(iteration, loss, rate):
                self._begin(iteration)
                self._row |= {"loss": _cell(loss), "lr": _cell(rate)}
                self._end()
            case _:
                pass

    def close(self) -> None:
        """Write the row that was begun, if it has anything, and close the file."""
        try:
            self._end_test()
            self._end()
        finally:
            self._file.close()

    def __enter__(self) -> CsvLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self, iteration: int) -> None:
        if self._row.get("iter") != str(iteration):
            self._end()
            self._row = {"iter": str(iteration)}

    def _end(self) -> None:
        row, self._row = self._row, {}
        if not row:
            return
        if int(row["iter"]) % self._every and row.keys() <= {*COLUMNS}:
            return
        row["seconds"] = f"{self._clock() - self._began:.3f}"
        try:
            self._file.write(_line(self._columns, row))
            self._file.flush()
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def _end_test(self) -> None:
        names = element_names([name for name, _ in self._outputs])
        for name, (_, value) in zip(names, self._outputs, strict=True):
            self._row[f"test{self._net}.{name}"] = _cell(value)
        self._outputs = []
        new = [name for name in self._row if name not in self._columns]
        if new:
            self._file.close()
            _, rows = read_log(self._path)
            self._columns = (*self._columns, *new)
            self._file = self._written(rows)

    def _written(self, rows: Iterable[Cells]) -> TextIO:
        """The file, rewritten, open for more."""
        lines = (_line(self._columns, row) for row in rows)
        write_file(self._path, "".join([_header(self._columns), *lines]))
        try:
            return self._path.open("a", encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as error:
            raise _unwritable(self._path, error) from error


def read_log(path: Path) -> tuple[tuple[str, ...], list[Cells]]:
    """Columns and whole rows of a log, of none where there is no file. Raises GC-F002 for another
    file, which must not be written over."""
    try:
        if path.exists() and not path.is_file():
            fail("GC-F002", f"{str(path)!r} is no regular file", "a log needs one")
        text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
    except OSError as error:
        raise _unwritable(path, error) from error
    if not text:
        return COLUMNS, []
    whole = text[: text.rfind("\n") + 1]
    header, *lines = list(csv.reader(io.StringIO(whole))) or [[]]
    if tuple(header[: len(COLUMNS)]) != COLUMNS:
        told = f"{str(path)!r} is there, and is no log of a training run"
        fail("GC-F002", told, "choose another name, or move it away")
    rows = [dict(zip(header, line, strict=True)) for line in lines if len(line) == len(header)]
    return tuple(header), [row for row in rows if _is_row(row)]


def _unwritable(path: Path, error: OSError) -> GraphError:
    return GraphError("GC-F002", f"cannot write {str(path)!r}: {error.strerror}")


def _is_row(row: Cells) -> bool:
    try:
        return int(row["iter"]) >= 0 and math.isfinite(float(row["seconds"]))
    except ValueError:
        return False


def _header(columns: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(columns)
    return text.getvalue()


def _line(columns: Iterable[str], row: Cells) -> str:
    """A row; its cells are numbers, which need no quotes."""
    return ",".join([row.get(name, "") for name in columns]) + "\n"


def _cell(value: float) -> str:
    return f"{value:.7g}"  # as many digits as a float32 has for sure


__all__ = ["COLUMNS", "CsvLog", "read_log"]
