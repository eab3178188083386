"""graphc train and graphc test, as users meet them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graphc import GraphError
from graphc.report.csv_log import CsvLog
from graphc.train.events import Event, Tick

NET = """
name: "digits"
layer { name: "data" type: "DummyData" top: "x" dummy_data_param {
        shape { dim: 8 dim: 3 dim: 6 dim: 6 } data_filler { type: "gaussian" } } }
layer { name: "label" type: "DummyData" top: "label" dummy_data_param {
        shape { dim: 8 } data_filler { value: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc"
        include { phase: TEST } }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" snapshot_prefix: "run" '


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    return tmp_path


def test_what_is_told(cli, folder: Path) -> None:
    fields = "max_iter: 6 display: 2 test_iter: 2 test_interval: 3 snapshot: 4"
    (folder / "solver.prototxt").write_text(SOLVER + fields)
    done = cli("train", "solver.prototxt", "--log", "log.csv", "--html", "page.html")
    assert done.code == 0
    assert "6 iterations" in done.out
    assert "run_iter_6.caffemodel" in done.out
    assert "iter 4/6  wrote run_iter_4.caffemodel" in done.err
    assert "test 0:" in done.err
    assert len((folder / "log.csv").read_text().splitlines()) == 8
    assert "xavier" not in (folder / "page.html").read_text()
    tested = cli("test", "net.prototxt", "-w", "run_iter_6.caffemodel", "--iterations", "2")
    assert "acc = " in tested.out
    assert "loss = " in tested.out


def test_usage(cli, folder: Path) -> None:
    (folder / "solver.prototxt").write_text(SOLVER + "max_iter: 1")
    assert cli("train").code == 2
    assert cli("train", "solver.prototxt", "--solver", "solver.prototxt").code == 2
    both = cli("train", "solver.prototxt", "-w", "a", "--resume", "b")
    assert (both.code, "GC-C001" in both.err) == (2, True)
    gone = cli("train", "solver.prototxt", "--resume", "none.solverstate")
    assert (gone.code, "GC-F001" in gone.err) == (7, True)
    mixed = cli("train", "--solver", "solver.prototxt", "--json")
    assert mixed.json["finished"] is True


def test_a_last_snapshot_that_fails_shows_in_the_exit_code(
    cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "solver.prototxt").write_text(SOLVER + "max_iter: 2")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = cli("train", "solver.prototxt", "--json")
    assert (done.code, done.json["lost"], done.json["snapshot"]) == (7, True, None)
    assert "No space left" in done.err


def test_training_goes_on_where_its_log_cannot(
    cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "solver.prototxt").write_text(SOLVER + "max_iter: 5")
    tick = CsvLog.__call__

    def full(log: CsvLog, event: Event) -> None:
        if isinstance(event, Tick) and event.iter == 2:
            raise GraphError("GC-F002", "the log cannot be written: No space left on device")
        tick(log, event)

    monkeypatch.setattr(CsvLog, "__call__", full)
    done = cli("train", "solver.prototxt", "--json", "--log", "log.csv")
    assert (done.code, done.json["iter"], done.json["lost"]) == (0, 5, False)
    assert done.err.count("the log ends here: GC-F002") == 1
    assert len((folder / "log.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_and_saves(folder: Path, number: signal.Signals) -> None:
    (folder / "solver.prototxt").write_text(SOLVER + "max_iter: 100000000 display: 1000")
    command = [sys.executable, "-m", "graphc", "train", "solver.prototxt", "--json"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # where this is run in the background, children are told to ignore SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stderr is not None
        while "iter 1000/" not in process.stderr.readline():
            assert process.poll() is None
        if hasattr(signal, "SIGHUP"):
            os.kill(process.pid, signal.SIGHUP)
            while not list(folder.glob("run_iter_*.solverstate")):
                time.sleep(0.01)
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    found = json.loads(out)
    assert process.returncode == 130
    assert not found["finished"]
    assert found["iter"] >= 1000
    assert found["snapshot"] == f"run_iter_{found['iter']}.caffemodel"
    assert (folder / found["snapshot"]).exists()
    assert len(list(folder.glob("run_iter_*.solverstate"))) >= 2
