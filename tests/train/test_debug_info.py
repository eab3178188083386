"""debug_info: what is told of blobs and gradients, and that nothing changes by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphc
from graphc import Solver
from graphc.train.events import DebugInfo, Event

NET = """
layer { name: "in" type: "Input" top: "x" top: "t"
        input_param { shape { dim: 4 dim: 3 } shape { dim: 4 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.5 lr_policy: "fixed" random_seed: 3 '


@pytest.mark.parametrize("target", ["cpu", "reference"])
@pytest.mark.parametrize("passes", [1, 2])
def test_debug_info(tmp_path: Path, target: str, passes: int) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    fields = f"max_iter: 2 display: 2 snapshot_after_train: false iter_size: {passes}"
    (tmp_path / "solver.prototxt").write_text(SOLVER + fields)
    rng = np.random.default_rng(1)
    feed = {"x": rng.standard_normal((4, 3)), "t": rng.standard_normal((4, 2))}
    plain = Solver(tmp_path / "solver.prototxt", target=target)
    plain.solve(feed=feed)
    told: list[Event] = []
    solver = Solver(tmp_path / "solver.prototxt", target=target, set={"debug_info": True})
    exe = graphc.compile(
        graphc.load(tmp_path / "net.prototxt", phase="TRAIN", seed=3), train=True, keep="all"
    )
    for ours, other in zip(exe.params["ip"], solver.net.params["ip"], strict=True):
        ours[...] = other
    before = [array.copy() for array in solver.net.params["ip"]]
    blobs, slopes = exe.forward(feed), exe.backward()
    solver.solve(told.append, feed=feed)
    assert solver.loss == plain.loss
    infos = [e for e in told if isinstance(e, DebugInfo)]  # of the iteration displayed
    found = {(i.stage, i.layer, i.blob, i.of): i.value for i in infos}
    assert list(found) == [
        ("Forward", "in", "top blob x", "data"),
        ("Forward", "in", "top blob t", "data"),
        ("Forward", "ip", "top blob y", "data"),
        ("Forward", "ip", "param blob 0", "data"),
        ("Forward", "ip", "param blob 1", "data"),
        ("Forward", "relu", "top blob y", "data"),
        ("Forward", "loss", "top blob loss", "data"),
        ("Backward", "loss", "bottom blob y", "diff"),
        ("Backward", "relu", "bottom blob y", "diff"),
        ("Backward", "ip", "param blob 0", "diff"),
        ("Backward", "ip", "param blob 1", "diff"),
        ("Update", "ip", "param blob 0", "data"),
        ("Update", "ip", "param blob 0", "diff"),
        ("Update", "ip", "param blob 1", "data"),
        ("Update", "ip", "param blob 1", "diff"),
    ]

    def mean(array: np.ndarray) -> object:
        return pytest.approx(float(np.abs(array).mean()), rel=1e-4)

    assert found["Forward", "relu", "top blob y", "data"] == mean(blobs["y"])
    assert found["Backward", "ip", "param blob 0", "diff"] == mean(slopes.params["ip"][0])
    step = 0.5 * slopes.params["ip"][1]
    assert found["Update", "ip", "param blob 1", "diff"] == mean(step)
    assert found["Forward", "ip", "param blob 0", "data"] == mean(before[0])
