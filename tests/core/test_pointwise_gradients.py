"""Gradients of elementwise layers: kernels "expr" and "expr_sum" on many elements, in blocks, of
special values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.gradient_rows import Backward, check
from core.rows import Layer, channels_last, close, gapped
from core.test_pointwise_kernels import SPANNING, SPECIAL, UNARY

from graphc import _core
from graphc.errors import GraphError
from graphc.ops.bias import Bias
from graphc.ops.dropout import Dropout, DropoutAttrs
from graphc.ops.elementwise import Elementwise
from graphc.ops.eltwise import Eltwise, EltwiseAttrs
from graphc.ops.prelu import PReLU, PReLUAttrs
from graphc.ops.relu import ReLU
from graphc.ops.scalar import Expr, Var
from graphc.ops.scale import Scale, ScaleAttrs
from graphc.ops.spec import OpSpec

SHAPES = [(3, 5, 211), (2, 700, 3), (70001,), (2, 32, 5, 7), (2, 16, 40, 41), (0, 4)]
ELTWISE = [
    EltwiseAttrs(coeff=(0.5, -2.0, 0.0)),
    EltwiseAttrs("PROD"),
    EltwiseAttrs("PROD", stable_prod_grad=False),
    EltwiseAttrs("MAX"),
]


def numbers(layer: Layer, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    roles = {**layer.sig.ins, **layer.sig.params}
    return {role: rng.standard_normal(type_.shape) for role, type_ in roles.items()}


@pytest.mark.parametrize(("op", "attrs"), UNARY, ids=lambda x: getattr(x, "type", None))
def test_of_one_operand(op: type[OpSpec], attrs: Any) -> None:
    for shape in SHAPES:
        layer = Layer.of(op, attrs, shape)
        backward = Backward(layer, {"x": np.abs(numbers(layer)["x"]) + 0.1})
        assert len(check(backward)) == len([p for p in backward.parts if not p.view])
        check(Backward(layer, numbers(layer)))


@pytest.mark.parametrize("attrs", ELTWISE)
def test_of_several_operands(attrs: EltwiseAttrs) -> None:
    for shape in SHAPES:
        layer = Layer.of(Eltwise, attrs, shape, shape, shape)
        for place in (np.array, gapped, channels_last):
            assert check(Backward(layer, numbers(layer)), place=place)


@pytest.mark.parametrize(("op", "attrs"), UNARY, ids=lambda x: getattr(x, "type", None))
def test_special_values(op: type[OpSpec], attrs: Any) -> None:
    x = np.array(SPECIAL * 3 + SPECIAL[::-1], np.float32)
    backward = Backward(Layer.of(op, attrs, x.shape), {"x": x})
    for part in backward.parts:
        for row in backward.rows(part):
            close(backward.run(part, row), backward.wanted(part), f"{op.type} {attrs}")


CHANNELWISE: list[tuple[type[OpSpec], Any]] = [
    (Scale, ScaleAttrs(bias_term=True)),
    (Scale, None),
    (Bias, None),
    (PReLU, None),
    (PReLU, PReLUAttrs(channel_shared=True)),
]
IMAGES = [(3, 32, 9, 11), (2, 16, 150, 131), (1, 64, 1, 1), (4, 37, 5, 3), (40, 16, 3, 3)]


@pytest.mark.parametrize(("op", "attrs"), CHANNELWISE, ids=lambda x: getattr(x, "type", None))
@pytest.mark.parametrize("shape", IMAGES)
def test_sums_per_channel_of_images(op: type[OpSpec], attrs: Any, shape: Any) -> None:
    layer = Layer.of(op, attrs, shape)
    assert check(Backward(layer, numbers(layer)), products=np.prod(shape) // shape[1])


@pytest.mark.parametrize(("op", "attrs", "shapes"), SPANNING)
def test_sums_over_other_axes(op: type[OpSpec], attrs: Any, shapes: Any) -> None:
    layer = Layer.of(op, attrs, *shapes)
    backward = Backward(layer, numbers(layer))
    products = np.prod(shapes[0])
    assert len(check(backward, products=products)) == len([p for p in backward.parts if not p.view])


def test_a_sum_far_beyond_its_terms_keeps_the_digits() -> None:
    layer = Layer.of(Bias, None, (64, 3, 100, 100))
    backward = Backward(layer, numbers(layer))
    backward.values["dy"] = np.abs(backward.values["dy"]) + np.float32(1000)
    check(backward)


@pytest.mark.parametrize("op", [ReLU, Scale, PReLU])
def test_nothing_reads_what_padding_holds(op: type[OpSpec]) -> None:
    """Channels that do not fill their block are for plain rows, or zeros that sums may meet."""
    layer = Layer.of(op, None, (2, 21, 3, 3))
    check(Backward(layer, numbers(layer)))


@pytest.mark.parametrize("ratio", [0.5, 0.3, 0.999])
def test_dropout_draws_what_the_forward_drew(ratio: float) -> None:
    layer = Layer.of(Dropout, DropoutAttrs(ratio), (7, 301), phase="TRAIN")
    backward = Backward(layer, numbers(layer))
    for place in (np.array, gapped):
        check(backward, place=place)
    (part,) = backward.parts
    made = backward.run(part, backward.rows(part)[0])
    forward, _ = layer.run({"x": np.ones((7, 301))}, seed=5, step=2)
    assert np.array_equal(made != 0, forward["y"] != 0)


def test_a_gradient_of_ones_own_is_not_overruled() -> None:
    class Halved(Elementwise):
        @staticmethod
        def forward(a: Any) -> Expr:
            return 2 * Var("x")

        @staticmethod
        def backward(a: Any) -> Expr:
            return 2 * Var("dy")

    class Own(Halved):
        @classmethod
        def vjp(cls, a: Any, part: str, v: Any, ctx: Any) -> Any:
            return v["dy"]

    halved, own = Layer.of(Halved, None, (2, 3)), Layer.of(Own, None, (2, 3))
    assert check(Backward(halved, numbers(halved))) == {"dx"}
    assert check(Backward(own, numbers(own))) == set()


X, ROW = ("f32", (2, 3, 4), None), ("f32", (3,), None)
SUM = {"code": (0, -1, 0), "constants": (), "outer": 2, "kept": 3, "inner": 4}


@pytest.mark.parametrize(
    ("reads", "writes", "told"),
    [
        ([], [ROW], {}),
        ([X], [ROW, ROW], {}),
        ([X], [("f32", (4,), None)], {}),
        ([X, ROW], [ROW], {"code": (9, -1, 0, 1)}),
        ([("f32", (2, 3, 4), (24, 8, 2))], [ROW], {}),
        ([X], [ROW], {"outer": -2}),
        ([X], [ROW], {"layer": 7}),
        ([X], [ROW], {"channels": 3}),
        ([X], [ROW], {"accumulate": True}),
        ([X, X], [ROW], {"accumulate": True}),
        ([X], [ROW], {"code": (0, -2, 0)}),
    ],
)
def test_sums_of_what_does_not_fit_are_refused(reads: Any, writes: Any, told: Any) -> None:
    with pytest.raises(GraphError) as caught:
        _core.make_kernel("expr_sum", reads, writes, {**SUM, **told})
    assert caught.value.code == "GC-A001"


@pytest.mark.parametrize(
    ("reads", "writes", "told"),
    [
        ([X, ROW], [X], {"starts": (-1, -2)}),
        ([("f32", (2, 1, 3, 3, 8), None), ROW], [("f32", (2, 1, 3, 3, 8), None)], {}),
        ([X], [X], {"accumulate": True}),
        ([X, X, ROW], [X], {"accumulate": True}),
        ([X, X], [X, X], {"accumulate": True, "starts": (-1,), "code": (0, -1, 0, 0, -2, 0)}),
    ],
)
def test_operands_of_blocks_and_sums_that_do_not_fit(reads: Any, writes: Any, told: Any) -> None:
    given = {"code": (9, -1, 0, 1), "constants": (), "starts": (-1, -2), **told}
    with pytest.raises(GraphError) as caught:
        _core.make_kernel("expr", reads, writes, given)
    assert caught.value.code == "GC-A001"


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_numbers_per_channel_beside_blocks_are_for_training(phase: str) -> None:
    for op in (Scale, Bias, PReLU):
        layer = Layer.of(op, None, (2, 32, 5, 7), phase=phase)
        (part,) = op.forwards(layer.attrs, layer.sig)
        formats = {row.formats for row in layer.usable(part)}
        assert len(formats) == (2 if phase == "TRAIN" else 1)
