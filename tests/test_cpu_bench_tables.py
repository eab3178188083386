"""The arithmetic of the CPU benchmark: ratios, noise, tables; no engine is needed."""

from __future__ import annotations

import math
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.peers import machine, ratios, report
from bench.peers.cold import CLI, FLOOR, least
from bench.peers.engines import AGAIN, ENGINES, OURS
from bench.peers.rounds import orders, relative_error, with_again


def cell(**wall: list[list[float]]) -> dict[str, Any]:
    """A cell of right outputs; `again` is the second of the A/A pair."""
    engines = {
        {"again": AGAIN}.get(name, name): {"wall": rounds, "cpu": [], "error": 1e-7}
        for name, rounds in wall.items()
    }
    return {
        "net": "n",
        "batch": 2,
        "threads": 1,
        "other_cores": 0.25,
        "engines": {name: entry | {"peak_bytes": 3 << 20} for name, entry in engines.items()},
    }


def document(*cells: dict[str, Any], cold: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "started": "now",
        "commit": "abc-dirty",
        "machine": {"cpu": "a cpu", "cores": 2, "isa": ["avx2"]},
        "load_at_start": 0.5,
        "settings": {"rounds": 2, "passive": False},
        "engines": {OURS: {"version": "1"}, "ncnn": {"missing": "ncnn: not here"}},
        "cells": list(cells),
        "cold": cold or [],
    }


def test_ratio() -> None:
    found = ratios.ratio([[1, 2, 3], [8]], [[4, 4, 4], [2]])
    assert found.medians == pytest.approx(2.5 / 4)
    assert found.minima == pytest.approx(1 / 2)
    assert found.paired == pytest.approx((2 / 4 + 8 / 2) / 2)
    assert found.spread == pytest.approx(2.25)
    assert ratios.factor(0.5) == ratios.factor(2) == 2


def test_noise_is_the_ratio_of_the_pair() -> None:
    one = cell(graphc=[[2.0]], again=[[2.2]], ncnn=[[2.1]])
    floor = ratios.noise(one, "wall")
    assert floor is not None and floor.medians == pytest.approx(2 / 2.2)
    assert ratios.noise(one, "cpu") is None
    assert ratios.is_noise(ratios.ratio([[2.0]], [[2.1]]), floor)
    assert not ratios.is_noise(ratios.ratio([[2.0]], [[3.0]]), floor)
    assert not ratios.is_noise(ratios.ratio([[3.0]], [[2.0]]), floor)
    assert ratios.is_noise(ratios.ratio([[2.0]], [[3.0]]), None)


def test_medians_and_minima_on_two_sides_are_no_result() -> None:
    split = ratios.Ratio(medians=2.0, minima=0.5, paired=2.0)
    assert ratios.is_noise(split, ratios.Ratio(1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("error", "counts"), [(None, True), (1e-6, True), (2e-3, False), (math.inf, False)]
)
def test_times_of_wrong_outputs_do_not_count(error: float | None, counts: bool) -> None:
    one = cell(graphc=[[1.0]], ncnn=[[2.0]])
    one["engines"]["ncnn"]["error"] = error
    assert (ratios.samples(one, "ncnn", "wall") is not None) == counts
    assert ratios.samples(one, "absent", "wall") is None


def test_relative_error() -> None:
    expected = np.array([[1.0, 4.0], [2.0, 0.0]])
    y = np.array([[1.0, 4.0], [99.0, 99.0], [2.0, 1.0]], np.float32)  # the middle one is not told
    assert relative_error(y, expected, 3) == pytest.approx(0.25)
    assert relative_error(y.reshape(3, 2, 1, 1), expected, 3) == pytest.approx(0.25)
    assert relative_error(y[:2], expected, 3) == math.inf
    y[0, 0] = np.nan
    assert relative_error(y, expected, 3) == math.inf


def test_every_engine_once_a_round_and_never_always_first() -> None:
    names = with_again(["ncnn", OURS, "torch"])
    assert names == [OURS, "ncnn", "torch", AGAIN]
    found = list(orders(names, 8))
    assert all(sorted(order) == sorted(names) for order in found)
    assert set(Counter(order[0] for order in found).values()) == {2}
    before = {(a, b) for order in found for a, b in pairwise(order)}
    assert all(len({a for a, b in before if b == name}) > 1 for name in names)


def test_table_of_times_and_ratios() -> None:
    one = cell(
        graphc=[[0.010, 0.012], [0.014]],
        again=[[0.0121], [0.0101]],
        torch=[[0.040], [0.044]],
        **{"torch-cl": [[0.024], [0.020]]},
        ncnn=[[0.0120], [0.0122]],
        opencv=[[0.1], [0.1]],
    )
    one["engines"]["opencv"]["error"] = 0.5
    one["engines"]["onnxruntime"] = {"failed": "onnxruntime: died"}
    text = report.report(document(one), "wall")
    rows = [line.split() for line in text.splitlines()]
    times = next(row for row in rows if row[:1] == ["n"])
    assert times[1:7] == ["6.00", "(5.00)", "21.0", "(20.0)", "11.0", "(10.0)"]  # per image
    assert times[-2:] == ["-", "0.25"]
    head, ratio = next((a, b) for a, b in pairwise(rows) if "noise" in a)
    assert head == ["noise", "best", "peer", "torch", "ncnn", "opencv", "onnxruntime"]
    told = " ".join(ratio)
    # torch: channels_last is the better one; ncnn: within what the pair differs
    assert told == "n 1.08 / 0.99 0.99 / 0.83~ 0.55 / 0.50 0.99 / 0.83~ - -"
    assert "WRONG 5.0e-01" in text and "  n: onnxruntime: died" in text
    assert "ncnn: not here" in text and "a cpu, 2 cores (avx2); commit abc-dirty" in text
    assert [row for row in rows if row[:2] == ["n", "3"]]  # MiB
    assert "CPU time" in report.report(document(one), "cpu")


def test_rows_are_grouped_by_batch_and_threads() -> None:
    cells = [cell(graphc=[[1.0]], again=[[1.0]]) for _ in range(3)]
    cells[1]["threads"] = 2
    text = report.report(document(*cells), "wall")
    assert text.count("== batch 2, 1 thread\n") == text.count("== batch 2, 2 threads\n") == 1


def test_table_of_cold_starts() -> None:
    def start(first: float, peak: int) -> dict[str, Any]:
        wall, cpu = [first + 0.1, first + 0.2], [first / 2, first]
        peaks = [(peak - 1) << 20, peak << 20]
        return {"first_s": [first, first * 2], "wall_s": wall, "cpu_s": cpu, "peak_bytes": peaks}

    engines = {
        CLI: start(0.2, 50),
        FLOOR: start(0.01, 5),
        OURS: start(0.1, 40),
        "ncnn": start(0.4, 100),
        "opencv": {"failed": "opencv: gone"},
    }
    assert least(engines[CLI]) == {
        "first_s": 0.2,
        "wall_s": pytest.approx(0.3),
        "cpu_s": 0.1,
        "peak_bytes": 50 << 20,
    }
    text = report.report(document(cold=[{"net": "n", "engines": engines}]), "wall")
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["ncnn"] == ["ncnn", "400", "500", "/", "200", "100"]
    assert rows["graphc run / best peer"][-5:] == ["0.50", "0.60", "/", "0.50", "0.50"]
    assert rows["opencv"] == ["opencv", "-", "-", "-"] and "opencv: gone" in text


def test_cold_start_without_peers_has_no_ratio() -> None:
    one = {"first_s": [1.0], "wall_s": [1.0], "cpu_s": [1.0], "peak_bytes": [1 << 20]}
    text = report.report(document(cold=[{"net": "n", "engines": {CLI: one, FLOOR: one}}]), "wall")
    assert text.splitlines()[-1].split() == [*f"{CLI} / best peer".split(), "-", "-", "-"]


def test_machine() -> None:
    told = machine.described()
    assert told["cores"] == machine.usable_cores() >= 1 and told["cpu"]
    others = machine.Bystander(())
    sum(range(200_000))  # our own work, which must not count
    cores = others.cores()
    assert cores is None or cores >= 0
    assert machine.available_bytes() is None or machine.available_bytes() > 1 << 20


def test_commit(tmp_path: Path) -> None:
    """Of a checkout with and without edits; None outside of one."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    outside = machine.commit(tmp_path)
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    clean = machine.commit(tmp_path)
    (tmp_path / "file").write_text("2")
    assert clean and machine.commit(tmp_path) == f"{clean}-dirty"
    assert outside is None or outside != clean


def test_work_of_named_processes_is_not_that_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, own = iter([100.0, 130.0]), iter([10.0, 5.0, 20.0, 7.0])
    monkeypatch.setattr(machine, "_busy_s", lambda: next(busy))
    monkeypatch.setattr(machine, "_process_s", lambda pid: next(own))
    clock = iter([0.0, 9.0])
    monkeypatch.setattr(machine.time, "monotonic", lambda: next(clock))
    assert machine.Bystander([17]).cores() == pytest.approx((30 - 10 - 2) / 9)


def test_engines_are_described() -> None:
    assert next(iter(ENGINES)) == OURS and AGAIN not in ENGINES
    assert all(entry.about for entry in ENGINES.values())
