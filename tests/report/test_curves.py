"""The page of curves: whole, closed in itself, and right about the numbers."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report.page import Page
from report.runs import Clock, course

from graphc.report import curves
from graphc.report.chart import COLUMNS, LEFT, RIGHT, WIDTH, decimated, ticks
from graphc.report.csv_log import CsvLog
from graphc.report.history import History
from graphc.train import events as ev


class Curves(Page):
    def cells(self) -> list[str]:
        return [*self.texts.get("td", []), *self.texts.get("th", [])]

    def charts(self) -> list[str]:
        return self.texts.get("b", [])

    def data(self) -> Any:
        (text,) = (t for t in self.texts["script"] if t.startswith("["))
        return json.loads(text)


def drawn(history: History, **more: Any) -> Curves:
    words = {"title": "A run", "settings": {"type": "SGD"}, "figures": {}} | more
    text = curves.page(history, **words)
    assert "http" not in text and "url(" not in text and "import" not in text
    page = Curves(text)
    loaded = {"src", "href", "xlink:href", "srcset", "action"}
    assert not any(loaded & attrs.keys() for _, attrs in page.tags)
    return page


def lines_of(page: Curves) -> list[str]:
    return [a["d"] for tag, a in page.tags if tag == "path" and a["class"].startswith("line ")]


def history_of(first: int, past: int) -> History:
    history = History()
    for event in course(first, past):
        history(event)
    return history


def test_a_run():
    page = drawn(history_of(0, 200), figures={"memory planned": "3 MiB"})
    titles = ["Training loss", "Test: accuracy", "Test: p[0]", "Test: p[1]", "Learning rate"]
    assert page.charts() == titles
    assert {"0 to 199", "256 images/s", "3 MiB", "SGD", "memory planned"} <= set(page.cells())
    assert "accuracy, net 1" in page.cells() and "0.5 (iter 0)" in page.cells()
    assert "2.5 (iter 200)" in page.cells()
    loss, *tests, rate = page.data()
    assert [name for name, *_ in loss] == ["each iteration", "smoothed over 4"]
    assert [name for name, *_ in tests[0]] == ["test net 0", "test net 1"]
    assert loss[0][1][:3] == [0, 1, 2] and loss[0][2][:2] == [1, 0.5] and loss[0][2][5] is None
    assert set(rate[0][2]) == {0.1}
    assert page.texts["span"].count("each iteration: 1 not finite") == 1
    assert sum(tag == "input" for tag, _ in page.tags) == len(titles)


def test_points_lie_where_they_belong():
    history = History()
    for i, loss in enumerate([1.0, 3.0, math.nan, 2.0]):
        history(ev.Tick(i, loss, 0.1, 1, 0.1))
    linear, log, *_ = lines_of(drawn(history))
    number = r"(-?[\d.]+) (-?[\d.]+)"
    found = re.fullmatch(rf"M{number}L{number}M{number}h0", linear)
    assert found
    x0, low, x1, high, x3, middle = map(float, found.groups())
    step = (WIDTH - LEFT - RIGHT) / 3
    assert [x0, x1, x3] == pytest.approx([LEFT, LEFT + step, LEFT + 3 * step], abs=0.1)
    assert middle == pytest.approx((low + high) / 2, abs=0.1) and low > high
    found = re.fullmatch(rf"M{number}L{number}M{number}h0", log)
    assert found
    _, low, _, high, _, middle = map(float, found.groups())
    assert (low - middle) / (low - high) == pytest.approx(math.log(2) / math.log(3), abs=0.01)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short_runs(count):
    history = History()
    for i in range(count):
        history(ev.Tick(i, 2.0, 0.1, 64, 0.25))
    page = drawn(history)
    assert page.charts() == (["Training loss", "Learning rate"] if count else [])
    assert ("No iteration was made." in page.texts.get("p", [])) == (not count)
    assert all("nan" not in d and "inf" not in d for d in lines_of(page))


@pytest.mark.parametrize("loss", [0.0, -1.0, 1e300, -1e-300, math.nan, math.inf, 1e-45])
def test_odd_losses(loss):
    history = History()
    for i in range(3):
        history(ev.Tick(i, loss, 0.0, 64, 0.25))
    history(ev.TestStart(3, 0))
    history(ev.TestOutput(0, "loss", loss))
    page = drawn(history)
    assert all("nan" not in d and "inf" not in d for d in lines_of(page))
    assert sum(tag == "input" for tag, _ in page.tags) == 2 * (0 < loss < 1e100)


def test_losses_of_all_sizes():
    history = History()
    for i, loss in enumerate([1e308, -1e308, 1.0, math.inf, -math.inf, 1e-308]):
        history(ev.Tick(i, loss, 0.1, 64, 0.25))
    assert all("nan" not in d and "inf" not in d for d in lines_of(drawn(history)))


def test_names_cannot_break_out():
    history, name = History(), '</script><script>alert(1)</script><b a="'
    history(ev.TestStart(0, 0))
    history(ev.TestOutput(0, name, 0.5))
    page = drawn(history, title=name, settings={name: name}, figures={name: name})
    assert page.charts() == [f"Test: {name}"] and page.texts["h1"] == [name]
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    assert page.cells().count(name) == 5


def test_a_long_run_keeps_its_extremes():
    count = 100_000
    values = np.sin(np.arange(count) / 7)
    values[[31_234, 77_777]] = -5, 9
    values[50_000:60_000] = np.nan
    iters, kept = decimated(np.arange(count, dtype=np.float64), values)
    assert len(iters) <= 2 * (COLUMNS + 1) and (np.diff(iters) >= 0).all()
    assert {-5, 9} <= set(kept.tolist())
    inside = (iters >= 50_000) & (iters < 60_000)
    assert inside.any() and np.isnan(kept[inside]).all()
    assert np.isfinite(kept[~inside]).all()
    history = History()
    for i, value in enumerate(values.tolist()):
        history(ev.Tick(i, value, 0.1, 64, 0.25))
    text = curves.page(history, title="long", settings={}, figures={})
    assert len(text) < 300_000
    Curves(text)


def test_smoothing():
    values = np.array([1.0] * 500 + [3.0] * 500)
    smooth, span = curves.smoothed(values)
    assert span == 20 and smooth[0] == 1 and smooth[499] == pytest.approx(1)
    assert smooth[500] == pytest.approx(1.1) and smooth[-1] == pytest.approx(3)
    values[700] = np.nan
    smooth, _ = curves.smoothed(values)
    assert np.isnan(smooth[700]) and np.isfinite(smooth[701])


def test_a_resumed_run_shows_what_came_before(tmp_path: Path):
    with CsvLog(tmp_path / "log.csv", clock=Clock()) as log:
        for event in course(0, 10):
            log(event)
    history, whole = History(), history_of(0, 12)
    history.load(tmp_path / "log.csv", 8)
    for event in course(8, 12):
        history(event)
    for mine, its in ((history.loss, whole.loss), (history.rate, whole.rate)):
        assert mine.iters == its.iters
        np.testing.assert_allclose(mine.values, its.values, rtol=1e-6)
    tests, all_tests = drawn(history).data()[1:-1], drawn(whole).data()[1:-1]
    assert tests == all_tests


def test_many_outputs_are_not_all_drawn():
    history = History()
    history(ev.TestStart(0, 0))
    for index in range(100):
        history(ev.TestOutput(index, "prob", 0.5))
    page = drawn(history)
    assert len(page.charts()) == curves.CHARTS
    assert "88 more test outputs are not drawn." in page.texts["p"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-1.0, 4.0, [-1, 0, 1, 2, 3, 4]),
        (0.0098, 0.01, [0.0098, 0.00985, 0.0099, 0.00995, 0.01]),
        (1e-9, 3e-9, [1e-9, 1.5e-9, 2e-9, 2.5e-9, 3e-9]),
    ],
)
def test_ticks(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_writing(tmp_path):
    path = tmp_path / "run.html"
    curves.write(path, history_of(0, 8), title="A run", settings={}, figures={})
    Curves(path.read_text(encoding="utf-8"))
