"""narrow_snapshot: training goes on as if the filters that went had been zero."""

from __future__ import annotations

import json

import numpy as np
import pytest
from texts import feed, layer

import graphc
from graphc.errors import GraphError
from graphc.front.export import to_prototxt

SOLVER = 'net: "{}" base_lr: 0.05 momentum: 0.9 weight_decay: 0.01 lr_policy: "fixed" type: "{}"'
FILL = 'weight_filler { type: "xavier" }'


def conv(x: str, y: str, n: int, kernel: int) -> str:
    told = f"num_output: {n} kernel_size: {kernel} {FILL}"
    return layer("Convolution", x, y, f"convolution_param {{ {told} }}")


NET = (
    feed(data=(6, 2, 5, 5), label=(6,))
    + conv("data", "a", 6, 3)
    + layer("ReLU", "a", "a", name="r")
    + conv("a", "b", 4, 1)
    + layer("InnerProduct", "b", "y", f"inner_product_param {{ num_output: 3 {FILL} }}")
    + layer("SoftmaxWithLoss", "y label", "loss")
)
GONE = {"a": [1, 4]}


@pytest.fixture
def feeds():
    rng = np.random.default_rng(1)
    return {"data": rng.normal(size=(6, 2, 5, 5)), "label": rng.integers(0, 3, 6)}


@pytest.mark.parametrize("rule", ["SGD", "Adam"])
def test_the_next_step_is_the_same(rule, feeds, tmp_path):
    net, gone = tmp_path / "net.prototxt", tmp_path / "gone.json"
    net.write_text(NET)
    gone.write_text(json.dumps(GONE))
    (tmp_path / "s.prototxt").write_text(SOLVER.format(net, rule))
    whole = graphc.Solver(tmp_path / "s.prototxt")
    whole.step(3, feeds)
    for array in whole.net.params["a"]:
        array[GONE["a"]] = 0
    whole.snapshot(tmp_path / "whole")
    files = graphc.narrow_snapshot(tmp_path / "whole_iter_3.solverstate", net, gone,
                                   tmp_path / "less")  # fmt: skip
    less, _ = graphc.optimize(
        graphc.load(net, phase="TRAIN"),
        [graphc.passes.recipe.parse_spec(f"remove_filters:criterion=listed,listed={gone},mode=lossy")],
        measure=False,
    )  # fmt: skip
    (tmp_path / "less.prototxt").write_text(to_prototxt(less))
    (tmp_path / "t.prototxt").write_text(SOLVER.format(tmp_path / "less.prototxt", rule))
    short = graphc.Solver.resume(files.state, solver=tmp_path / "t.prototxt")
    assert short.iter == 3
    for solver in (whole, short):
        solver.step(1, feeds)
    assert short.loss == pytest.approx(whole.loss, rel=1e-6)
    left = [0, 2, 3, 5]
    expected = {
        "a": [array[left] for array in whole.net.params["a"]],
        "b": [whole.net.params["b"][0][:, left], whole.net.params["b"][1]],
        "y": list(whole.net.params["y"]),
    }
    for name, arrays in expected.items():
        for mine, theirs in zip(short.net.params[name], arrays, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)


def test_what_cannot_be_narrowed(feeds, tmp_path):
    net, gone = tmp_path / "net.prototxt", tmp_path / "gone.json"
    net.write_text(NET)
    (tmp_path / "s.prototxt").write_text(SOLVER.format(net, "SGD"))
    solver = graphc.Solver(tmp_path / "s.prototxt")
    solver.step(1, feeds)
    solver.snapshot(tmp_path / "whole")
    state = tmp_path / "whole_iter_1.solverstate"
    for table, told in (
        ({"y": [0]}, "cannot go"),
        ({"a": [7]}, "has filters 0 .. 5"),
        ({"z": [0]}, "no layer 'z'"),
    ):
        gone.write_text(json.dumps(table))
        with pytest.raises(GraphError, match=told):
            graphc.narrow_snapshot(state, net, gone, tmp_path / "less")
    assert not list(tmp_path.glob("less*"))
