"""graphc plan --train --memory --policy --explain: what is kept, what is computed twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from texts import conv, fc, feed, layer, softmax_loss

import graphc
from graphc.cli.plan_verb import command
from graphc.plan.front import POLICIES
from graphc.plan.within import NEED_HOST

SIGMOIDS = "".join(
    conv("data" if k == 0 else f"s{k - 1}", f"c{k}", 8) + layer("Sigmoid", f"c{k}", f"s{k}")
    for k in range(8)
)


@pytest.fixture
def net(cli, tmp_path: Path) -> Path:
    text = feed(data=(8, 3, 24, 24), label=(8,)) + SIGMOIDS + fc("s7", "y", 5) + softmax_loss("y")
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    return path


def test_the_command_line_explains(cli, net: Path) -> None:
    budget = graphc.plan(net, train=True).peak_bytes * 3 // 4
    told = cli("plan", net, "--train", "--memory", f"{budget}B", "--explain", "--json").json
    assert told["peak_bytes"] <= budget
    assert told["memory"]["fits"]
    found = told["recompute"]
    assert found["policy"] == "ours"
    assert found["replays"] == sum(row["times"] for row in found["replayed"]) > 0
    assert found["replay_us"] == pytest.approx(sum(row["us"] for row in found["replayed"]))
    assert 0 < found["overhead"] < 1
    everything = cli("plan", net, "--train", "--explain", "--json").json["recompute"]
    assert everything["replays"] == 0
    few, all_ = (sum(row["bytes"] for row in each["kept"]) for each in (found, everything))
    assert 0 < few < all_
    done = cli("plan", net, "--train", "--memory", f"{budget}B", "--explain")
    assert f"{found['replays']} replays, policy ours" in done.out
    assert "kept from the forward" in done.out
    assert "replayed in the backward" in done.out


def test_explain_is_of_training(cli, net: Path) -> None:
    done = cli("plan", net, "--explain")
    assert done.code == 2
    assert "--train" in done.err


def test_the_command_line_knows_every_policy() -> None:
    (option,) = (p for p in command.params if p.name == "policy")
    assert list(option.type.choices) == [*POLICIES, *NEED_HOST]
