"""Gradients of Softmax and of the losses, beside the float64 vjp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.gradient_rows import Backward, check
from core.rows import Layer, spec
from core.test_loss_kernels import MODES

from graphc import _core
from graphc.errors import GraphError
from graphc.ops._loss import LossParam
from graphc.ops.contrastive_loss import ContrastiveLoss, ContrastiveLossAttrs
from graphc.ops.euclidean_loss import EuclideanLoss
from graphc.ops.hinge_loss import HingeLoss, HingeLossAttrs
from graphc.ops.infogain_loss import InfogainLoss
from graphc.ops.multinomial_logistic_loss import MultinomialLogisticLoss
from graphc.ops.sigmoid_cross_entropy_loss import (
    SigmoidCrossEntropyLoss,
    SigmoidCrossEntropyLossAttrs,
)
from graphc.ops.softmax import Softmax, SoftmaxAttrs
from graphc.ops.softmax_with_loss import SoftmaxWithLoss
from graphc.ops.spec import OpSpec

INF, NAN = np.inf, np.nan


def scores(layer: Layer, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {role: 3 * rng.standard_normal(t.shape) for role, t in layer.sig.ins.items()}


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((40, 1000), 1), ((3, 9, 20, 17), 1), ((5, 30, 4), 2), ((9, 5, 2), 0), ((2, 3, 150), -2)],
)
def test_softmax(shape: tuple[int, ...], axis: int) -> None:
    layer = Layer.of(Softmax, SoftmaxAttrs(axis=axis), shape)
    backward = Backward(layer, scores(layer))
    assert check(backward) == {"dx"}
    backward.values["dy"].flat[1::7] = NAN
    check(backward)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", [SoftmaxWithLoss, InfogainLoss])
def test_labelled_scores(op: type[OpSpec], mode: LossParam) -> None:
    rng = np.random.default_rng(0)
    for shape, axis in (((40, 30), 1), ((3, 9, 20, 17), 1), ((5, 30, 4), 2), ((9, 5, 2), 0)):
        positions = tuple(d for i, d in enumerate(shape) if i != axis)
        classes = shape[axis]
        matrix = ((classes, classes),) if op is InfogainLoss else ()
        layer = Layer.of(op, op.Attrs(axis=axis, loss_param=mode), shape, positions, *matrix)
        values = scores(layer)
        values["label"] = rng.integers(0, classes, positions).astype(float)
        if mode.ignore_label == 255:
            values["label"] = np.where(rng.random(positions) < 0.3, 255.0, values["label"])
        assert check(Backward(layer, values)) == {"dx"}


def test_ignored_labels_stop_what_is_not_finite() -> None:
    for op in (SoftmaxWithLoss, InfogainLoss):
        for shape, labels in (((4, 3), (4,)), ((2, 3, 7), (2, 7))):
            matrix = ((3, 3),) if op is InfogainLoss else ()
            layer = Layer.of(op, op.Attrs(loss_param=LossParam(1)), shape, labels, *matrix)
            values = {**scores(layer), "label": np.zeros(labels)}
            values["label"].flat[::2] = 1
            backward = Backward(layer, values)
            backward.values["prob"][...] = NAN
            check(backward)


def test_numbers_against_numbers() -> None:
    rng = np.random.default_rng(0)
    for shape, other in (((30, 700), (30, 7, 100)), ((5,), (5,)), ((3, 5, 2, 2), (3, 20))):
        layer = Layer.of(EuclideanLoss, None, shape, other)
        assert check(Backward(layer, scores(layer))) == {"dx", "dtarget"}
        for mode in (LossParam(), LossParam(normalize=True), LossParam(1, "VALID")):
            attrs = SigmoidCrossEntropyLossAttrs(mode)
            layer = Layer.of(SigmoidCrossEntropyLoss, attrs, shape, other)
            values = {**scores(layer), "label": rng.integers(0, 2, other)}
            assert check(Backward(layer, values)) == {"dx"}


@pytest.mark.parametrize("legacy", [False, True])
def test_contrastive_loss(legacy: bool) -> None:
    layer = Layer.of(
        ContrastiveLoss, ContrastiveLossAttrs(3.0, legacy), (50, 6, 1, 1), (50, 6), (50,)
    )
    values = {**scores(layer), "similar": np.arange(50) % 3}
    values["right"] = values["left"].reshape(50, 6) + 0.4 * values["right"]
    backward = Backward(layer, values)
    backward.values["diff"][1], backward.values["diff"][2, 0], backward.values["diff"][4] = (
        INF,
        NAN,
        0,
    )
    assert check(backward) == {"dleft", "dright"}


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_hinge_loss(norm: str) -> None:
    layer = Layer.of(HingeLoss, HingeLossAttrs(norm=norm), (40, 5, 6), (40,))
    values = {**scores(layer), "label": np.arange(40) % 30}
    values["x"][3, 2], values["x"][4, 1, 1] = NAN, INF
    assert check(Backward(layer, values)) == {"dx"}


def test_multinomial_logistic_loss() -> None:
    layer = Layer.of(MultinomialLogisticLoss, None, (40, 30), (40,))
    prob = np.random.default_rng(0).random((40, 30))
    prob[3] = 0
    assert check(Backward(layer, {"x": prob, "label": np.arange(40) % 30})) == {"dx"}


X, LABEL, ONE = (("f32", shape, None) for shape in ((4, 3), (4,), ()))
TOLD = {"axis": 1, "divisor": 0, "sign": 1, "margin": 1.0, "legacy": False, "squared": False}


@pytest.mark.parametrize("symbol", ["softmax_with_loss", "hinge_loss", "infogain_loss"])
def test_labels_that_are_none(symbol: str) -> None:
    reads = [np.ones(s, np.float32) for s in ((), (4, 3), (4,))]
    reads += [np.ones((3, 3), np.float32)] if symbol == "infogain_loss" else []
    reads[2][2] = 3
    dx = np.zeros((4, 3), np.float32)
    kernel = _core.make_kernel(f"{symbol}_gradient", [spec(a) for a in reads], [spec(dx)], TOLD)
    with pytest.raises(GraphError, match=r"GC-D003.*label 3 at \[2\]"):
        kernel.run(reads, [dx])


@pytest.mark.parametrize(
    ("symbol", "reads", "write"),
    [
        ("softmax", [X], X),
        ("softmax", [X, LABEL], X),
        ("softmax_with_loss", [X, X, LABEL], X),
        ("softmax_with_loss", [ONE, X, X], X),
        ("softmax_with_loss", [ONE, X, LABEL], LABEL),
        ("euclidean_loss", [ONE, ONE], ONE),
        ("euclidean_loss", [ONE, X], LABEL),
        ("sigmoid_cross_entropy_loss", [ONE, X, LABEL], X),
        ("contrastive_loss", [ONE, X, X], X),
        ("hinge_loss", [LABEL, X, LABEL], X),
        ("hinge_loss", [ONE, X, LABEL], LABEL),
        ("multinomial_logistic_loss", [ONE, X, LABEL], X),
        ("infogain_loss", [ONE, X, LABEL, X], X),
    ],
)
def test_what_does_not_fit_is_refused(symbol: str, reads: Any, write: Any) -> None:
    with pytest.raises(GraphError) as caught:
        _core.make_kernel(f"{symbol}_gradient", reads, [write], TOLD)
    assert caught.value.code == "GC-A001"
