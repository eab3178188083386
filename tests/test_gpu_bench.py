"""The benchmark of GPUs without one: arguments, stages in dry runs, and what makes it fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.gpu_runs import budgets, cli, correct, kernels
from bench.gpu_runs.workload import distance, feeds
from bench.probe.facts import Clock, Facts
from bench.probe.runner import read_facts


@pytest.mark.parametrize(
    ("argv", "said"),
    [([], "--out"), (["--out", "x", "--stages", "nets,no"], "no stage no"), (["--frob"], "--frob")],
)
def test_bad_arguments(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2 and said in capsys.readouterr().err


def test_correctness_comes_before_speed_and_all_fits_a_call(capsys: Any) -> None:
    names = [stage.name for stage in cli.STAGES]
    assert names.index("correct") < min(map(names.index, ("kernels", "nets", "budgets")))
    assert sum(stage.share for stage in cli.STAGES) == cli.BUDGET_S < 9.5 * 60
    assert cli.main(["--list"]) == 0 and "kernels" in capsys.readouterr().out


def test_a_dry_run_leaves_lines_and_a_table(tmp_path: Path, capsys: Any) -> None:
    argv = ["--out", str(tmp_path), "--dry-run", "--stages", "kernels", "--budget", "60"]
    assert cli.main(argv) == 0
    about, record = map(json.loads, (tmp_path / "gpu.jsonl").read_text().splitlines())
    assert about["dry"] and about["asked"] == ["kernels"]
    assert record["status"] == "dry" and record["facts"]["cudnn"] == "9.19.0"
    assert "kernels        dry" in capsys.readouterr().out


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("partial", 1), ("overrun", 1)])
def test_a_check_that_fails_is_the_exit_status(
    status: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_all(stages: Any, budget: float, dry: bool, done: Any) -> None:
        rest = {"seconds": 1.0, "lines": [], "missing": [], "failed": [], "error": None}
        done({"name": "correct", "status": status, "facts": {}, **rest}, "")

    monkeypatch.setattr(cli, "run_all", run_all)
    assert cli.main(["--out", str(tmp_path)]) == code


def test_gradients_are_compared_with_those_of_the_cpu(tmp_path: Path, monkeypatch: Any) -> None:
    """The reference stands for the GPU: what the dry run has, the fake one, takes a while."""
    monkeypatch.setattr(correct, "target", lambda dry: "reference")
    path = tmp_path / "facts"
    correct.run(Facts(path), Clock(60), True)
    found = read_facts(path)
    assert not found["failed"] and len(found["facts"]["lenet.gradients"]) == 9
    assert max(found["facts"]["lenet.gradients"].values()) < correct.ALLOWED
    monkeypatch.setattr(correct, "_gradients", lambda net, where: {"loss": 1.0})
    correct.run(Facts(path), Clock(60), True)
    assert "differs by 1.0" in read_facts(path)["failed"][0]["message"]


def test_budgets_are_planned(tmp_path: Path) -> None:
    path = tmp_path / "facts"
    budgets.run(Facts(path), Clock(60), True)
    found = read_facts(path)
    peaks = [found["facts"][f"alexnet.{share}"]["peak_bytes"] for share in (1.0, 0.9, 0.8)]
    assert peaks == sorted(peaks, reverse=True) and not found["failed"]
    assert any("no plan fits" in line for line in found["lines"])


def test_orders_and_distances() -> None:
    times = {f"f32 fprop a | eng{i}": float(i) for i in range(4)}
    times |= {f"f32 wgrad a | eng{i}": float(-i) for i in range(4)}
    found = kernels.orders(times)
    assert found["min"] == -1 and found["max"] == 1
    assert distance([3.0, 4.0], [3.0, 4.0]) == 0 and distance([0.0], [2.0]) == 1
    told = feeds({"data": (2, 3), "label": (2,)})
    assert np.abs(told["data"]).min() > 0 and told["label"].max() < 10
