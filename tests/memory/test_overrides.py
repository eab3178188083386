"""Overrides of layers: what is kept, and what is replayed, whatever the budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory.test_recompute import NET

import graphc
from graphc.errors import GraphError
from graphc.memory import lowered
from graphc.passes.recipe import parse_overrides, parse_recipe
from graphc.plan.explain import explained
from graphc.plan.wish import Wish


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


def replayed(net: Path, wish: Wish) -> set[str]:
    low = lowered(net, train=True, target="model", wish=wish)
    return {row[0] for row in explained(low.program, low.plan).replayed}


def test_kept_and_replayed_layers(net: Path) -> None:
    free = graphc.plan(net, train=True)
    assert replayed(net, Wish(replay=("s2", "s5"))) == {"s2", "s5"}
    assert not replayed(net, Wish(replay=("c2",))), "no gradient reads it"
    budget = free.peak_bytes * 9 // 10
    usual = replayed(net, Wish(budget))
    assert usual
    name = sorted(usual)[0]
    assert name not in replayed(net, Wish(budget, keep=(name,)))
    assert graphc.plan(net, train=True, overrides={name: "keep"}) == free
    plan = graphc.plan(net, train=True, overrides={"s2": "replay"})
    assert [step.instance for step in plan.steps].count(1) == 1


def test_a_name_stands_for_all_below_it(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET.replace('"s2"', '"a/s"').replace('"s5"', '"a/t"'))
    assert replayed(path, Wish(replay=("a",))) == {"a/s", "a/t"}


def test_a_solver_learns_the_same(net: Path) -> None:
    solver = net.parent / "solver.prototxt"
    solver.write_text(f'net: "{net}" base_lr: 0.1 lr_policy: "fixed"')
    how: dict[str, Any] = {"threads": 1, "pin_variants": True}
    free = graphc.Solver(solver, **how)
    forced = graphc.Solver(solver, **how, overrides={"s1": "replay", "s4": "replay"})
    assert sum(step.instance > 0 for step in forced.net.plan.steps) >= 2
    assert free.step(3) == forced.step(3)
    for name, blobs in free.net.params.items():
        assert all(map(np.array_equal, blobs, forced.net.params[name]))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"s22": "replay"}, "no layer 's22'"),
        ({"nothing": "keep"}, "no layer 'nothing'"),
        ({"s2": "drop"}, "is to be 'drop'"),
        ({2: "keep"}, "layer 2"),
    ],
)
def test_refusals(net: Path, overrides: Any, told: str) -> None:
    with pytest.raises(GraphError, match="GC-R002") as error:
        graphc.plan(net, train=True, overrides=overrides)
    assert told in error.value.message


def test_both_at_once(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET.replace('"c2"', '"a/c"'))
    with pytest.raises(GraphError, match="GC-R002: layer 'a/c' is both"):
        graphc.plan(path, train=True, overrides={"a": "keep", "a/c": "replay"})


def test_the_reference_replays_nothing(net: Path) -> None:
    with pytest.raises(GraphError, match="GC-U001"):
        graphc.compile(net, target="reference", train=True, overrides={"s2": "replay"})


def test_recipes() -> None:
    text = '[[pass]]\nname = "remove_dropout"\n\n[[memory]]\nkeep = ["a"]\nreplay = ["b", "c"]\n'
    assert parse_overrides(text) == {"a": "keep", "b": "replay", "c": "replay"}
    assert [each.name for each in parse_recipe(text)] == ["remove_dropout"]
    for wrong, told in (
        ("[[memory]]\nhold = []", "'hold' means nothing"),
        ('[[memory]]\nkeep = "a"', "must be a list of layers"),
        ("[memory]\nkeep = []", "must be a list of tables"),
        ('[[memory]]\nkeep = ["a"]\nreplay = ["a"]', "to be kept and to be replayed"),
        ("[[memori]]", "'memori' means nothing"),
    ):
        with pytest.raises(GraphError, match="GC-T001") as error:
            parse_overrides(wrong)
        assert told in error.value.message
