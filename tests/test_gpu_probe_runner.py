"""How the GPU probe runs its stages: none stops another, none overruns, nothing is lost."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from bench.probe import cli, report
from bench.probe.facts import Clock
from bench.probe.runner import Stage, allowance, run_all
from probe_document import strict

STAGES = """
import os, subprocess, sys, time
from bench.probe.facts import need

def good(facts, clock, dry):
    facts("left", clock.left()); facts("dry", dry); facts.say("fine")

def raises(facts, clock, dry):
    facts("before", 1)
    raise ValueError("no luck")

def hangs(facts, clock, dry):
    facts("before", 2)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    facts("other", other.pid)
    time.sleep(60)

def dies(facts, clock, dry):
    facts("before", 3)
    os.abort()

def lacks(facts, clock, dry):
    facts("before", 4)
    need("no_such_package_anywhere")

def partly(facts, clock, dry):
    with facts.part("first"):
        raise KeyError("k")
    with facts.part("second"):
        need("no_such_package_anywhere")
    facts("after", 5)

def run(facts, clock, dry):
    globals()[__name__.removeprefix("stage_")](facts, clock, dry)
"""


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Stage]:
    names = ("good", "raises", "hangs", "dies", "lacks", "partly")
    for name in names:
        (tmp_path / f"stage_{name}.py").write_text(STAGES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return {name: Stage(name, 1.0, "", f"stage_{name}") for name in names}


def collect(chosen: list[Stage], budget: float, dry: bool = False) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    run_all(chosen, budget, dry, lambda record, printed: found.update({record["name"]: record}))
    return found


def test_allowance() -> None:
    assert allowance(100, [1, 3]) == 25
    assert allowance(100, [3]) == 100
    assert allowance(-1, [1, 2]) == 0


def test_stages_do_not_stop_each_other(stages: dict[str, Stage]) -> None:
    order = ["raises", "dies", "lacks", "partly", "good"]
    found = collect([stages[name] for name in order], 60)
    assert list(found) == order
    expected = {
        "raises": "failed",
        "dies": "crashed",
        "lacks": "missing",
        "partly": "partial",
        "good": "ok",
    }
    assert {name: record["status"] for name, record in found.items()} == expected
    assert [found[name]["facts"]["before"] for name in ("raises", "dies", "lacks")] == [1, 3, 4]
    assert found["raises"]["error"]["message"] == "no luck"
    assert "stage_raises.py" in found["raises"]["error"]["where"]
    assert found["lacks"]["missing"][0]["what"] == "no_such_package_anywhere"
    assert found["partly"]["failed"][0]["part"] == "first"
    assert found["partly"]["missing"] and found["partly"]["facts"]["after"] == 5
    assert found["good"]["lines"] == ["fine"] and found["good"]["error"] is None


def test_an_overrun_is_ended_with_all_it_started(stages: dict[str, Stage]) -> None:
    began = time.monotonic()
    found = collect([stages["hangs"], stages["good"]], 4)
    assert time.monotonic() - began < 15
    assert found["hangs"]["status"] == "overrun" and found["good"]["status"] == "ok"
    assert found["hangs"]["facts"]["before"] == 2
    other = Path("/proc", str(found["hangs"]["facts"]["other"]), "stat")
    for _ in range(100):  # the orphan is reaped by another process, a little later
        if not other.exists() or other.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("a process of the stage is still running")


def test_no_time_left(stages: dict[str, Stage]) -> None:
    found = collect([stages["good"], stages["raises"]], 0.5)
    assert {record["status"] for record in found.values()} == {"skipped"}


def test_time_that_is_saved_goes_to_later_stages(stages: dict[str, Stage]) -> None:
    found = collect([stages["good"], stages["raises"]], 20)
    assert found["good"]["allowed_s"] == pytest.approx(10, abs=0.5)
    assert found["raises"]["allowed_s"] > 15


def test_dry_is_told(stages: dict[str, Stage]) -> None:
    found = collect([stages["good"]], 10, dry=True)
    assert found["good"]["status"] == "dry" and found["good"]["facts"]["dry"] is True
    assert 5 < found["good"]["facts"]["left"] < 10


def test_document_is_whole_after_every_stage(
    tmp_path: Path, stages: dict[str, Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    keep = report.write_json

    def watched(path: Path, value: Any) -> None:
        keep(path, value)
        seen.append(len(strict(path)["stages"]) if path.name == "probe.json" else path.name)

    monkeypatch.setattr(cli, "STAGES", (stages["raises"], stages["good"]))
    monkeypatch.setattr(report, "write_json", watched)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert cli.main(["--out", str(tmp_path), "--budget", "20"]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1, 2]
    log = (tmp_path / "probe.log").read_text()
    assert "== raises failed" in log and "ValueError: no luck" in log


def test_clock_ends_before_the_deadline() -> None:
    assert 8.5 < Clock(10).left() <= 9
    assert 56 < Clock(60).left() <= 57
