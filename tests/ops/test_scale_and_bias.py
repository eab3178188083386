"""Scale and Bias: which axes the coefficients lie along, and the form with a second bottom."""

from __future__ import annotations

import numpy as np
import pytest
from ops.small import Call, refusal

from graphc.check.case import signature
from graphc.ir.op import Filler, Trait
from graphc.ops.bias import Bias, BiasAttrs
from graphc.ops.scale import Scale, ScaleAttrs
from graphc.ops.spec import View
from graphc.ops.ties import Tie


@pytest.mark.parametrize(
    ("axis", "num_axes", "shape", "channel"),
    [
        (1, 1, (3,), 0),
        (1, 2, (3, 4), 0),
        (0, -1, (2, 3, 4, 5), 1),
        (2, -1, (4, 5), None),
        (-1, 1, (5,), None),
        (1, 0, (), None),
    ],
)
def test_coefficients_take_the_axes_named(
    axis: int, num_axes: int, shape: tuple[int, ...], channel: int | None
) -> None:
    sig = signature(Scale, ScaleAttrs(), ((2, 3, 4, 5),), 1, "TEST")
    weight, bias = Scale.params(ScaleAttrs(axis, num_axes, bias_term=True), sig)
    (offset,) = Bias.params(BiasAttrs(axis, num_axes), sig)
    assert weight.shape == bias.shape == offset.shape == shape
    assert weight.out_axis == offset.out_axis == channel


def test_fillers_default_to_one_and_zero() -> None:
    sig = signature(Scale, ScaleAttrs(), ((2, 3),), 1, "TEST")
    weight, bias = Scale.params(ScaleAttrs(bias_term=True), sig)
    assert (weight.filler.value, bias.filler.value) == (1.0, 0.0)
    (empty,) = Scale.params(ScaleAttrs(filler=Filler()), sig)
    assert empty.filler.value == 0.0


def test_values_and_gradients() -> None:
    x = np.arange(12.0).reshape(2, 3, 2)
    call = Call(Scale, ScaleAttrs(bias_term=True), x=x, params={"weight": [1, 2, 3], "bias": 1})
    assert call.y[0].tolist() == [[1, 2], [5, 7], [13, 16]]
    dy = np.ones((2, 3, 2))
    assert call.gradient("dx", dy)[1].tolist() == [[1, 1], [2, 2], [3, 3]]
    assert call.gradient("dweight", dy).tolist() == [14, 22, 30]
    assert call.gradient("dbias", dy).tolist() == [4, 4, 4]


def test_the_second_bottom_gets_a_gradient_and_may_be_a_scalar() -> None:
    x = np.arange(6.0).reshape(2, 3)
    scaled = Call(Scale, x=x, factor=2.0)
    assert scaled.y.tolist() == (2 * x).tolist()
    assert scaled.gradient("dfactor", np.ones((2, 3))) == 15
    moved = Call(Bias, BiasAttrs(axis=0), x=x, offset=[10.0, 20.0])
    assert moved.y.tolist() == [[10, 11, 12], [23, 24, 25]]
    assert moved.gradient("doffset", x).tolist() == [3, 12]


def test_with_equal_shapes_gradients_take_dy_s_place() -> None:
    sig = signature(Bias, BiasAttrs(axis=0), ((2, 3), (2, 3)), 1, "TEST")
    assert [g.view for g in Bias.grads(BiasAttrs(axis=0), sig)] == [View("dy"), View("dy")]
    sig = signature(Scale, ScaleAttrs(axis=0), ((2, 3), (2, 3)), 1, "TEST")
    assert [g.over for g in Scale.grads(ScaleAttrs(axis=0), sig)] == ["dy", "dy"]
    (forward,) = Scale.forwards(ScaleAttrs(axis=0), sig)
    assert forward.over == (("y", "x"), ("y", "factor"))


def test_shapes_that_do_not_fit_are_refused() -> None:
    assert refusal(Scale, ScaleAttrs(num_axes=3), (2, 3, 4)).startswith("GC-S002: axis 1")
    assert refusal(Bias, BiasAttrs(axis=3), (2, 3, 4)).startswith("GC-S002: axis 3")
    assert refusal(Scale, ScaleAttrs(num_axes=-2), (2, 3)).startswith("GC-N008: num_axes is -2")
    wrong = refusal(Scale, ScaleAttrs(axis=0), (2, 3, 4), (3, 4))
    assert wrong.startswith("GC-S003: factor has shape (3, 4), but x from axis 0 on has (2, 3)")
    assert refusal(Bias, BiasAttrs(), (2, 3), (3, 1)).startswith("GC-S003: offset has shape")


@pytest.mark.parametrize(
    ("attrs", "shapes", "traits"),
    [
        (ScaleAttrs(), ((3, 3),), {"LINEAR", "ELEMENTWISE", "BATCH_SEPARABLE"}),
        (ScaleAttrs(axis=0), ((3, 3),), {"LINEAR", "ELEMENTWISE"}),
        (ScaleAttrs(), ((3, 3), (3,)), set()),
        (ScaleAttrs(axis=0), ((3, 3), (3,)), {"BATCH_SEPARABLE"}),
        (ScaleAttrs(axis=0), ((3, 3), (3, 3)), {"ELEMENTWISE", "BATCH_SEPARABLE"}),
    ],
)
def test_traits_depend_on_the_use(
    attrs: ScaleAttrs, shapes: tuple[tuple[int, ...], ...], traits: set[str]
) -> None:
    found = Scale.traits_of(attrs, signature(Scale, attrs, shapes, 1, "TEST"))
    assert found == {Trait[name] for name in traits}


def test_coefficients_are_tied_to_their_axes_but_not_to_the_batch() -> None:
    attrs = ScaleAttrs(axis=0, num_axes=2)
    sig = signature(Scale, attrs, ((2, 3, 4),), 1, "TEST")
    ties = Scale.ties(attrs, sig)
    assert ties == (Tie("x.1", "y.1"), Tie("x.2", "y.2"), Tie("x.1", "weight.1"))
