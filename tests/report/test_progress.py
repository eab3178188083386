"""Progress: plain lines off a terminal, a living line on one."""

from __future__ import annotations

import io
import math
import os
import re
import shutil

import pytest
from report.runs import Clock, Terminal, course

from graphc.report.progress import CLEAR, FAINT, ORDINARY, Progress
from graphc.train import events as ev

SEQUENCE = re.compile(r"\x1b\[[0-9;]*[a-zA-Z]")


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_: os.terminal_size((columns, 24)))


def shown(text: str) -> list[str]:
    """The lines a terminal shows in the end: each cleared line is gone."""
    lines = [line.rpartition(CLEAR)[2] for line in text.split("\n")]
    return [SEQUENCE.sub("", line) for line in lines]


def living(text: str) -> list[str]:
    """Everything the living line ever was."""
    drawn = re.findall(re.escape(CLEAR) + r"([^\r\n]+)", text)
    return [SEQUENCE.sub("", line) for line in drawn if "\u2501" in line or "elapsed" in line]


def told(stream: io.StringIO, max_iter: int = 8, **words: object) -> str:
    with Progress(max_iter, stream=stream, clock=Clock(), **words) as progress:  # type: ignore[arg-type]
        for event in course(0, max_iter):
            progress(event)
    return stream.getvalue()


def test_plain_lines_off_a_terminal():
    text = told(io.StringIO())
    assert text.isascii() and text.replace("\n", "").isprintable()
    lines = text.splitlines()
    assert lines[:3] == [
        "iter 0/8  test 0:  accuracy 0.5  p[0] 0.25  p[1] 0.75",
        "iter 0/8  test 1:  accuracy 0.5  p[0] 0.25  p[1] 0.75",
        "iter 0/8  loss 1  lr 0.1",
    ]
    assert re.fullmatch(r"iter 2/8  loss 0\.3333  lr 0\.1  256 img/s  eta \d+:\d\d", lines[3])
    assert lines[-4:] == [
        "iter 8/8  wrote net_iter_8.caffemodel",
        "iter 8/8  loss 0.01",
        "iter 8/8  test 0:  accuracy 0.58  p[0] 0.25  p[1] 0.75",
        "iter 8/8  test 1:  accuracy 0.58  p[0] 0.25  p[1] 0.75",
    ]
    assert len(lines) == 4 + 4 + 2 + 2


def test_a_terminal_shows_the_same_lines_and_no_living_one_in_the_end(monkeypatch):
    width(monkeypatch, 200)
    plain, text = told(io.StringIO()), told(Terminal())
    wanted = [re.sub("eta .*", "", line) for line in plain.split("\n")]
    assert [re.sub("eta .*", "", line) for line in shown(text)] == wanted
    assert FAINT in text and text.count(FAINT) == text.count(ORDINARY)


def test_the_living_line(monkeypatch):
    width(monkeypatch, 200)
    drawn = living(told(Terminal(), planned=3 << 20))
    line = [line for line in drawn if "testing" not in line][-1]
    form = (
        r"\u2501{12} 100%  iter 8/8  loss 0\.\d+  lr 0\.1  256 img/s  elapsed \d:\d\d  eta 0:00  "
        r"memory 3\.0 MiB planned, [\d.]+ [MG]iB used"
    )
    assert re.fullmatch(form, line), line


@pytest.mark.parametrize("columns", [1, 5, 20, 40, 60, 80, 120])
def test_the_living_line_fits(monkeypatch, columns):
    width(monkeypatch, columns)
    stream = Terminal()
    with Progress(1000, stream=stream, clock=Clock(), planned=1 << 20) as progress:
        for i in range(100):
            progress(ev.Tick(i, 2.0, 0.1, 64, 0.25))
    drawn = [SEQUENCE.sub("", part) for part in stream.getvalue().split(CLEAR)]
    assert max(map(len, drawn)) < max(2, columns)
    if columns == 40:
        assert re.fullmatch(r"iter 4/1,000  loss 2  eta \d+:\d\d", drawn[4])


def test_outputs_of_the_training_net():
    """All of several, but not its loss once more."""
    lines = []
    for outputs in ({"loss": 0.2}, {"acc": 0.9, "loss": 0.25}, {"a": 1.0, "b": 2.0}):
        stream = io.StringIO()
        with Progress(9, stream=stream) as progress:
            progress(ev.TrainLoss(0, 0.25))
            for index, (name, value) in enumerate(outputs.items()):
                progress(ev.TrainOutput(index, name, value))
            progress(ev.LearningRate(0, 0.5))
        lines.append(stream.getvalue())
    assert lines == [
        "iter 0/9  loss 0.25  lr 0.5\n",
        "iter 0/9  loss 0.25  acc 0.9  lr 0.5\n",
        "iter 0/9  loss 0.25  a 1  b 2  lr 0.5\n",
    ]


def test_no_colours_where_none_are_wanted(monkeypatch):
    width(monkeypatch, 100)
    monkeypatch.setenv("NO_COLOR", "1")
    text = told(Terminal())
    assert set(SEQUENCE.findall(text)) == {"\x1b[2K"}


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert told(Terminal()) == told(io.StringIO())


def test_a_terminal_without_these_characters(monkeypatch):
    width(monkeypatch, 200)
    stream = Terminal()
    monkeypatch.setattr(Terminal, "encoding", "ascii")
    assert told(stream).isascii() and "############ 100%" in stream.getvalue()


def test_a_loss_that_is_no_number_is_seen(monkeypatch):
    width(monkeypatch, 200)
    drawn = living(told(Terminal()))
    assert any("iter 6/8  loss nan" in line for line in drawn)
    assert "nan" not in drawn[-1]


def test_a_test_is_seen_while_it_runs(monkeypatch):
    width(monkeypatch, 60)
    stream = Terminal()
    with Progress(10, stream=stream, clock=Clock()) as progress:
        progress(ev.TestStart(0, 1))
        assert "iter 0/10  testing net 1  elapsed 0:0" in shown(stream.getvalue())[-1]
        progress(ev.TestOutput(0, "acc", 0.5))
        progress(ev.Tick(0, 1.0, 0.1, 64, 0.1))
        *_, told, last = shown(stream.getvalue())
        assert told == "iter 0/10  test 1:  acc 0.5"
        assert "testing" not in last and "loss 1  lr 0.1" in last


def test_what_is_said_stands_above_the_living_line(monkeypatch):
    width(monkeypatch, 80)
    stream = Terminal()
    with Progress(10, stream=stream, clock=Clock()) as progress:
        progress(ev.Tick(0, 1.0, 0.1, 64, 0.1))
        progress.say("told\x1b[31m")
        *_, said, last = shown(stream.getvalue())
        assert said == "told\\x1b[31m" and "iter 1/10" in last


def test_without_iterations_images_or_an_end():
    stream = io.StringIO()
    with Progress(0, stream=stream) as progress:
        progress(ev.TrainLoss(0, 1.0))
        progress(ev.LearningRate(0, 0.5))
        progress(ev.Tick(0, 1.0, 0.5, 0, 0.0))
        progress(ev.TestBatch(3, "acc", math.inf))
    assert stream.getvalue().splitlines() == ["iter 0/0  loss 1  lr 0.5", "batch 3  acc inf"]


def test_a_resumed_run_counts_its_own_iterations_for_the_time_left():
    stream, clock = io.StringIO(), Clock()
    progress = Progress(110, start=100, stream=stream, clock=clock)
    for i in range(100, 105):
        progress(ev.Tick(i, 1.0, 0.5, 10, 0.5))
    began, now = 0.0, clock.now
    progress(ev.TrainLoss(105, 1.0))
    progress(ev.LearningRate(105, 0.5))
    left = (now + 0.5 - began) / 5 * 5
    assert stream.getvalue().endswith(f"20 img/s  eta 0:{round(left):02}\n")


def test_batches_of_a_test():
    stream = io.StringIO()
    progress = Progress(2, stream=stream)
    for batch in range(2):
        progress(ev.TestBatch(batch, "acc", 0.25))
        progress(ev.TestBatch(batch, "loss", 1.5))
    progress(ev.FinalLoss(1.5))
    assert stream.getvalue() == "batch 0  acc 0.25  loss 1.5\nbatch 1  acc 0.25  loss 1.5\n"


def test_many_outputs_are_cut_short():
    stream = io.StringIO()
    with Progress(1, stream=stream) as progress:
        progress(ev.TestStart(0, 0))
        for index in range(1000):
            progress(ev.TestOutput(index, "prob", 0.5))
    assert stream.getvalue().count("prob[") == 4 and "and 996 more" in stream.getvalue()
