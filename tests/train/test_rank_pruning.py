"""prune_snapshot: training goes on as if ranks that were not used had never been there."""

from __future__ import annotations

import numpy as np
import pytest
from texts import feed, layer

import graphc
from graphc.errors import GraphError
from graphc.front.export import to_prototxt
from graphc.passes.prune_ranks import PruneRanks

SOLVER = (
    'net: "{}" base_lr: 0.05 momentum: 0.9 weight_decay: 0.01 lr_policy: "multistep" gamma: 0.5 '
    'stepvalue: 2 stepvalue: 5 type: "{}"'
)
FILL = 'weight_filler { type: "xavier" }'


def net(group: int) -> str:
    wide = f"num_output: {4 * group} kernel_size: 3 bias_term: false group: {group} {FILL}"
    point = f"num_output: 6 kernel_size: 1 group: {group} {FILL}"
    return (
        feed(data=(6, 4, 5, 5), label=(6,))
        + layer("Convolution", "data", "a_lowrank", f"convolution_param {{ {wide} }}")
        + layer("Convolution", "a_lowrank", "a", f"convolution_param {{ {point} }}", "a_linear")
        + layer("ReLU", "a", "a", name="r")
        + layer("InnerProduct", "a", "y", f"inner_product_param {{ num_output: 3 {FILL} }}")
        + layer("SoftmaxWithLoss", "y label", "loss")
    )


@pytest.fixture
def feeds():
    rng = np.random.default_rng(1)
    return {"data": rng.normal(size=(6, 4, 5, 5)), "label": rng.integers(0, 3, 6)}


def trained(folder, feeds, group=1, rule="SGD"):
    """A solver after 3 steps, in which each group has used 2 of its 4 directions."""
    (folder / "net.prototxt").write_text(net(group))
    (folder / "s.prototxt").write_text(SOLVER.format(folder / "net.prototxt", rule))
    solver = graphc.Solver(folder / "s.prototxt")
    first, second = solver.net.params["a_lowrank"][0], solver.net.params["a_linear"][0]
    rng = np.random.default_rng(2)
    for g in range(group):
        q = np.linalg.qr(rng.normal(size=(4, 4)))[0][:, :2]
        rows = slice(4 * g, 4 * g + 4)
        first[rows] = np.tensordot(q @ q.T, first[rows], 1)
        out = slice(6 // group * g, 6 // group * (g + 1))
        second[out, :, 0, 0] = second[out, :, 0, 0] @ (q @ q.T)
    solver.step(3, feeds)
    solver.snapshot(folder / "whole")
    return solver, folder / "whole_iter_3.solverstate"


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("rule", ["SGD", "Nesterov"])
def test_training_goes_on_without_a_jump(rule, group, feeds, tmp_path):
    whole, state = trained(tmp_path, feeds, group, rule)
    made, files = graphc.prune_snapshot(
        state, tmp_path / "net.prototxt", PruneRanks(error=1e-9), tmp_path / "less"
    )
    assert made.node("a_lowrank").attrs.num_output == 2 * group
    (tmp_path / "less.prototxt").write_text(to_prototxt(made))
    (tmp_path / "t.prototxt").write_text(SOLVER.format(tmp_path / "less.prototxt", rule))
    short = graphc.Solver.resume(files.state, solver=tmp_path / "t.prototxt")
    assert short.iter == 3
    for _ in range(3):
        for solver in (whole, short):
            solver.step(1, feeds)
        assert short.loss == pytest.approx(whole.loss, rel=1e-5)
    for name in ("y", "a_linear"):
        mine, theirs = short.net.params[name][-1], whole.net.params[name][-1]
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_cut(feeds, tmp_path):
    _, state = trained(tmp_path, feeds)
    file, out = tmp_path / "net.prototxt", tmp_path / "less"
    with pytest.raises(GraphError, match="needs all of its rank"):
        graphc.prune_snapshot(state, file, PruneRanks(rank=4), out)
    (tmp_path / "other.prototxt").write_text(net(1).replace("num_output: 3", "num_output: 5"))
    with pytest.raises(GraphError):
        graphc.prune_snapshot(state, tmp_path / "other.prototxt", PruneRanks(rank=2), out)
    _, state = trained(tmp_path, feeds, rule="Adam")
    with pytest.raises(GraphError, match="GC-U001"):
        graphc.prune_snapshot(state, file, PruneRanks(rank=2), out)
    assert not list(tmp_path.glob("less*"))
