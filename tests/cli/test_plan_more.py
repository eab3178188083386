"""graphc plan --train --sweep, --max-overhead, --override, --recipe, --micro-batch, --mbs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cli.test_plan_recompute import net as net  # a fixture
from texts import layer

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


def test_groups_that_run(cli, net: Path) -> None:
    """In run, compile and train as in plan; an artefact has its groups."""
    body = (
        'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 8 dim: 4 dim: 8 '
        'dim: 8 } } } layer { name: "t" type: "TanH" bottom: "data" top: "t" } '
        'layer { name: "y" type: "AbsVal" bottom: "t" top: "y" }'
    )
    Path("chain.prototxt").write_text(body)
    whole = cli("plan", "chain.prototxt", "--json").json
    parts = cli("plan", "chain.prototxt", "--mbs", "6kB", "--json").json
    assert [group["turns"] for group in parts["mbs"]["groups"]] == [8]
    assert parts["mbs"]["after_bytes"] == 2 * 8 * 1024 < parts["mbs"]["before_bytes"]
    assert parts["peak_bytes"] <= whole["peak_bytes"]
    done = cli("compile", "chain.prototxt", "--mbs", "6kB", "-o", "chain.gcz")
    assert done.code == 0, done.err
    x = np.random.default_rng(0).standard_normal((8, 4, 8, 8)).astype(np.float32)
    np.save("x.npy", x)
    for words in (("chain.gcz",), ("chain.prototxt", "--mbs", "6kB"), ("chain.prototxt",)):
        done = cli("run", *words, "--input", "x.npy", "-o", "out.npz", "--json")
        assert done.code == 0, done.err
        np.testing.assert_allclose(np.load("out.npz")["y"], np.abs(np.tanh(x)), rtol=1e-5)
        moved = done.json["plan"]["moved_bytes"]
        assert (moved == 2 * x.nbytes) == (words != ("chain.prototxt",))
    assert cli("run", "chain.gcz", "--mbs", "6kB", "--input", "x.npy").code == 2
    noise = 'data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 }'
    shapes = "shape { dim: 8 dim: 3 dim: 24 dim: 24 } shape { dim: 8 }"
    head = layer("DummyData", "", "data label", f"dummy_data_param {{ {noise} {shapes} }}")
    net.write_text(head + net.read_text().split("\n", 1)[1])
    Path("solver.prototxt").write_text(SOLVER)
    losses = [
        cli("train", "solver.prototxt", *words, "--json").json["loss"]
        for words in ((), ("--mbs", "300kB"))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
