"""graphc plan: that the figures it prints are the plan's, and hang together."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphc
from graphc.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[2]
LENET = ROOT / "models/lenet"


def test_text(cli, tiny):
    lines = cli("plan", tiny).out.splitlines()
    plan = graphc.plan(tiny)
    assert lines[0].startswith(f"peak {plan.peak_bytes / 1024:.1f} KiB ({plan.peak_bytes:,} B)")
    assert "batch 1, at layer 'conv' (forward)" in lines[0]
    assert lines[1].split() == ["for", "bytes", "share"]
    assert {line.split()[0] for line in lines[2:5]} <= {"activations", "weights", "state", "io"}
    assert any(line.startswith("step 0 of 6, forward, holds") for line in lines)
    assert any(line.startswith("work arena ") for line in lines)
    assert lines[-1].startswith("activations, their gradients and inputs: at most ")


def test_json(cli):
    found = cli("plan", LENET / "train.prototxt", "--train", "--json").json
    plan = graphc.plan(LENET / "train.prototxt", train=True)
    assert found["peak_bytes"] == plan.peak_bytes == sum(found["breakdown"].values())
    assert found["peak_bytes"] == sum(found["arenas"].values())
    assert found["host_bytes"] == 0
    assert found["batch"] == 64
    assert found["target"] == "model"
    assert found["bounds"] == {"live": plan.live_bound, "op": plan.op_bound}
    assert found["packing"] == 1.0
    assert found["steps"] == len(plan.steps)
    assert 0 < found["activation_bytes"] <= found["arenas"]["work"]
    owner = found["owner"]
    assert owner["entry"] == "backward"
    assert sum(b["bytes"] for b in owner["buffers"]) == plan.live_bound
    assert set(owner["buffers"][0]) == {"name", "kind", "bytes"}
    assert "timeline" not in found


def test_bars_are_as_long_as_their_steps_need(cli):
    net = ROOT / "models/googlenet/train.prototxt"
    lines = cli("plan", net, "--train", "--timeline", "--batch", "2").out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["step", "layer"])
    bars = lines[start + 1 :]
    assert len(bars) == 40
    sizes = [float(bar.split()[2]) for bar in bars]
    lengths = [bar.count("#") for bar in bars]
    shares = zip(lengths, sizes, strict=True)
    assert all(abs(n / max(lengths) - s / max(sizes)) < 0.03 for n, s in shares)
    steps = [int(bar.split()[0]) for bar in bars]
    assert steps == sorted(set(steps))
    plan = graphc.plan(net, train=True, batch=2)
    assert max(sizes) == pytest.approx(plan.live_bound / 2**20, abs=0.006)
    assert all(len(bar) <= 100 for bar in bars)
    told = cli("plan", net, "--timeline", "--json").json
    assert len(told["timeline"]) == told["steps"]


def test_batch_and_phase(cli):
    small, large = (
        cli("plan", LENET / "train.prototxt", "--batch", n, "--json").json for n in ("1", "10")
    )
    assert small["batch"] == 1 and large["batch"] == 10
    assert small["arenas"]["weights"] == large["arenas"]["weights"]
    assert 5 * small["arenas"]["work"] < large["arenas"]["work"]
    net = ROOT / "models/resnet20/train.prototxt"
    phases = [cli("plan", net, *words, "--json").json["steps"] for words in ((), ("--train",))]
    assert phases[0] < phases[1]
    fixed = cli("plan", net, "--train", "--phase", "TEST", "--json").json["steps"]
    assert fixed < phases[1]  # statistics are not measured


def test_keep(cli, tiny):
    plain, kept = (
        cli("plan", tiny, *words, "--json").json["arenas"]["work"]
        for words in ((), ("--keep", "all"))
    )
    assert plain < kept
    assert cli("plan", tiny, "--keep", "nothing").code == 2


def test_targets(cli, tiny):
    model, cpu = (cli("plan", tiny, "--target", t, "--json").json for t in ("model", "cpu"))
    assert cpu["target"] == "cpu"
    assert model["breakdown"]["packed"] == 0 == model["breakdown"]["workspace"]


def test_artefact(cli, tiny):
    cli("compile", tiny, "-o", "tiny.gcz")
    assert cli("plan", "tiny.gcz", "--json").json["peak_bytes"] > 0


def test_an_empty_batch_divides_by_nothing(cli, tiny):
    assert "peak" in cli("plan", tiny, "--shape", "data=0x3x8x8", "--timeline").out


def test_is_listed():
    assert "plan" in VERBS
