"""graphc plan --train --sweep, --max-overhead, --override, --recipe, --micro-batch, --mbs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from cli.test_plan_recompute import net as net  # a fixture

import graphc

SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 2 '


def test_time_against_memory(cli, net: Path) -> None:
    done = cli("plan", net, "--train", "--sweep", "--json", "--html", "page.html")
    assert done.code == 0, done.err
    points = done.json["time_sweep"]
    assert points[0]["memory"] == done.json["peak_bytes"]
    assert points[0]["overhead"] == points[0]["replays"] == 0 < points[-1]["replays"]
    for large, small in pairwise(points):
        assert small["memory"] < large["memory"]
        assert small["overhead"] >= large["overhead"]
        assert small["peak_bytes"] <= small["memory"]
    budget = points[-1]["memory"]
    plan = graphc.plan(net, train=True, memory=budget)
    assert plan.est_us == pytest.approx(points[-1]["est_us"])
    with pytest.raises(graphc.GraphError, match="GC-M001"):
        graphc.plan(net, train=True, memory=budget - 1)
    assert "Time by memory" in Path("page.html").read_text()
    text = cli("plan", net, "--train", "--sweep").out
    assert "more time" in text
    assert f"+{100 * points[-1]['overhead']:.1f} %" in Path("page.html").read_text()
    found = graphc.sweep_memory(net, points=3)
    assert [found[0].memory, found[-1].memory] == [points[0]["memory"], budget]


def test_sweeps_that_mean_nothing(cli, net: Path) -> None:
    assert "GC-C001: --sweep needs a budget" in cli("plan", net, "--sweep").err
    with pytest.raises(graphc.GraphError, match="GC-R002"):
        graphc.sweep_memory(net, train=False)


def test_largest_batch_by_overhead(cli, net: Path) -> None:
    memory = graphc.plan(net, train=True, batch=16).peak_bytes
    batches = {}
    for percent in (0, 10, 35):
        asked = ("--train", "--largest-batch", "--memory", f"{memory}B")
        found = cli("plan", net, *asked, "--max-overhead", percent, "--json").json
        batches[percent] = found["largest_batch"]
        assert found["peak_bytes"] <= memory < found["next_bytes"]
        assert found["recompute"]["overhead"] <= percent / 100
    assert batches[0] == 16 < batches[10] <= batches[35]
    how = {"train": True, "memory": memory}
    assert graphc.largest_batch(net, **how).batch == batches[35]
    assert graphc.largest_batch(net, **how, max_overhead=0).batch == 16
    with pytest.raises(graphc.GraphError, match="GC-R004"):
        graphc.largest_batch(net, **how, max_overhead=-1)


def test_overrides(cli, net: Path) -> None:
    Path("memory.toml").write_text('[[memory]]\nreplay = ["s2"]\n')
    asked = ("--train", "--recipe", "memory.toml", "--override", "s5=replay", "--explain", "--json")
    rows = cli("plan", net, *asked).json["recompute"]["replayed"]
    assert {row["layer"] for row in rows} == {"s2", "s5"}
    for wrong, told in (("s2", "not LAYER=HOW"), ("s2=drop", "not LAYER=HOW")):
        done = cli("plan", net, "--train", "--override", wrong)
        assert (done.code, told in done.err) == (2, True)
    assert "no layer 's22'" in cli("plan", net, "--train", "--override", "s22=keep").err
    assert "add --train" in cli("plan", net, "--override", "s2=keep").err


def test_training_obeys_them(cli, net: Path) -> None:
    Path("data.prototxt").write_text(
        net.read_text()
        .replace('type: "Input"', 'type: "DummyData"')
        .replace("input_param", "dummy_data_param")
    )
    Path("solver.prototxt").write_text(SOLVER.replace("net.prototxt", "data.prototxt"))
    losses = []
    for more in ((), ("--override", "s2=replay", "--policy", "sqrt"), ("--micro-batch", "3")):
        done = cli("train", "solver.prototxt", "--pin-variants", "--threads", "1", *more, "--json")
        assert done.code == 0, done.err
        losses.append(done.json["loss"])
    assert losses[0] == losses[1] == pytest.approx(losses[2], rel=1e-4)
    done = cli("train", "solver.prototxt", "--override", "s22=keep")
    assert "no layer 's22'" in done.err


def test_micro_batches(cli, net: Path) -> None:
    whole = cli("plan", net, "--train", "--json").json
    done = cli("plan", net, "--train", "--micro-batch", "2", "--json")
    assert done.json["micro_batch"] == {"samples": 2, "notes": []}
    assert done.json["peak_bytes"] <= whole["peak_bytes"] < 2 * done.json["peak_bytes"]
    assert "on 2 samples at a time" in cli("plan", net, "--train", "--micro-batch", "2").out
    assert "add --train" not in cli("plan", net, "--train", "--micro-batch", "2").err
    assert cli("plan", net, "--micro-batch", "2").code == 2


def test_serialization(cli, net: Path) -> None:
    told = cli("plan", net, "--train", "--mbs", "100kB", "--json").json["mbs"]
    assert told["after_bytes"] < told["before_bytes"]
    assert told["before_bytes"] == sum(group["before"] for group in told["groups"])
    done = cli("plan", net, "--train", "--mbs", "100kB")
    assert "in groups" in done.out
    assert cli("plan", net, "--mbs", "0B").code == 2
