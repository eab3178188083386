"""Layers made from one expression: what follows from it, and their corners."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ops.small import Call, refusal

from graphc.check.case import signature
from graphc.ir.op import Effect, Trait
from graphc.ops.absval import AbsVal
from graphc.ops.bnll import BNLL
from graphc.ops.clip import Clip, ClipAttrs
from graphc.ops.dropout import Dropout, DropoutAttrs
from graphc.ops.elementwise import Elementwise
from graphc.ops.elu import ELU, ELUAttrs
from graphc.ops.exp import Exp, ExpAttrs
from graphc.ops.log import Log, LogAttrs
from graphc.ops.power import Power, PowerAttrs
from graphc.ops.prelu import PReLU, PReLUAttrs
from graphc.ops.relu import ReLU, ReLUAttrs
from graphc.ops.scalar import Expr, Var
from graphc.ops.sigmoid import Sigmoid
from graphc.ops.spec import OpSpec, View
from graphc.ops.swish import Swish
from graphc.ops.tanh import TanH
from graphc.ops.threshold import Threshold, ThresholdAttrs
from graphc.ops.ties import Tie

INF, NAN = np.inf, np.nan


class Cube(Elementwise):
    """y = x * x * x; without a type, so that it stays out of the registry."""

    @staticmethod
    def forward(a: Any) -> Expr:
        x = Var("x")
        return x * x * x

    @staticmethod
    def backward(a: Any) -> Expr:
        return 3 * Var("dy") * (Var("y") / Var("x"))


def test_everything_follows_from_two_expressions() -> None:
    call = Call(Cube, x=[[1.0, 2.0], [3.0, -1.0]])
    assert call.y.tolist() == [[1, 8], [27, -1]]
    assert call.gradient("dx", np.ones((2, 2))).tolist() == [[3, 12], [27, 3]]
    (grad,) = Cube.grads(call.attrs, call.sig)
    (forward,) = Cube.forwards(call.attrs, call.sig)
    assert (grad.reads, grad.over, grad.view) == (("dy", "y", "x"), "dy", None)
    assert forward.over == (("y", "x"),)
    assert Cube.ties(call.attrs, call.sig) == (Tie("x.1", "y.1"),)
    assert Cube.traits_of(call.attrs, call.sig) == {Trait.ELEMENTWISE, Trait.BATCH_SEPARABLE}


@pytest.mark.parametrize(
    ("op", "attrs", "reads"),
    [
        (ReLU, ReLUAttrs(), ("dy", "y")),
        (ReLU, ReLUAttrs(negative_slope=0.1), ("dy", "y")),
        (ReLU, ReLUAttrs(negative_slope=-0.1), ("dy", "x")),
        (ELU, ELUAttrs(), ("dy", "y")),
        (ELU, ELUAttrs(alpha=-1.0), ("dy", "x")),
        (Sigmoid, None, ("dy", "y")),
        (TanH, None, ("dy", "y")),
        (Exp, ExpAttrs(base=2.0), ("dy", "y")),
        (Log, None, ("dy", "x")),
        (AbsVal, None, ("dy", "x")),
        (BNLL, None, ("dy", "x")),
        (Swish, None, ("dy", "x")),
        (Clip, ClipAttrs(0.0, 6.0), ("dy", "x")),
        (Power, PowerAttrs(power=2.0), ("dy", "x")),
        (Power, PowerAttrs(scale=3.0), ("dy",)),
        (Power, PowerAttrs(power=0.0), ()),
        (Dropout, None, ("dy",)),
        (PReLU, None, ("dy", "slope", "x")),
    ],
)
def test_the_gradient_reads_no_more_than_it_must(
    op: type[OpSpec], attrs: Any, reads: tuple[str, ...]
) -> None:
    attrs = op.Attrs() if attrs is None else attrs
    sig = signature(op, attrs, ((2, 3),), 1, "TRAIN")
    grad = op.grads(attrs, sig)[0]
    assert sorted(grad.reads) == sorted(reads)
    assert grad.over == ("dy" if reads else None)


def test_an_identity_is_a_view_both_ways() -> None:
    for op, attrs in ((Power, PowerAttrs()), (Dropout, DropoutAttrs())):
        sig = signature(op, attrs, ((2, 3),), 1, "TEST")
        (grad,) = op.grads(attrs, sig)
        assert op.views(attrs, sig) == {"y": View("x")}
        assert grad.view == View("dy")


def test_relu_at_zero_nan_and_infinity() -> None:
    plain = Call(ReLU, x=[-1.0, 0.0, 2.0, NAN, INF, -INF])
    np.testing.assert_array_equal(plain.y, [0, 0, 2, NAN, INF, 0])
    assert plain.gradient("dx", np.ones(6)).tolist() == [0, 0, 1, 0, 1, 0]
    leaky = Call(ReLU, ReLUAttrs(negative_slope=0.5), x=[-1.0, 0.0, 2.0, NAN, -INF])
    np.testing.assert_array_equal(leaky.y, [-0.5, 0, 2, NAN, -INF])
    assert leaky.gradient("dx", np.ones(5)).tolist() == [0.5, 0.5, 1, 0.5, 0.5]


def test_absval_has_no_slope_at_zero() -> None:
    assert Call(AbsVal, x=[-2.0, 0.0, 3.0]).gradient("dx", [5, 5, 5]).tolist() == [-5, 0, 5]


def test_bnll_neither_overflows_nor_loses_its_slope() -> None:
    call = Call(BNLL, x=[1000.0, -1000.0])
    assert call.y.tolist() == [1000, 0]
    assert call.gradient("dx", np.ones(2)) == pytest.approx([1, 0])


def test_clip() -> None:
    call = Call(Clip, ClipAttrs(-1.0, 2.0), x=[-5.0, -1.0, 0.0, 2.0, 5.0, NAN])
    assert call.y.tolist() == [-1, -1, 0, 2, 2, -1]
    assert call.gradient("dx", np.ones(6)).tolist() == [0, 1, 1, 1, 0, 0]
    assert "clip_param.max is required" in refusal(Clip, ClipAttrs(min=0.0), (2, 3))


@pytest.mark.parametrize("base", [0.0, -2.0, INF, NAN])
def test_bases_without_a_logarithm_are_refused(base: float) -> None:
    assert refusal(Exp, ExpAttrs(base=base), (2,)).startswith("GC-N008: base is")
    assert refusal(Log, LogAttrs(base=base), (2,)).startswith("GC-N008: base is")


def test_exp_and_log_to_a_base() -> None:
    assert "base is 1" in refusal(Log, LogAttrs(base=1.0), (2,))
    assert Call(Exp, ExpAttrs(2.0, 3.0, 1.0), x=[1.0]).y == pytest.approx([16])
    assert Call(Log, LogAttrs(2.0, 3.0, 1.0), x=[5.0]).y == pytest.approx([4])


@pytest.mark.parametrize(
    ("attrs", "value"),
    [
        (PowerAttrs(power=0.0, scale=2.0), 1.0),
        (PowerAttrs(power=3.0, scale=0.0, shift=2.0), 8.0),
        (PowerAttrs(power=-1.0, scale=0.0), INF),
        (PowerAttrs(power=0.5, scale=0.0, shift=-1.0), NAN),
        (PowerAttrs(power=1e30, scale=0.0, shift=2.0), INF),
    ],
)
def test_a_power_without_x_is_constant_even_at_nan(attrs: PowerAttrs, value: float) -> None:
    call = Call(Power, attrs, x=[1.0, NAN])
    np.testing.assert_array_equal(call.y, [value, value])
    assert call.gradient("dx", [NAN, 1]).tolist() == [0, 0]


def test_gradient_of_a_whole_power_is_finite_at_its_root() -> None:
    assert Call(Power, PowerAttrs(power=3.0), x=[0.0]).gradient("dx", [1]).tolist() == [0]


def half(shape: tuple[int, ...], tag: int) -> np.ndarray:
    return np.linspace(0, 1, int(np.prod(shape)), endpoint=False).reshape(shape)


def test_dropout_keeps_the_upper_part_of_the_draws_and_repeats_them() -> None:
    call = Call(Dropout, DropoutAttrs(0.25), phase="TRAIN", draw=half, x=np.ones(8))
    assert call.y == pytest.approx([0, 0, *[4 / 3] * 6])
    assert call.gradient("dx", np.full(8, 3.0)) == pytest.approx([0, 0, *[4] * 6])
    (train,) = Dropout.forwards(call.attrs, call.sig)
    (test,) = Dropout.forwards(call.attrs, signature(Dropout, call.attrs, ((8,),), 1, "TEST"))
    assert (train.effects, test.effects) == ({Effect.RNG}, set())


@pytest.mark.parametrize("ratio", [-0.1, 1.0, NAN])
def test_a_dropout_ratio_out_of_range_is_refused(ratio: float) -> None:
    assert refusal(Dropout, DropoutAttrs(ratio), (2, 3)).startswith("GC-N008: dropout_ratio")


def test_prelu_learns_one_slope_per_channel_or_one_in_all() -> None:
    x, dy = [[-1.0, 2.0], [-3.0, -4.0]], [[1.0, 10.0], [100.0, 1000.0]]
    call = Call(PReLU, x=x, params={"slope": [0.5, -1.0]})
    assert call.y.tolist() == [[-0.5, 2], [-1.5, 4]]
    assert call.gradient("dx", dy).tolist() == [[0.5, 10], [50, -1000]]
    assert call.gradient("dslope", dy).tolist() == [-301, -4000]
    shared = Call(PReLU, PReLUAttrs(channel_shared=True), x=x, params={"slope": 0.5})
    assert shared.gradient("dslope", dy).shape == ()
    assert shared.gradient("dslope", dy) == -4301
    (param,) = PReLU.params(PReLUAttrs(), call.sig)
    assert (param.shape, param.filler.value) == ((2,), 0.25)
    assert refusal(PReLU, PReLUAttrs(), (4,)).startswith("GC-S002")


def test_threshold_is_strict_and_has_no_gradient() -> None:
    call = Call(Threshold, ThresholdAttrs(1.0), x=[0.0, 1.0, 1.5])
    assert call.y.tolist() == [0, 0, 1]
    assert Threshold.grads(call.attrs, call.sig) == ()
