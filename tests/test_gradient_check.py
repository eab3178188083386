"""check_grad: right gradients pass, wrong ones do not, kinks are told from mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import GraphError, check_grad
from graphc.ops.convolution import Convolution
from graphc.ops.inner_product import InnerProduct

NET = """
name: "small"
layer { name: "in" type: "Input" top: "x" top: "label"
        input_param { shape { dim: 4 dim: 3 dim: 6 dim: 6 } shape { dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" }
layer { name: "relu" type: "ReLU" bottom: "bn" top: "bn" }
layer { name: "drop" type: "Dropout" bottom: "bn" top: "drop" }
layer { name: "ip" type: "InnerProduct" bottom: "drop" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
BARE = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 3 dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
"""
KINK = BARE + 'layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }'


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_right_gradients(net: Path, target: str) -> None:
    report = check_grad(net, target=target)
    assert report.ok
    assert (report.name, report.target, report.objective) == ("small", target, "loss")
    assert [b.blob for b in report.blobs] == ["conv/0", "conv/1", "ip/0", "ip/1", "x"]
    assert all(len(b.slopes) == 3 for b in report.blobs)
    assert all(b.norm > 0 for b in report.blobs if b.blob != "conv/1")  # BatchNorm takes it out


@pytest.mark.parametrize("op", [Convolution, InnerProduct])
def test_wrong_gradients(net: Path, op: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    true = op.vjp

    def wrong(a: Any, part: str, v: Any, ctx: Any) -> Any:
        return true(a, part, v, ctx) * (1.01 if part.startswith("dweight") else 1)

    monkeypatch.setattr(op, "vjp", staticmethod(wrong))
    report = check_grad(net, target="reference")
    name = {Convolution: "conv/0", InnerProduct: "ip/0"}[op]
    assert {b.blob: b.verdict for b in report.blobs if b.verdict != "ok"} == {name: "WRONG"}
    assert not report.ok


def test_without_a_loss(tmp_path: Path) -> None:
    path = tmp_path / "bare.prototxt"
    path.write_text(BARE)
    report = check_grad(path)
    assert report.ok
    assert report.objective == "outputs"
    assert {b.blob for b in report.blobs} == {"ip/0", "ip/1", "x"}


def test_kinks_are_no_mistakes(tmp_path: Path) -> None:
    """At 0, ReLU has any slope from 0 to 1: Caffe's is 0."""
    path = tmp_path / "kink.prototxt"
    path.write_text(KINK)
    graph = graphc.load(path)
    graph.params["ip"][0][...] = 0
    report = check_grad(graph, layers=["ip"])
    assert report.ok
    assert {b.verdict for b in report.blobs} == {"at a kink"}


def test_nothing_is_changed(net: Path) -> None:
    graph = graphc.load(net, phase="TRAIN")
    x = np.random.default_rng(0).standard_normal((4, 3, 6, 6)).astype(np.float32)
    feeds = {"x": x, "label": np.zeros(4, np.float32)}
    before = x.copy(), {k: [a.copy() for a in v] for k, v in graph.params.items()}
    one = check_grad(graph, inputs=feeds, layers=["ip"])
    assert (x == before[0]).all()
    assert all(
        (a == b).all()
        for k, v in graph.params.items()
        for a, b in zip(v, before[1][k], strict=True)
    )
    assert one == check_grad(graph, inputs=feeds, layers=["ip"])


def test_refusals(net: Path) -> None:
    with pytest.raises(GraphError, match="GC-R002: no layer 'konv'"):
        check_grad(net, layers=["konv"])
    with pytest.raises(GraphError, match="GC-R004"):
        check_grad(net, directions=0)
