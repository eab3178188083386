"""The GPU probe without a GPU: arguments, isolation of stages, the document, what it computes."""

from __future__ import annotations

import ast
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.probe import cli, devices, kernels, report, stats, workload
from bench.probe.cudnn_graphs import Plan, channels_last, reasons
from bench.probe.facts import Clock, Facts, Missing, need, plain
from bench.probe.runner import Stage, allowance, read_facts, run_all
from bench.probe.stages import plans
from bench.probe.torch_steps import cells

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "tools" / "bench" / "gpu_probe.py"

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


def strict(path: Path) -> Any:
    """JSON without NaN and infinities."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "--out"),
        (["--out", "x", "--stages", "versions,nonsense"], "nonsense"),
        (["--out", "x", "--stages", ","], "no stage nothing"),
        (["--out", "x", "--budget", "0"], "positive"),
        (["--out", "x", "--budget", "nan"], "positive"),
        (["--out", "x", "--budget", "inf"], "positive"),
        (["--out", "x", "--budget", "soon"], "budget"),
        (["--out", "/dev/null/x"], "--out"),
        (["--frob"], "--frob"),
    ],
)
def test_bad_arguments(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_chosen_stages_keep_their_order() -> None:
    args = cli.parser().parse_args(["--out", "x", "--stages", "plans, versions,plans"])
    assert [stage.name for stage in args.stages] == ["versions", "plans"]
    args = cli.parser().parse_args(["--out", "x"])
    assert (args.stages, args.budget, args.dry_run) == (list(cli.STAGES), 180.0, False)


def test_list(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["--list", "--budget", "90", "--out", str(tmp_path / "not made")]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == [stage.name for stage in cli.STAGES]
    assert sum(float(row.split()[1]) for row in rows) == pytest.approx(90, abs=1)
    assert not (tmp_path / "not made").exists()


def test_shares_fill_the_three_minutes() -> None:
    assert sum(stage.share for stage in cli.STAGES) == cli.BUDGET_S


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


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    facts = Facts(tmp_path / "f")
    facts("a", math.nan)
    facts("b", {"x": [math.inf, 1.5, None, b"y"]})
    with (tmp_path / "f").open("a") as file:
        file.write('{"fact": "c", "val')
    found = read_facts(tmp_path / "f")
    assert found["facts"] == {"a": "nan", "b": {"x": ["inf", 1.5, None, "b'y'"]}}
    assert found["status"] is None


def test_numpy_scalars_become_numbers() -> None:
    assert plain({1: np.float32(0.5), "n": np.int64(3), "b": np.bool_(True)}) == {
        "1": 0.5,
        "n": 3,
        "b": True,
    }


def test_need() -> None:
    assert need("json") is json
    with pytest.raises(Missing, match="frob"):
        need("no_such_package_anywhere", "frob")


def test_dry_run_from_the_root(tmp_path: Path) -> None:
    """The one command line, as it is typed: valid JSON, the table last, 0 whatever is missing."""
    command = [sys.executable, str(SCRIPT.relative_to(ROOT)), "--dry-run", "--budget", "120"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "a" / "b")],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    doc = strict(tmp_path / "a" / "b" / "probe.json")
    names = [stage.name for stage in cli.STAGES]
    assert [stage["name"] for stage in doc["stages"]] == doc["asked"] == names
    assert (doc["format"], doc["dry"], doc["budget_s"]) == (report.FORMAT, True, 120)
    for stage in doc["stages"]:
        assert stage["status"] in ("dry", "missing"), stage
        assert stage["status"] == "dry" or stage["missing"]
        keys = "name seconds allowed_s status facts lines missing failed error"
        assert list(stage) == keys.split() and stage["failed"] == []
    assert done.stdout.rstrip().endswith(report.table(doc).splitlines()[-1])
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["probe.json", "probe.log"]
    work = doc["stages"][names.index("torch_eager")]["facts"]["work.resnet50"]
    assert work["gflop_per_image"] == pytest.approx(8.18, abs=0.01)


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


def test_workloads() -> None:
    work = {name: make() for name, make in workload.WORKLOADS.items()}
    gflop = {name: round(2 * entry.macs / 1e9, 2) for name, entry in work.items()}
    assert gflop == {"resnet50": 8.18, "alexnet": 1.45, "vgg16": 30.94}
    weights = {name: entry.weights for name, entry in work.items()}
    assert weights == {"resnet50": 25502912, "alexnet": 60954656, "vgg16": 138344128}
    kinds = {name: len(workload.distinct(entry.convs)) for name, entry in work.items()}
    assert kinds == {"resnet50": 23, "alexnet": 5, "vgg16": 9}
    assert len(work["resnet50"].convs) == 53
    for entry in work.values():
        labels = {conv.label for conv in entry.convs}
        assert len(labels) == len(workload.distinct(entry.convs))
    assert [conv.out for conv in work["alexnet"].convs] == [55, 27, 13, 13, 13]
    assert work["resnet50"].convs[-1].out == 7
    assert workload.train_flops(work["vgg16"], 2) == 12 * work["vgg16"].macs


def test_every_product_but_the_images_gradient() -> None:
    found = plans.keys()
    assert len(found) == 3 * 23 - 1
    assert all(kind != "dgrad" for conv, kind in found if conv.channels == 3)


def test_statistics() -> None:
    assert stats.summary([3, 1, 2]) == {"median": 2, "min": 1, "max": 3, "n": 3}
    assert stats.ranks([10, 20, 10, 5]) == [2.5, 4, 2.5, 1]
    assert stats.rank_correlation([1, 2, 3], [10, 20, 40]) == pytest.approx(1)
    assert stats.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert stats.rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    assert stats.rank_correlation([1, 2], [5, 5]) is None
    assert stats.rank_correlation([], []) is None


def test_device_differences() -> None:
    real = devices.H200 | {"driverVer": 13010, "new": 1}
    del real["warpSize"]
    assert devices.differences(devices.H200, real) == {
        "warpSize": [32, None],
        "driverVer": [13000, 13010],
        "new": [None, 1],
    }
    assert devices.version(devices.H200) == 90


def test_agreement_of_plans() -> None:
    told = [Plan(0, "a", 0, 0.0), Plan(1, "b", 16, 0.0)]
    real = [Plan(0, "b", 16, 9.0), Plan(1, "a", 8, 9.0), Plan(2, "c", 0, 9.0)]
    assert plans.agreement(told, told) == {
        "same_order": True,
        "same_names": True,
        "same_first": True,
        "in_both": 2,
        "same_workspace": 2,
    }
    found = plans.agreement(told, real)
    assert list(found.values()) == [False, False, False, 2, 1]
    assert plans.brief(told)["hash"] != plans.brief(told[::-1])["hash"]


def test_reasons_of_a_refusal() -> None:
    engine = '{"engineId":%d,"knobChoices":{"A":-1}}\nWarning: CUDNN_STATUS_%s; Reason: %s\n'
    text = "declined: __\n" + engine % (9, "NOT_SUPPORTED", "libcuda == nullptr")
    text += "Warning: CUDNN_STATUS_LATER; Reason: finalize()\n\n" + engine % (12, "ARCH", "old")
    assert reasons(text) == ["eng9 NOT_SUPPORTED: libcuda == nullptr", "eng12 ARCH: old"]
    assert reasons("plain\n words") == ["plain words"]


def test_channels_last() -> None:
    view = np.zeros((2, 4, 5, 3), np.int8).transpose(0, 3, 1, 2)
    assert channels_last(view.shape) == list(view.strides)


def test_cells_cover_everything_once() -> None:
    assert len(cells()) == len(set(cells())) == 6
    assert cells()[0] == ("resnet50", "bf16")


def test_kernels_are_all_named() -> None:
    assert kernels.SOURCE.count("__global__") == len(kernels.NAMES)
    assert all(f"void {name}(" in kernels.SOURCE for name in kernels.NAMES)


def test_the_probe_needs_no_graphc() -> None:
    for path in (SCRIPT, *SCRIPT.with_name("probe").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "graphc"], path


def test_clock_ends_before_the_deadline() -> None:
    assert 8.5 < Clock(10).left() <= 9
    assert 56 < Clock(60).left() <= 57
