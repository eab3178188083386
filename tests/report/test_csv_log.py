"""CsvLog: a row per iteration, columns as tests show them, and a run that goes on."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from report.runs import Clock, course

from graphc import GraphError
from graphc.report.csv_log import COLUMNS, CsvLog
from graphc.train import events as ev

TESTED = [f"test{net}.{name}" for net in (0, 1) for name in ("accuracy", "p[0]", "p[1]")]


def logged(path: Path, first: int, past: int, **words: object) -> list[dict[str, str]]:
    with CsvLog(path, start=first, clock=Clock(), **words) as log:  # type: ignore[arg-type]
        for event in course(first, past):
            log(event)
    return read(path)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows(tmp_path):
    rows = logged(tmp_path / "log.csv", 0, 8)
    assert list(rows[0]) == [*COLUMNS, *TESTED]
    assert [row["iter"] for row in rows] == [str(i) for i in range(9)]
    first, second, *_, last = rows
    assert (first["loss"], first["smoothed_loss"], first["lr"]) == ("1", "1", "0.1")
    assert [first[name] for name in TESTED] == ["0.5", "0.25", "0.75"] * 2
    assert (second["loss"], second["smoothed_loss"]) == ("0.5", "")
    assert not any(second[name] for name in TESTED)
    assert rows[5]["loss"] == "nan"
    assert (last["loss"], last["smoothed_loss"], last["test1.accuracy"]) == ("", "0.01", "0.58")
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds) and seconds[0] > 0


def test_each_row_is_there_when_its_iteration_is_over(tmp_path):
    path = tmp_path / "log.csv"
    log = CsvLog(path)
    for i in range(3):
        log(ev.Tick(i, 1.0, 0.1, 64, 0.1))
        assert [row["iter"] for row in read(path)] == [str(k) for k in range(i + 1)]
    log(ev.TestStart(3, 1))
    log(ev.TestOutput(0, "acc", 0.5))
    log(ev.Tick(3, 1.0, 0.1, 64, 0.1))
    assert [row["test1.acc"] for row in read(path)] == ["", "", "", "0.5"]
    log.close()


def test_a_float32_is_told_without_the_noise_of_a_double(tmp_path):
    with CsvLog(tmp_path / "log.csv") as log:
        log(ev.Tick(0, float(np.float32(1.3862944)), float(np.float32(0.05)), 64, 0.1))
    assert (row := read(tmp_path / "log.csv")[0])["lr"] == "0.05" and row["loss"] == "1.386294"


def test_a_resumed_run_goes_on(tmp_path):
    whole = logged(tmp_path / "whole.csv", 0, 12)
    path = tmp_path / "log.csv"
    logged(path, 0, 10)  # iterations 8 and 9 are after the snapshot from which the next one resumes
    until = read(path)[:8]
    rows = logged(path, 8, 12)
    assert rows[:8] == until
    assert [row | {"seconds": ""} for row in rows] == [row | {"seconds": ""} for row in whole]
    assert float(rows[8]["seconds"]) > float(rows[7]["seconds"])


def test_a_new_run_starts_a_new_log(tmp_path):
    path = tmp_path / "log.csv"
    logged(path, 0, 10)
    assert [row["iter"] for row in logged(path, 0, 2)] == ["0", "1", "2"]


def test_what_a_killed_process_left_is_mended(tmp_path):
    path = tmp_path / "log.csv"
    logged(path, 0, 4)
    whole = path.read_text()
    path.write_text(whole + "5,0.1,2.")
    assert [row["iter"] for row in logged(path, 6, 6)][:5] == ["0", "1", "2", "3", "4"]
    assert len({line.count(",") for line in path.read_text().splitlines()}) == 1


def test_rows_of_every_few_iterations_and_of_tests(tmp_path):
    rows = logged(tmp_path / "log.csv", 0, 9, every=3)
    assert [row["iter"] for row in rows] == ["0", "3", "4", "6", "8", "9"]


def test_names_that_need_quotes(tmp_path):
    path = tmp_path / "log.csv"
    with CsvLog(path) as log:
        log(ev.TestStart(0, 0))
        log(ev.TestOutput(0, 'a,"b"', 0.5))
    assert read(path)[0]['test0.a,"b"'] == "0.5"
    with CsvLog(path, start=1) as log:
        log(ev.Tick(1, 1.0, 0.1, 64, 0.1))
    assert [row['test0.a,"b"'] for row in read(path)] == ["0.5", ""]


@pytest.mark.parametrize("text", ["name,size\n1,2\n", "no log", "iter\n"])
def test_another_file_is_not_written_over(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(GraphError, match=r"GC-F002.*no log of a training run"):
        CsvLog(path)
    assert path.read_text() == text


def test_places_that_cannot_be_written(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "log.csv"):
        with pytest.raises(GraphError, match="GC-F002"):
            CsvLog(path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_an_error(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    log._file.close()
    log._file = open("/dev/full", "a")  # noqa: SIM115
    with pytest.raises(GraphError, match=r"GC-F002.*cannot write"):
        log(ev.Tick(0, 1.0, 0.1, 64, 0.1))
    with pytest.raises(OSError, match="No space"):
        log._file.close()
