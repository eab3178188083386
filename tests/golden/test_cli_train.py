"""The log of real Caffe's `caffe train` and `caffe test`, event by event, from our command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

Rows = list[list[Any]]


def agree(ours: Rows, theirs: Rows, rtol: float) -> None:
    assert [row[0] for row in ours] == [row[0] for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        numbers = [v for v in one if isinstance(v, float)]
        expected = [v for v in other if isinstance(v, float)]
        assert numbers == pytest.approx(expected, rel=rtol, abs=1e-6), (one, other)
        rest = [v for v in one if not isinstance(v, float)]
        assert rest == [v for v in other if not isinstance(v, float)]


def floats(rows: Rows) -> Rows:
    """Values as floats, indices and iterations as they are."""
    return [[*row[:-1], float(row[-1])] if _is_number(row[-1]) else row for row in rows]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def graphc(folder: Path, *words: str) -> Rows:
    command = [sys.executable, "-m", "graphc", *words, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    rows: Rows = json.loads(done.stdout)["events"]
    return floats(rows)


def test_the_log_of_caffe(caffe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for path in (caffe / "solvers").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    golden = json.loads((folder / "cli_train.json").read_text())
    start = ("-w", "solver_net_hdf5_init.caffemodel")
    trained = graphc(folder, "train", "--solver", "cli_train.solver.prototxt", *start)
    agree(trained, floats(golden["train"]), golden["rtol"])
    theirs = str(caffe / "solvers/cli_train_iter_10.solverstate")
    more = ("--solver", "cli_train_resume.solver.prototxt", "--resume", theirs)
    agree(graphc(folder, "train", *more), floats(golden["resume_from_10"]), golden["rtol"])
    weights = ("-w", str(caffe / "solvers/cli_train_iter_20.caffemodel"), "--iterations", "3")
    tested = graphc(folder, "test", "solver_net_hdf5.prototxt", *weights)
    agree(tested, floats(golden["test"]), golden["rtol"])
