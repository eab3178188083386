"""The GPU probe without a GPU: arguments, facts, the document of a dry run."""

from __future__ import annotations

import ast
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench.probe import cli, report
from bench.probe.facts import Facts, Missing, need, plain
from bench.probe.runner import read_facts
from probe_document import strict

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "tools" / "bench" / "gpu_probe.py"


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


def test_the_probe_needs_no_graphc() -> None:
    for path in (SCRIPT, *SCRIPT.with_name("probe").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "graphc"], path
