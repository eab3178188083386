"""The loop of a training run: what a full disk, requests and intervals do to it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import GraphError, Solver
from graphc.train import events
from graphc.train.events import Event, Snapshot, SnapshotFailed, Tick, TrainLoss
from graphc.train.smoothing import SmoothedLoss

NET = """
layer { name: "in" type: "Input" top: "x" top: "t"
        input_param { shape { dim: 4 dim: 3 } shape { dim: 4 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" snapshot_prefix: "run" '
FEED = {"x": np.ones((4, 3)), "t": np.ones((4, 2))}


@pytest.fixture
def solver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)

    def make(fields: str = "") -> Solver:
        Path("solver.prototxt").write_text(SOLVER + fields)
        return Solver("solver.prototxt")

    return make


def kinds(events: list[Event], *wanted: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, wanted)]


def test_training_goes_on_where_a_snapshot_cannot_be_written(
    solver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = solver("max_iter: 6 snapshot: 2")
    told: list[Event] = []
    write = os.fsync

    def listen(event: Event) -> None:
        told.append(event)

    def fsync(handle: int) -> None:
        if run.iter == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    assert run.solve(listen, feed=FEED)
    found = kinds(told, Snapshot, SnapshotFailed)
    assert [type(event) for event in found] == [Snapshot, SnapshotFailed, Snapshot]
    failed = found[1]
    assert isinstance(failed, SnapshotFailed)
    assert failed.iter == 4
    assert "No space left" in failed.reason
    assert "'run_iter_2.solverstate' is intact" in failed.reason
    names = sorted(path.name for path in Path().glob("*run_iter*"))
    assert [name for name in names if "_4" in name] == []
    again = Solver.resume("run_iter_2.solverstate", "solver.prototxt")
    again.step(4, FEED)
    for one, other in zip(again.net.params["ip"], run.net.params["ip"], strict=True):
        assert (one == other).all()


def test_requests(solver: Any) -> None:
    run = solver("max_iter: 9")
    asked: Iterator[str] = iter(["", "snapshot", "", "stop"])
    told: list[Event] = []
    assert not run.solve(told.append, lambda: next(asked), FEED)
    assert run.iter == 4
    files = [event.file for event in told if isinstance(event, Snapshot)]
    assert files == ["run_iter_2.caffemodel", "run_iter_4.caffemodel"]


@pytest.mark.parametrize(
    ("fields", "tests", "losses", "snapshots"),
    [
        ("max_iter: 0", [], [], ["0"]),
        ("max_iter: 0 display: 1", [], [0], ["0"]),
        ("max_iter: 2 snapshot_after_train: false", [], [], []),
        ("max_iter: 4 snapshot: 2 display: 3", [], [0, 3], ["2", "4"]),
        ("max_iter: 3 snapshot: 2 test_iter: 1 test_interval: 2", [0, 2], [], ["2", "3"]),
        (
            "max_iter: 2 test_iter: 1 test_interval: 2 test_initialization: false",
            [2],
            [],
            ["2"],
        ),
    ],
)
def test_intervals(
    solver: Any, fields: str, tests: list[int], losses: list[int], snapshots: list[str]
) -> None:
    told: list[Event] = []
    run = solver(fields)
    run.solve(told.append, feed=FEED)
    assert [event.iter for event in told if isinstance(event, events.TestStart)] == tests
    assert [event.iter for event in told if isinstance(event, TrainLoss)] == losses
    files = [event.file for event in told if isinstance(event, Snapshot)]
    assert files == [f"run_iter_{number}.caffemodel" for number in snapshots]
    ticks = [event for event in told if isinstance(event, Tick)]
    assert [tick.iter for tick in ticks] == list(range(run.iter))
    assert {tick.images for tick in ticks} <= {4}


def test_a_folder_that_is_not_there_is_told_of_before_training(solver: Any) -> None:
    run = solver("max_iter: 3 ")
    run = Solver("solver.prototxt", set={"snapshot_prefix": "none/run"})
    with pytest.raises(GraphError, match=r"GC-F002.*'none'"):
        run.solve(feed=FEED)
    assert run.iter == 0
    run = Solver("solver.prototxt", set={"snapshot_prefix": "none/run", "snapshot_after_train": 0})
    assert run.solve(feed=FEED)


def test_snapshots_need_a_prefix(solver: Any) -> None:
    run = solver()
    with pytest.raises(GraphError, match="GC-P005"):
        run.snapshot("")
    assert run.snapshot("other") == "other_iter_0.caffemodel"


def test_smoothed_loss() -> None:
    """Against Caffe's ring, whose place goes by the iteration it started with."""
    losses = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]
    smoothed = SmoothedLoss(3, start=10)
    found = [smoothed.add(10 + i, loss) for i, loss in enumerate(losses)]
    means = [np.mean(losses[max(0, i - 2) : i + 1]) for i in range(len(losses))]
    assert found == pytest.approx(means)
    half = SmoothedLoss(3, start=10)
    for i, loss in enumerate(losses[:4]):
        half.add(10 + i, loss)
    again = SmoothedLoss(3)
    again.restore(half.state())
    assert [again.add(14 + i, loss) for i, loss in enumerate(losses[4:])] == found[4:]
