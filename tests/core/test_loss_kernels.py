"""Losses on the C++ core: values, labels that are none, special values, threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from core.rows import Layer, cased, compare

from graphc.check.case import Case, cases, draw
from graphc.errors import GraphError
from graphc.ops._loss import LossParam
from graphc.ops.accuracy import Accuracy, AccuracyAttrs
from graphc.ops.contrastive_loss import ContrastiveLoss, ContrastiveLossAttrs
from graphc.ops.euclidean_loss import EuclideanLoss
from graphc.ops.hinge_loss import HingeLoss, HingeLossAttrs
from graphc.ops.infogain_loss import InfogainLoss, InfogainLossAttrs
from graphc.ops.multinomial_logistic_loss import MultinomialLogisticLoss
from graphc.ops.sigmoid_cross_entropy_loss import (
    SigmoidCrossEntropyLoss,
    SigmoidCrossEntropyLossAttrs,
)
from graphc.ops.softmax_with_loss import SoftmaxWithLoss, SoftmaxWithLossAttrs
from graphc.ops.spec import OpSpec

LOSSES = (
    ContrastiveLoss,
    EuclideanLoss,
    HingeLoss,
    InfogainLoss,
    MultinomialLogisticLoss,
    SigmoidCrossEntropyLoss,
    SoftmaxWithLoss,
)
INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    "case", [case for case in cases() if case.op in LOSSES], ids=lambda case: case.id
)
def test_samples(case: Case) -> None:
    layer = cased(case)
    compare(layer, draw(case))
    compare(layer.without(*case.op.aux(case.attrs, case.sig)), draw(case))


def _scores(layer: Layer, seed: int = 0, spread: float = 3.0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {role: spread * rng.standard_normal(t.shape) for role, t in layer.sig.ins.items()}


def _same_in_threads(layer: Layer, values: dict[str, Any]) -> None:
    one, three = (layer.run(values, threads=t)[0] for t in (1, 3))
    assert all(np.array_equal(one[role], three[role], equal_nan=True) for role in one)


MODES = [
    LossParam(),
    LossParam(normalization="FULL"),
    LossParam(normalization="NONE"),
    LossParam(normalize=False),
    LossParam(ignore_label=2),
    LossParam(ignore_label=2, normalization="BATCH_SIZE"),
    LossParam(ignore_label=255, normalize=True),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", [SoftmaxWithLoss, InfogainLoss])
def test_labelled_scores(op: type[OpSpec], mode: LossParam) -> None:
    rng = np.random.default_rng(0)
    for shape, axis in (((40, 30), 1), ((3, 9, 20, 17), 1), ((5, 30, 4), 2), ((9, 5, 2), 0)):
        positions = tuple(d for i, d in enumerate(shape) if i != axis)
        classes = shape[axis]
        matrix = ((classes, classes),) if op is InfogainLoss else ()
        layer = Layer.of(op, op.Attrs(axis=axis, loss_param=mode), shape, positions, *matrix)
        values = _scores(layer)
        values["label"] = rng.integers(0, classes, positions).astype(float)
        if mode.ignore_label == 255:
            values["label"] = np.where(rng.random(positions) < 0.3, 255.0, values["label"])
        compare(layer, values)
        compare(layer.without("prob"), values)
        _same_in_threads(layer, values)
        _same_in_threads(layer.without("prob"), values)


def test_all_labels_ignored() -> None:
    for normalization in (None, "VALID", "NONE"):
        attrs = SoftmaxWithLossAttrs(loss_param=LossParam(1, normalization))
        layer = Layer.of(SoftmaxWithLoss, attrs, (4, 3), (4,))
        compare(layer, {"x": np.full((4, 3), NAN), "label": np.ones(4)})


@pytest.mark.parametrize(
    "row", [[NAN, 1, 2], [INF, 1, 2], [-INF] * 3, [200, 0, -200], [1e30, 0, 1]]
)
def test_special_scores(row: list[float]) -> None:
    x = np.array([row, [0.0, 1.0, 2.0]])
    for label in range(3):
        labels = np.array([float(label), 1.0])
        for layer in (
            Layer.of(SoftmaxWithLoss, None, (2, 3), (2,)),
            Layer.of(SoftmaxWithLoss, SoftmaxWithLossAttrs(axis=0), (3, 2), (2,)),
            Layer.of(HingeLoss, None, (2, 3), (2,)),
            Layer.of(MultinomialLogisticLoss, None, (2, 3), (2,)),
        ):
            turned = x.T if layer.sig["x"].shape == (3, 2) else x
            compare(layer, {"x": turned, "label": labels})
            compare(layer.without("prob", "picked"), {"x": turned, "label": labels})


def test_labels_are_cut_to_whole_numbers() -> None:
    values = {"x": np.random.default_rng(1).standard_normal((4, 3)), "label": [0.9, 2.99, -0.5, 1]}
    for op in (SoftmaxWithLoss, HingeLoss, Accuracy):
        compare(Layer.of(op, None, (4, 3), (4,)), values)


Made = Callable[[], Layer]
LABELLED: dict[str, Made] = {
    "softmax": lambda: Layer.of(SoftmaxWithLoss, None, (2, 5, 3), (2, 3)),
    "softmax ignoring": lambda: Layer.of(
        SoftmaxWithLoss, SoftmaxWithLossAttrs(loss_param=LossParam(7)), (2, 5, 3), (2, 1, 3)
    ),
    "infogain": lambda: Layer.of(InfogainLoss, None, (2, 5, 3), (2, 3), (5, 5)),
    "infogain ignoring": lambda: Layer.of(
        InfogainLoss, InfogainLossAttrs(loss_param=LossParam(7)), (2, 5, 3), (2, 3), (5, 5)
    ),
    "accuracy": lambda: Layer.of(Accuracy, None, (2, 5, 3), (2, 3)),
    "accuracy ignoring": lambda: Layer.of(Accuracy, AccuracyAttrs(ignore_label=7), (6, 5), (6,)),
    "hinge": lambda: Layer.of(HingeLoss, None, (6, 5), (6,)),
    "multinomial": lambda: Layer.of(MultinomialLogisticLoss, None, (6, 5), (6, 1)),
}


@pytest.mark.parametrize("bad", [5.0, -1.0, NAN, INF, -INF, 1e10, 16777216.0])
@pytest.mark.parametrize("name", LABELLED)
def test_wrong_labels_are_reported_as_by_the_reference(name: str, bad: float) -> None:
    layer = LABELLED[name]()
    values = _scores(layer)
    label = np.zeros(layer.sig["label"].shape)
    label.reshape(-1)[4:] = bad
    if "ignoring" in name:
        label.reshape(-1)[:2] = 7
    values["label"] = label
    told = []
    for threads in (1, 2):
        with pytest.raises(GraphError) as caught:
            layer.run_kernels(values, threads=threads)
        told.append((caught.value.code, caught.value.message, caught.value.hint))
    with pytest.raises(GraphError) as wanted:
        layer.run_reference(values)
    assert wanted.value.code == "GC-D003"
    assert told == [(wanted.value.code, wanted.value.message, wanted.value.hint)] * 2


def test_long_shapes_fit_the_message() -> None:
    shape = (2, 1, 1, 1, 1, 1, 1, 3)
    layer = Layer.of(SoftmaxWithLoss, None, (2, 5, 1, 1, 1, 1, 1, 3), shape)
    values = {**_scores(layer), "label": np.full(shape, 9.0)}
    with pytest.raises(GraphError, match=r"of shape \(2, 1, 1, 1, 1, 1, 1, 3\) is none of the 5"):
        layer.run_kernels(values)


@pytest.mark.parametrize("mode", [*MODES, LossParam(ignore_label=0)])
def test_sigmoid_cross_entropy(mode: LossParam) -> None:
    rng = np.random.default_rng(2)
    layer = Layer.of(
        SigmoidCrossEntropyLoss, SigmoidCrossEntropyLossAttrs(mode), (9, 4000), (9, 40, 100)
    )
    values = {**_scores(layer), "label": rng.integers(0, 2, (9, 40, 100)).astype(float)}
    values["label"][0, 0, :5] = [2.0, 255.0, 0.25, NAN if mode.ignore_label is None else 2, -0.5]
    compare(layer, values)
    compare(layer.without("prob"), values)
    _same_in_threads(layer, values)


@pytest.mark.parametrize("score", [NAN, INF, -INF, 1e30, -1e30, -0.0])
def test_sigmoid_cross_entropy_of_special_scores(score: float) -> None:
    for label in (0.0, 1.0, 0.5, NAN):
        layer = Layer.of(SigmoidCrossEntropyLoss, None, (2, 3), (2, 3))
        x = np.array([[score, 1.0, 2.0], [0.5, -1.0, 0.0]])
        compare(layer, {"x": x, "label": np.full((2, 3), label)})


def test_euclidean() -> None:
    layer = Layer.of(EuclideanLoss, None, (7, 9000), (7, 90, 100))
    values = _scores(layer)
    compare(layer, values)
    compare(layer.without("diff"), values)
    _same_in_threads(layer, values)
    for special in (NAN, INF, 1e30):
        values["x"][3, 5000] = special
        compare(layer, values)


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_hinge(norm: str) -> None:
    layer = Layer.of(HingeLoss, HingeLossAttrs(norm), (60, 7, 30), (60,))
    values = {**_scores(layer), "label": np.arange(60) * 3.0}
    compare(layer, values)
    _same_in_threads(layer, values)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("margin", [0.0, 5.0, 60.0, NAN])
def test_contrastive(legacy: bool, margin: float) -> None:
    attrs = ContrastiveLossAttrs(margin=margin, legacy_version=legacy)
    layer = Layer.of(ContrastiveLoss, attrs, (50, 700), (50, 700, 1, 1), (50,))
    values = _scores(layer, spread=0.5)
    values["similar"] = np.tile([0.0, 1.0, 0.9, -3.0, NAN], 10)
    compare(layer, values)
    compare(layer.without("diff"), values)
    _same_in_threads(layer, values)
    values["left"][:4, 3] = [NAN, INF, NAN, INF]
    compare(layer, values)


def test_multinomial() -> None:
    rng = np.random.default_rng(3)
    layer = Layer.of(MultinomialLogisticLoss, None, (50, 30), (50,))
    values = {"x": rng.random((50, 30)), "label": rng.integers(0, 30, 50).astype(float)}
    values["x"][:, 4] = 0
    compare(layer, values)
    compare(layer.without("picked"), values)
