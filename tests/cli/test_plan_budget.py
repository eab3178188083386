"""graphc plan --memory, --largest-batch, --sweep and --html; --memory of compile and train."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphc
from graphc.budget import physical_memory

TRAIN = """
name: "digits"
layer { name: "data" type: "DummyData" top: "x" top: "label" dummy_data_param {
        shape { dim: 8 dim: 3 dim: 6 dim: 6 } shape { dim: 8 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 2 snapshot_prefix: "run" '


@pytest.fixture
def solver(cli, tmp_path: Path) -> Path:
    (tmp_path / "net.prototxt").write_text(TRAIN)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return Path("solver.prototxt")


def test_what_is_left_over(cli, tiny: Path) -> None:
    done = cli("plan", tiny, "--memory", "1MiB", "--json")
    assert done.code == 0, done.err
    found = done.json
    left = (1 << 20) - found["peak_bytes"]
    assert found["memory"] == {"budget_bytes": 1 << 20, "left_bytes": left, "fits": True}
    assert f"({left:,} B) are left over" in cli("plan", tiny, "--memory", "1MiB").out
    exact = f"{found['peak_bytes']}B"
    assert cli("plan", tiny, "--memory", exact, "--json").json["memory"]["left_bytes"] == 0


def test_over_budget(cli, tiny: Path) -> None:
    whole = graphc.plan(tiny, batch=64).peak_bytes
    done = cli("plan", tiny, "--batch", "64", "--memory", f"{whole - 1}B", "--json")
    assert done.code == 5
    error = done.json["error"]
    assert error["code"] == "GC-M001"
    assert f"needs {whole:,} B, 1 B over" in error["message"]
    assert "layer 'conv'" in error["message"]
    assert "batch 63 fits" in error["hint"]
    small = cli("plan", tiny, "--memory", "1kB")
    assert small.code == 5
    assert "no batch fits in 1,000 B: batch 1 needs" in small.err


@pytest.mark.parametrize("size", ["0", "0B", "-1GiB", "1 apple", "", "6"])
def test_nonsense(cli, tiny: Path, size: str) -> None:
    done = cli("plan", tiny, "--memory", size)
    assert (done.code, done.out) == (2, "")
    assert "GC-R004: a memory budget of" in done.err
    assert "hint: write 6GiB, 500MB or 12000000000B" in done.err


def test_more_than_there_is(cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if physical_memory() is not None:
        assert (
            "note: the budget of 4096.0 TiB is more" in cli("plan", tiny, "--memory", "4096TiB").err
        )
    monkeypatch.setattr("graphc.budget.physical_memory", lambda: None)
    assert "note" not in cli("plan", tiny, "--memory", "4096TiB").err


def test_largest_batch(cli, tiny: Path) -> None:
    found = cli("plan", tiny, "--memory", "200kB", "--largest-batch", "--json").json
    batch = found["largest_batch"]
    assert batch == found["batch"] > 1
    assert found["peak_bytes"] == graphc.plan(tiny, batch=batch).peak_bytes <= 200_000
    assert found["next_bytes"] == graphc.plan(tiny, batch=batch + 1).peak_bytes > 200_000
    assert found["plans_made"] >= 3
    text = cli("plan", tiny, "--memory", "200kB", "--largest-batch").out
    assert f"largest batch {batch:,}; {batch + 1:,} needs {found['next_bytes']:,} B" in text
    assert f"{found['plans_made']} plans made and verified" in text


@pytest.mark.parametrize("target", ["model", "cpu"])
def test_largest_batch_of_training(cli, solver: Path, target: str) -> None:
    options = ["--train", "--solver", solver, "--target", target, "--threads", "1"]
    options += ["--memory", "100kB", "--set", "type=Adam", "--set", "net.layer[ip].name=fc"]
    found = cli("plan", "net.prototxt", *options, "--largest-batch", "--sweep", "--json").json
    assert found["peak_bytes"] <= 100_000 < found["next_bytes"]
    assert [row["fits"] for row in found["sweep"]][-2:] == [True, False]
    assert found["sweep"][0]["batch"] == 1
    assert found["breakdown"]["history"] == 2 * found["breakdown"]["weights"]


def test_sweep(cli, tiny: Path) -> None:
    found = cli("plan", tiny, "--memory", "20kB", "--sweep", "--json").json
    assert "largest_batch" not in found
    assert [row["batch"] for row in found["sweep"]] == [1 << k for k in range(len(found["sweep"]))]
    for row in found["sweep"]:
        assert row["peak_bytes"] == graphc.plan(tiny, batch=row["batch"]).peak_bytes
        assert row["fits"] == (row["peak_bytes"] <= 20_000)
    done = cli("plan", tiny, "--memory", "1kB", "--sweep")
    assert done.code == 0
    assert "does not fit in 1000 B" in done.out
    assert "no" in done.out.split()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--largest-batch"], "GC-C001: --largest-batch needs a budget"),
        (["--sweep"], "GC-C001: --sweep needs a budget"),
        (["--memory", "1GiB", "--sweep", "--batch", "2"], "--sweep and --batch exclude each"),
        (["--memory", "1GiB", "--largest-batch", "--batch", "2"], "and --batch exclude each other"),
    ],
)
def test_contradictions(cli, tiny: Path, args: list[str], text: str) -> None:
    done = cli("plan", tiny, *args)
    assert (done.code, done.out) == (2, "")
    assert text in done.err


def test_artefacts(cli, artefact: Path) -> None:
    found = cli("plan", artefact, "--memory", "200kB", "--largest-batch", "--json").json
    assert found["largest_batch"] > 1


def test_page(cli, tiny: Path, tmp_path: Path) -> None:
    done = cli("plan", tiny, "--html", "page.html", "--json")
    text = (tmp_path / "page.html").read_text()
    assert f"({done.json['peak_bytes']:,} B)" in text
    assert "<title>tiny: memory of batch 1, target model</title>" in text
    assert "wrote page.html" in cli("plan", tiny, "--html", "page.html").err
    assert cli("plan", tiny, "--html", "no/page.html").code == 7
    assert "Peak by batch" not in text
    asked = ("--memory", "200kB", "--largest-batch", "--sweep")
    best = cli("plan", tiny, *asked, "--html", "page.html")
    assert best.code == 0
    assert "Peak by batch" in (tmp_path / "page.html").read_text()
    assert "memory of batch 1," not in (tmp_path / "page.html").read_text()


def test_compile_within_a_budget(cli, tiny: Path) -> None:
    peak = graphc.compile(tiny).plan.peak_bytes
    assert cli("compile", tiny, "--memory", f"{peak}B").code == 0
    assert Path("tiny.gcz").exists()
    assert "note: the budget" in cli("compile", tiny, "--memory", "4096TiB").err


def test_train_within_a_budget(cli, solver: Path) -> None:
    assert cli("train", solver, "--memory", "1GiB").code == 0
    done = cli("train", solver, "--memory", "1kB")
    assert done.code == 5
    assert "GC-M001: the plan for target cpu needs" in done.err
    assert "--largest-batch" in done.err
    again = cli("train", solver, "--resume", "run_iter_2.solverstate", "--memory", "1kB")
    assert again.code == 5
