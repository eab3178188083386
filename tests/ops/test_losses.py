"""Losses beyond what their samples show: normalization modes, clamps, labels out of range."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ops.calls import Call, inferred, refused

from graphc.errors import GraphError
from graphc.ops._loss import LossParam
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

BY_LABEL = [HingeLoss, InfogainLoss, MultinomialLogisticLoss, SoftmaxWithLoss]


def bottoms(op: type[OpSpec], label: Any) -> tuple[Any, ...]:
    x = np.full((len(label), 3), 1 / 3)
    return (x, label, np.eye(3)) if op is InfogainLoss else (x, label)


@pytest.mark.parametrize("op", BY_LABEL)
@pytest.mark.parametrize("bad", [3, -1, np.nan, np.inf, 1e30])
def test_a_label_out_of_range_is_named(op: type[OpSpec], bad: float) -> None:
    with pytest.raises(GraphError) as caught:
        Call(op, None, *bottoms(op, [0, 2, bad]))
    assert caught.value.code == "GC-D003"
    assert f"label {bad:g} at [2]" in caught.value.message
    assert "3 classes 0 to 2" in caught.value.message


@pytest.mark.parametrize("op", BY_LABEL)
def test_labels_are_truncated(op: type[OpSpec]) -> None:
    whole = Call(op, None, *bottoms(op, [0, 2, 1]))
    broken = Call(op, None, *bottoms(op, [-0.9, 2.9, 1.2]))
    assert broken.out["loss"] == whole.out["loss"]


@pytest.mark.parametrize(
    ("param", "divisor"),
    [
        (LossParam(), 3),
        (LossParam(normalization="VALID"), 3),
        (LossParam(normalization="FULL"), 4),
        (LossParam(normalization="BATCH_SIZE"), 2),
        (LossParam(normalization="NONE"), 1),
        (LossParam(normalize=False), 2),
        (LossParam(normalize=True), 3),
        (LossParam(normalize=False, normalization="FULL"), 4),
    ],
)
@pytest.mark.parametrize("op", [SoftmaxWithLoss, InfogainLoss])
def test_normalization(op: type[OpSpec], param: LossParam, divisor: int) -> None:
    """Two samples of two positions, of which one is ignored; equal scores: log 4 each."""
    ignoring = LossParam(1, param.normalization, param.normalize)
    x, label = np.zeros((2, 4, 2)), [[0, 1], [3, 2]]
    extra = (np.eye(4),) if op is InfogainLoss else ()
    call = Call(op, op.Attrs(loss_param=ignoring), x, label, *extra)
    assert call.out["loss"] == pytest.approx(3 * np.log(4) / divisor)
    dx = call.grad("x", dloss=0.5)
    assert dx[0, :, 0] == pytest.approx((np.full(4, 0.25) - np.eye(4)[0]) * 0.5 / divisor)
    assert not dx[0, :, 1].any()


@pytest.mark.parametrize(
    ("param", "divisor"),
    [
        (LossParam(), 2),
        (LossParam(normalization="VALID"), 5),
        (LossParam(normalize=True), 5),
        (LossParam(normalize=False), 2),
        (LossParam(normalization="FULL"), 6),
        (LossParam(normalization="NONE"), 1),
    ],
)
def test_sigmoid_normalization(param: LossParam, divisor: int) -> None:
    ignoring = LossParam(-1, param.normalization, param.normalize)
    attrs = SigmoidCrossEntropyLossAttrs(ignoring)
    call = Call(SigmoidCrossEntropyLoss, attrs, np.zeros((2, 3)), [[0, 1, -1.5], [0, 1, 0]])
    assert call.out["loss"] == pytest.approx(5 * np.log(2) / divisor)
    expected = [[0.5, -0.5, 0], [0.5, -0.5, 0.5]]
    assert call.grad("x", dloss=1) == pytest.approx(np.array(expected) / divisor)


@pytest.mark.parametrize("op", [SoftmaxWithLoss, InfogainLoss, SigmoidCrossEntropyLoss])
def test_nothing_but_ignored_labels_gives_zero(op: type[OpSpec]) -> None:
    extra = (np.eye(3),) if op is InfogainLoss else ()
    label = np.full((2, 3) if op is SigmoidCrossEntropyLoss else (2,), 7)
    attrs = op.Attrs(loss_param=LossParam(7, "VALID"))
    call = Call(op, attrs, np.full((2, 3), np.nan), label, *extra)
    assert call.out["loss"] == 0
    assert not call.grad("x", dloss=1).any()


def test_ignored_label_may_lie_out_of_range() -> None:
    attrs = SoftmaxWithLossAttrs(loss_param=LossParam(255))
    assert Call(SoftmaxWithLoss, attrs, np.zeros((2, 2)), [255, 1]).out["loss"] == pytest.approx(
        np.log(2)
    )


def test_softmax_loss_of_a_hopeless_score_is_finite() -> None:
    call = Call(SoftmaxWithLoss, None, [[0.0, 1000.0]], [0])
    assert call.out["loss"] == pytest.approx(-np.log(np.finfo(np.float32).tiny))
    assert call.grad("x", dloss=2) == pytest.approx(np.array([[-2.0, 2.0]]))


def test_clamp_of_the_other_logarithms() -> None:
    call = Call(MultinomialLogisticLoss, None, [[0.0, 1.0]], [0])
    assert call.out["loss"] == pytest.approx(-np.log(1e-20))
    assert call.grad("x", dloss=1) == pytest.approx(np.array([[-1e20, 0]]))
    call = Call(InfogainLoss, None, [[0.0, 1000.0]], [0], np.eye(2))
    assert call.out["loss"] == pytest.approx(-np.log(1e-20))


@pytest.mark.parametrize("op", [SoftmaxWithLoss, MultinomialLogisticLoss, EuclideanLoss])
def test_nan_reaches_the_loss(op: type[OpSpec]) -> None:
    target = [[0.0, 0.0]] if op is EuclideanLoss else [0]
    assert np.isnan(Call(op, None, [[np.nan, 1.0]], target).out["loss"])


def test_hinge_takes_nan_for_no_loss() -> None:
    call = Call(HingeLoss, None, [[np.nan, -5.0]], [0])
    assert call.out["loss"] == 0
    assert not call.grad("x", dloss=1).any()


def test_hinge_has_no_slope_at_the_margin() -> None:
    call = Call(HingeLoss, None, [[1.0, -1.0, 0.0]], [0])
    assert call.out["loss"] == 1
    assert call.grad("x", dloss=1).tolist() == [[0, 0, 1]]


def test_probabilities_are_a_top_and_pass_no_gradient() -> None:
    x = np.array([[0.0, 1.0, 2.0]])
    call = Call(SoftmaxWithLoss, None, x, [1], tops=2)
    assert call.out["prob"].sum() == pytest.approx(1)
    assert "prob" not in SoftmaxWithLoss.aux(call.attrs, call.sig)
    reads = {r for g in SoftmaxWithLoss.grads(call.attrs, call.sig) for r in g.reads}
    assert reads == {"dloss", "prob", "label"}


@pytest.mark.parametrize(
    ("legacy", "loss", "slope"),
    # distances 3 and 3, squared 9; margin 4: (4 - 3)^2, or max(0, 4 - 9)
    [(False, (9 + 1) / 4, -(1 / 3.0001) * 3 / 2), (True, 9 / 4, 0)],
)
def test_contrastive_margins(legacy: bool, loss: float, slope: float) -> None:
    attrs = ContrastiveLossAttrs(margin=4, legacy_version=legacy)
    call = Call(ContrastiveLoss, attrs, [[3.0, 0], [0, 3.0]], np.zeros((2, 2)), [1, 0.9])
    assert call.out["loss"] == pytest.approx(loss)
    left = call.grad("left", dloss=1)
    assert left == pytest.approx(np.array([[1.5, 0], [0, slope]]))
    assert call.grad("right", dloss=1) == pytest.approx(-left)


def test_contrastive_of_equal_pairs_is_finite() -> None:
    same = np.ones((1, 2))
    call = Call(ContrastiveLoss, None, same, same, [0])
    assert call.out["loss"] == 0.5
    assert call.grad("left", dloss=1).tolist() == [[0, 0]]


def binaryproto(shape: tuple[int, ...], data: Any) -> bytes:
    """A BlobProto with legacy extents (fields 1 to 4) and packed data (field 5)."""
    head = b"".join(bytes([8 * (i + 1), d]) for i, d in enumerate(shape))
    body = struct.pack(f"<{len(data)}f", *data)
    return head + bytes([0x2A, len(body)]) + body


def test_infogain_matrix_from_a_file(tmp_path: Path) -> None:
    gain = np.array([[1.0, 0.5], [0.25, 2.0]])
    (tmp_path / "H.binaryproto").write_bytes(binaryproto((1, 1, 2, 2), gain.ravel()))
    x, label = np.array([[0.3, -1.0], [2.0, 0.1]]), [1, 0]
    attrs = InfogainLossAttrs(source="H.binaryproto")
    filed = Call(InfogainLoss, attrs, x, label, base=tmp_path)
    given = Call(InfogainLoss, None, x, label, gain)
    assert filed.out["loss"] == given.out["loss"]
    assert np.array_equal(filed.grad("x", dloss=1), given.grad("x", dloss=1))


def test_infogain_matrix_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "H.binaryproto").write_bytes(binaryproto((1, 1, 1, 3), [1, 2, 3]))
    attrs = InfogainLossAttrs(source="H.binaryproto")
    with pytest.raises(GraphError) as caught:
        Call(InfogainLoss, attrs, np.zeros((1, 2)), [0], base=tmp_path)
    assert caught.value.code == "GC-D002"
    with pytest.raises(GraphError) as caught:
        Call(InfogainLoss, InfogainLossAttrs(source="no.bin"), [[0.0]], [0], base=tmp_path)
    assert caught.value.code == "GC-F001"


def test_messages_name_both_shapes() -> None:
    told = refused("GC-S003", SoftmaxWithLoss, None, (2, 4, 3, 2), (2, 5))
    assert "(2, 5) = 10 labels" in told and "needs 12" in told
    told = refused("GC-S003", SoftmaxWithLoss, None, (2, 4, 3), (6,))
    assert "first axes differ" in told
    assert "20 and 19" in refused("GC-S003", EuclideanLoss, None, (2, 4, 5), (2, 19))
    refused("GC-S003", EuclideanLoss, None, (2, 5), (3, 5))
    refused("GC-S002", EuclideanLoss, None, (), ())
    refused("GC-S003", SigmoidCrossEntropyLoss, None, (2, 5), (2, 4))
    refused("GC-S003", HingeLoss, None, (2, 5), (2, 2))
    refused("GC-S002", ContrastiveLoss, None, (2, 3, 2), (2, 3, 2), (2,))
    refused("GC-S003", ContrastiveLoss, None, (2, 3), (2, 3), (3,))
    refused("GC-S003", InfogainLoss, None, (2, 3), (2,), (3, 4))
    refused("GC-S002", InfogainLoss, None, (2, 0), (2,), (0, 0))
    assert "infogain matrix" in refused("GC-N008", InfogainLoss, None, (2, 3), (2,))


def test_hostile_options() -> None:
    refused("GC-S002", SoftmaxWithLoss, SoftmaxWithLossAttrs(axis=2**31 - 1), (2, 3), (2,))
    bad = SoftmaxWithLossAttrs(loss_param=LossParam(normalization="MEAN"))
    assert "'MEAN'" in refused("GC-N008", SoftmaxWithLoss, bad, (2, 3), (2,))
    refused("GC-N008", HingeLoss, HingeLossAttrs(norm="L3"), (2, 3), (2,))
    refused("GC-N004", EuclideanLoss, None, (2, 3))
    refused("GC-N004", SoftmaxWithLoss, None, (2, 3), (2,), tops=3)


def test_softmax_over_the_batch_axis_takes_any_label_shape() -> None:
    attrs = SoftmaxWithLossAttrs(axis=0)
    assert inferred(SoftmaxWithLoss, attrs, (4, 3), (3,)) == {"loss": ()}


def test_live_label_count_is_checked() -> None:
    """A Filter can leave fewer rows than the types say."""
    call = Call(SoftmaxWithLoss, None, np.zeros((4, 3)), [0, 1, 2, 0])
    with pytest.raises(GraphError) as caught:
        call.op.reference(call.attrs, {"x": np.zeros((2, 3)), "label": np.zeros(4)}, _ctx(call))
    assert caught.value.code == "GC-S003"


def _ctx(call: Call) -> Any:
    from graphc.ops.spec import Ctx

    return Ctx(call.sig)
