"""BatchNorm and MVN: their statistics, the running state, the parts and what each may see."""

from __future__ import annotations

import numpy as np
import pytest
from ops.small import Call, refusal

from graphc.check.case import signature
from graphc.ir.op import Effect, Kind
from graphc.ops.batch_norm import BatchNorm, BatchNormAttrs
from graphc.ops.mvn import MVN, MVNAttrs

FRESH = {"mean": [0.0], "variance": [0.0], "factor": [0.0]}


def test_training_is_two_pure_parts_and_one_that_writes_state() -> None:
    attrs = BatchNormAttrs()
    sig = signature(BatchNorm, attrs, ((2, 3, 4),), 1, "TRAIN")
    statistics, normalize, update = BatchNorm.forwards(attrs, sig)
    assert (statistics.name, statistics.reads) == ("statistics", ("x",))
    assert normalize.reads == ("x", "batch_mean", "batch_variance")
    assert normalize.over == (("y", "x"),)
    assert update.writes == ("mean", "variance", "factor")
    assert [p.effects for p in (statistics, normalize, update)] == [set(), set(), {Effect.STATE}]
    assert {p.kind for p in BatchNorm.params(attrs, sig)} == {Kind.STATE}


@pytest.mark.parametrize(
    ("phase", "given", "is_global"),
    [
        ("TEST", None, True),
        ("TRAIN", None, False),
        ("TEST", False, False),
        ("TRAIN", True, True),
    ],
)
def test_the_phase_decides_unless_told(phase: str, given: bool | None, is_global: bool) -> None:
    attrs = BatchNormAttrs(use_global_stats=given)
    sig = signature(BatchNorm, attrs, ((2, 3, 4),), 1, phase)
    (grad,) = BatchNorm.grads(attrs, sig)
    assert len(BatchNorm.forwards(attrs, sig)) == (1 if is_global else 3)
    assert grad.reads == (
        ("dy", "variance", "factor") if is_global else ("dy", "y", "batch_variance")
    )
    assert bool(BatchNorm.traits_of(attrs, sig)) == is_global


def test_batch_statistics_and_running_state() -> None:
    state = {"mean": [10.0], "variance": [20.0], "factor": [2.0]}
    attrs = BatchNormAttrs(moving_average_fraction=0.5, eps=0.0)
    call = Call(BatchNorm, attrs, phase="TRAIN", params=state, x=[[1.0], [3.0], [5.0]])
    root = np.sqrt(1.5)
    assert call.y[:, 0] == pytest.approx([-root, 0, root])
    assert call.values["mean"] == pytest.approx([10 * 0.5 + 3])
    assert call.values["variance"] == pytest.approx([20 * 0.5 + 8 / 3 * 3 / 2])
    assert call.values["factor"] == pytest.approx([2])


def test_one_element_per_channel_has_variance_zero_uncorrected() -> None:
    state = {role: np.zeros(2) for role in ("mean", "variance")} | {"factor": [0.0]}
    call = Call(BatchNorm, phase="TRAIN", params=state, x=[[4.0, 5.0]])
    assert call.y.tolist() == [[0, 0]]
    assert call.values["mean"].tolist() == [4, 5]
    assert call.values["variance"].tolist() == [0, 0]
    assert call.gradient("dx", [[1, 2]]).tolist() == [[0, 0]]


def test_an_empty_batch_leaves_the_state_alone() -> None:
    state = {"mean": [1.0], "variance": [2.0], "factor": [3.0]}
    call = Call(BatchNorm, phase="TRAIN", params=state, x=np.zeros((0, 1, 2)))
    assert call.y.shape == (0, 1, 2)
    assert [call.values[r].tolist() for r in state] == [[1], [2], [3]]


def test_global_statistics_are_divided_by_the_factor_and_eps_is_inside_the_root() -> None:
    state = {"mean": [4.0], "variance": [6.0], "factor": [2.0]}
    call = Call(BatchNorm, BatchNormAttrs(eps=1.0), params=state, x=[[6.0]])
    assert call.y == pytest.approx((6 - 2) / 2)
    assert call.gradient("dx", [[3.0]]) == pytest.approx(1.5)
    fresh = Call(BatchNorm, BatchNormAttrs(eps=0.25), params=FRESH, x=[[6.0]])
    assert fresh.y == pytest.approx(12)
    assert fresh.gradient("dx", [[3.0]]) == pytest.approx(6)


def test_one_axis_is_one_channel_and_a_scalar_is_refused() -> None:
    call = Call(BatchNorm, BatchNormAttrs(eps=0.0), phase="TRAIN", params=FRESH, x=[1.0, 3.0])
    assert call.y.tolist() == [-1, 1]
    assert refusal(BatchNorm, BatchNormAttrs(), ()).startswith("GC-S002")


def test_mvn_adds_eps_outside_the_root() -> None:
    call = Call(MVN, MVNAttrs(eps=3.0), x=[[[1.0, 3.0], [0.0, 10.0]]])
    assert call.y == pytest.approx(np.array([[[-1 / 4, 1 / 4], [-5 / 8, 5 / 8]]]))
    assert call.values["deviation"].tolist() == [[4, 8]]


def test_mvn_across_channels_and_mean_only() -> None:
    x = [[[1.0, 3.0], [0.0, 4.0]]]
    across = Call(MVN, MVNAttrs(across_channels=True, normalize_variance=False), x=x)
    assert across.y.tolist() == [[[-1, 1], [-2, 2]]]
    assert across.gradient("dx", x).tolist() == [[[-1, 1], [-2, 2]]]
    assert MVN.ties(across.attrs, across.sig) == ()
    (grad,) = MVN.grads(across.attrs, across.sig)
    assert grad.reads == ("dy",)


def test_a_constant_group_gives_zeros_not_nan() -> None:
    call = Call(MVN, x=np.full((1, 1, 3), 5.0))
    assert call.y.tolist() == [[[0, 0, 0]]]
    assert np.isfinite(call.gradient("dx", [[[1, 2, 3]]])).all()
