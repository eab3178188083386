"""graphc plan: that the figures it prints are the plan's, and hang together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import graphc
from graphc.cli.verbs import VERBS

ROOT = Path(__file__).resolve().parents[2]
LENET = ROOT / "models/lenet"


def test_text(cli, tiny):
    lines = cli("plan", tiny).out.splitlines()
    plan = graphc.plan(tiny)
    assert lines[0].startswith(f"peak {plan.peak_bytes / 1024:.1f} KiB ({plan.peak_bytes:,} B)")
    assert lines[0].endswith(", at layer 'conv' (forward)")
    assert "target model, batch 1" in lines[0]
    assert lines[1].split() == ["for", "bytes", "share", "which", "is"]
    assert {line.split()[0] for line in lines[2:5]} <= {"activations", "weights", "state", "io"}
    assert any(line.startswith("step 0 of 4, forward, holds") for line in lines)
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
    assert owner["entry"] == "forward"
    assert sum(b["bytes"] for b in owner["buffers"]) == plan.live_bound
    assert set(owner["buffers"][0]) == {"name", "kind", "bytes"}
    assert "timeline" not in found


def test_bars_are_as_long_as_their_steps_need(cli):
    net = ROOT / "models/googlenet/train.prototxt"
    lines = cli("plan", net, "--train", "--timeline", "--batch", "2").out.splitlines()
    plan = graphc.plan(net, train=True, batch=2)
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["step", "layer"])
    assert all(len(line) <= 100 and line == line.rstrip() for line in lines[start:])
    heads = {line.split(":")[0]: i for i, line in enumerate(lines) if ": " in line and i > start}
    assert list(heads) == list(plan.entries) == ["forward", "backward"]
    assert lines[heads["backward"]] == (
        f"backward: {len(plan.steps) - plan.entries['backward'][0]} steps; "
        "each row is the fullest of a few"
    )
    bars = [line for i, line in enumerate(lines) if i > start and i not in heads.values()]
    assert 38 <= len(bars) <= 40
    sizes = [float(re.search(r"(\d+\.\d\d) #", bar)[1]) for bar in bars]
    lengths = [bar.count("#") for bar in bars]
    shares = zip(lengths, sizes, strict=True)
    assert all(abs(n / max(lengths) - s / max(sizes)) < 0.03 for n, s in shares)
    steps = [int(bar.split()[0]) for bar in bars]
    assert steps == sorted(set(steps))
    assert max(sizes) == pytest.approx(plan.live_bound / 2**20, abs=0.006)
    (peak,) = (bar for bar in bars if bar.endswith(" peak"))
    assert int(peak.split()[0]) == plan.owner.step
    told = cli("plan", net, "--timeline", "--json").json
    assert len(told["timeline"]) == told["steps"]


def test_packing_weights_is_one_line(cli, tiny):
    lines = cli("plan", tiny, "--target", "cpu", "--timeline").out.splitlines()
    assert "prepare: 1 step without need of the work arena" in lines
    assert any(line.startswith("     1  conv ") for line in lines)


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


def test_the_cpus_peak_is_what_a_run_takes(cli, tiny):
    words = ("--target", "cpu", "--threads", "3")
    exe = graphc.compile(tiny, threads=3)
    assert cli("plan", tiny, *words, "--json").json["peak_bytes"] == exe.plan.peak_bytes
    assert cli("plan", tiny, "--threads", "0").code == 2


def test_an_artefact_is_planned_as_it_was_compiled(cli):
    """With what it keeps, and the passes it was compiled with, not the default ones."""
    net = LENET / "deploy.prototxt"
    cli("compile", net, "-o", "plain.gcz")
    cli("compile", net, "-o", "kept.gcz", "--keep", "all")
    peaks = [graphc.open(name).plan.peak_bytes for name in ("plain.gcz", "kept.gcz")]
    assert peaks[0] != peaks[1]
    for name, peak in zip(("plain.gcz", "kept.gcz"), peaks, strict=True):
        assert cli("plan", name, "--target", "cpu", "--json").json["peak_bytes"] == peak


def test_an_empty_batch_divides_by_nothing(cli, tiny):
    assert "peak" in cli("plan", tiny, "--shape", "data=0x3x8x8", "--timeline").out


def test_is_listed():
    assert "plan" in VERBS
