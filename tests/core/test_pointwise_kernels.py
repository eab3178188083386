"""Kernel "expr": every elementwise layer, from its expression, on the C++ core."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.rows import Layer, cased, channels_last, close, compare, gapped, spec

from graphc import _core
from graphc.check.case import Case, cases, draw
from graphc.errors import GraphError
from graphc.ir.op import NoAttrs
from graphc.ops.absval import AbsVal
from graphc.ops.bias import Bias, BiasAttrs
from graphc.ops.bnll import BNLL
from graphc.ops.clip import Clip, ClipAttrs
from graphc.ops.dropout import Dropout, DropoutAttrs
from graphc.ops.elementwise import Elementwise
from graphc.ops.eltwise import Eltwise, EltwiseAttrs
from graphc.ops.elu import ELU
from graphc.ops.exp import Exp, ExpAttrs
from graphc.ops.log import Log, LogAttrs
from graphc.ops.power import Power, PowerAttrs
from graphc.ops.prelu import PReLU
from graphc.ops.relu import ReLU, ReLUAttrs
from graphc.ops.scalar import Expr, Var, equal, where
from graphc.ops.scale import Scale, ScaleAttrs
from graphc.ops.sigmoid import Sigmoid
from graphc.ops.spec import OpSpec
from graphc.ops.swish import Swish
from graphc.ops.tanh import TanH
from graphc.ops.threshold import Threshold, ThresholdAttrs

ELEMENTWISE = [case for case in cases() if issubclass(case.op, Elementwise)]
LARGE = 1e30
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, LARGE, -LARGE, 1.0, -1.0, 50.0, -50.0]

UNARY: list[tuple[type[OpSpec], Any]] = [
    (AbsVal, None),
    (BNLL, None),
    (Clip, ClipAttrs(-0.3, 0.7)),
    (ELU, None),
    (Exp, None),
    (Exp, ExpAttrs(base=2.0, scale=0.5, shift=-0.3)),
    (Log, None),
    (Log, LogAttrs(base=10.0, scale=2.0, shift=0.5)),
    (Power, PowerAttrs(power=2.0, scale=0.5, shift=1.0)),
    (Power, PowerAttrs(power=3.0)),
    (Power, PowerAttrs(power=-0.5)),
    (Power, PowerAttrs(power=0.0)),
    (ReLU, None),
    (ReLU, ReLUAttrs(negative_slope=0.1)),
    (ReLU, ReLUAttrs(negative_slope=-2.0)),
    (Sigmoid, None),
    (Swish, None),
    (TanH, None),
    (Threshold, ThresholdAttrs(threshold=0.25)),
]


@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
def test_samples(case: Case) -> None:
    layer, values = cased(case), draw(case)
    for place in (np.array, gapped, channels_last):
        for over in (False, True):
            compare(layer, values, place=place, over=over, seed=5, step=2)
    compare(layer.without("mask"), values)


@pytest.mark.parametrize(("op", "attrs"), UNARY, ids=lambda x: getattr(x, "type", None))
def test_many_elements(op: type[OpSpec], attrs: Any) -> None:
    rng = np.random.default_rng(0)
    for shape in ((3, 5, 211), (2, 700, 3), (70001,), (4, 3, 9, 1), ()):
        layer = Layer.of(op, attrs, shape)
        values = {"x": 3 * rng.standard_normal(shape)}
        compare(layer, values)
        one = layer.run(values)[0]["y"]
        three = layer.run(values, threads=3)[0]["y"]
        assert np.array_equal(one, three, equal_nan=True)


@pytest.mark.parametrize(("op", "attrs"), UNARY, ids=lambda x: getattr(x, "type", None))
def test_special_values(op: type[OpSpec], attrs: Any) -> None:
    x = np.array(SPECIAL * 3 + SPECIAL[::-1], np.float32)
    made, wanted = Layer.of(op, attrs, x.shape).run({"x": x})
    close(made["y"], wanted["y"])
    with np.errstate(over="ignore", under="ignore"):
        target = wanted["y"].astype(np.float32)
    is_zero = target == 0
    assert np.array_equal(np.signbit(made["y"][is_zero]), np.signbit(target[is_zero]))


@pytest.mark.parametrize("operation", ["SUM", "PROD", "MAX"])
def test_special_pairs(operation: str) -> None:
    x0, x1 = (np.array(g, np.float32).reshape(-1) for g in np.meshgrid(SPECIAL, SPECIAL))
    layer = Layer.of(Eltwise, EltwiseAttrs(operation), x0.shape, x0.shape)
    made, wanted = layer.run({"x0": x0, "x1": x1})
    close(made["y"], wanted["y"])
    is_zero = wanted["y"] == 0
    assert np.array_equal(np.signbit(made["y"][is_zero]), np.signbit(wanted["y"][is_zero]))
    if operation == "MAX":
        assert np.array_equal(made["mask"], wanted["mask"])


def test_draws_between_equal_bottoms_go_as_declared() -> None:
    rng = np.random.default_rng(1)
    values = {f"x{i}": rng.integers(0, 3, (50, 40)).astype(float) for i in range(4)}
    layer = Layer.of(Eltwise, EltwiseAttrs("MAX"), *[(50, 40)] * 4)
    for over in (False, True):
        made, wanted = layer.run(values, over=over)
        assert made["mask"].dtype == np.uint8
        assert np.array_equal(made["mask"], wanted["mask"])
        assert np.array_equal(made["y"], wanted["y"])


SPANNING: list[tuple[type[OpSpec], Any, tuple[tuple[int, ...], ...]]] = [
    (Scale, ScaleAttrs(bias_term=True), ((3, 7, 19, 23),)),
    (Scale, ScaleAttrs(bias_term=True), ((2, 40, 3, 3),)),
    (Scale, ScaleAttrs(bias_term=True), ((5, 1100),)),
    (Scale, ScaleAttrs(axis=0, num_axes=2), ((9, 5, 4, 7),)),
    (Scale, ScaleAttrs(axis=-1), ((9, 5, 4, 7),)),
    (Scale, ScaleAttrs(axis=2, num_axes=-1, bias_term=True), ((3, 4, 20, 33),)),
    (Scale, ScaleAttrs(num_axes=0, bias_term=True), ((3, 4, 25, 33),)),
    (Scale, ScaleAttrs(axis=0), ((6, 50, 3, 2), (6, 50))),
    (Scale, ScaleAttrs(), ((6, 50, 3, 2), ())),
    (Bias, BiasAttrs(), ((4, 6, 600),)),
    (Bias, BiasAttrs(axis=0), ((4, 6, 5), (4,))),
    (PReLU, None, ((4, 9, 30, 20),)),
    (PReLU, None, ((700, 9),)),
]


@pytest.mark.parametrize(("op", "attrs", "shapes"), SPANNING)
def test_operands_that_span_some_axes(op: type[OpSpec], attrs: Any, shapes: Any) -> None:
    layer = Layer.of(op, attrs, *shapes)
    rng = np.random.default_rng(2)
    roles = {**layer.sig.ins, **layer.sig.params}
    values = {role: rng.standard_normal(t.shape) for role, t in roles.items()}
    for place in (np.array, gapped, channels_last):
        compare(layer, values, place=place, over=True)
    one, three = (layer.run(values, threads=t)[0]["y"] for t in (1, 3))
    assert np.array_equal(one, three)


def test_any_strides_do() -> None:
    room = np.random.default_rng(3).standard_normal((6, 8, 10, 12)).astype(np.float32)
    for x in (room[::2, 1:7, 3:, ::3], room.transpose(3, 1, 0, 2), room[:, :1, ::5, 2:3]):
        layer = Layer.of(Scale, ScaleAttrs(bias_term=True), x.shape)
        weight, bias = np.linspace(-1, 1, 2 * x.shape[1], dtype=np.float32).reshape(2, -1)
        y = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), np.float32)[..., ::2]
        told = layer.usable(layer.op.forwards(layer.attrs, layer.sig)[0])[0].attrs
        assert told is not None
        kernel = _core.make_kernel(
            "expr",
            [spec(a) for a in (x, weight, bias)],
            [spec(y)],
            told(layer.attrs, layer.sig),
        )
        kernel.run([x, weight, bias], [y])
        across = (1, -1, 1, 1)
        assert np.array_equal(y, x * weight.reshape(across) + bias.reshape(across))
        assert y.base is not None and not y.base[..., 1::2].any()


@pytest.mark.parametrize("ratio", [0.5, 0.3, 0.999])
def test_dropout_draws_the_declared_stream(ratio: float) -> None:
    layer = Layer.of(Dropout, DropoutAttrs(ratio), (7, 301), phase="TRAIN")
    values = {"x": np.random.default_rng(4).standard_normal((7, 301))}
    for step in (0, 3):
        for place in (np.array, gapped):
            made, wanted = layer.run(values, seed=11, step=step, threads=2, place=place)
            assert np.array_equal(made["y"] == 0, wanted["y"] == 0)
            close(made["y"], wanted["y"])
    other = layer.run(values, seed=12)[0]["y"]
    assert not np.array_equal(other == 0, layer.run(values, seed=11)[0]["y"] == 0)


class Hinge(Elementwise):
    """y = max(0, 1 - x); a user's layer, without a type so that it stays out of the registry."""

    @staticmethod
    def forward(a: NoAttrs) -> Expr:
        margin = 1 - Var("x")
        return where(equal(Var("x"), 1), 0, where(margin > 0, margin, 0))


def test_a_layer_with_an_expression_has_a_kernel() -> None:
    compare(Layer.of(Hinge, None, (5, 200)), {"x": np.linspace(-3, 3, 1000).reshape(5, 200)})


def test_a_reference_of_ones_own_is_not_overruled() -> None:
    class Other(Hinge):
        @classmethod
        def reference(cls, a: Any, v: Any, ctx: Any) -> Any:
            return {"y": v["x"]}

    assert Hinge.kernels and not [k for k in Other.kernels if k.symbol == "expr"]


def test_too_large_expressions_stay_on_the_host() -> None:
    xs = [f"x{i}" for i in range(60)]
    layer = Layer.of(Eltwise, EltwiseAttrs(coeff=tuple(1.0 + i for i in range(60))), *[(2, 3)] * 60)
    row = Eltwise.kernels[0]
    assert row.when is not None and not row.when(layer.attrs, layer.sig)
    plain = Layer.of(Eltwise, None, *[(2, 3)] * 60)
    compare(plain, {x: np.ones((2, 3)) for x in xs})


X = ("f32", (2, 3), None)
COPY, ADD, LESS = 0, 9, 17


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ((), "unwritten"),
        ((COPY,), "breaks off"),
        ((COPY, -1), "breaks off"),
        ((99, -1, 0), "breaks off"),
        ((-1, -1, 0), "breaks off"),
        ((COPY, -1, 1), "slot 1"),
        ((COPY, -1, -1), "slot -1"),
        ((COPY, -1, 1 << 40), "slot"),
        ((COPY, 2, 0, COPY, -1, 1), "slot 1"),
        ((COPY, 0, 0), "slot 0"),
        ((COPY, 1 << 40, 0), "slot"),
        ((COPY, -2, 0), "slot -2"),
        ((COPY, -(1 << 62), 0), "slot"),
        ((COPY, -1, 0, COPY, -1, 0), "slot -1"),
        ((ADD, -1, 0), "breaks off"),
        ((LESS, -1, 0, 0, 0), "breaks off"),
        ((COPY, 45, 0, COPY, -1, 45), "slot"),
    ],
)
def test_unsound_programs_are_refused(code: tuple[int, ...], word: str) -> None:
    told = {"code": code, "constants": (), "starts": (-1,)}
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel("expr", [X], [X], told)
    assert caught.value.code == "GC-A001"


@pytest.mark.parametrize(
    ("reads", "writes", "told"),
    [
        ([X], [], {}),
        ([X], [X], {"starts": ()}),
        ([X], [X], {"starts": (1,)}),
        ([X], [X], {"starts": (-7,)}),
        ([X], [X], {"starts": (1 << 40,)}),
        ([("f32", (3, 2), None)], [X], {}),
        ([("i64", (2, 3), None)], [X], {}),
        ([X], [("i64", (2, 3), None)], {}),
        ([X], [X, ("f32", (2,), None)], {}),
        ([X], [X], {"constants": tuple(float(i) for i in range(99))}),
        ([X] * 400, [X], {"starts": (-1,) * 400}),
        ([("f32", (1 << 20, 1 << 20), None)], [("f32", (1 << 20, 1 << 20), None)], {"layer": 1}),
    ],
)
def test_operands_that_do_not_fit_are_refused(reads: Any, writes: Any, told: Any) -> None:
    with pytest.raises(GraphError) as caught:
        _core.make_kernel(
            "expr", reads, writes, {"code": (COPY, -1, 0), "constants": (), "starts": (-1,), **told}
        )
    assert caught.value.code in ("GC-A001", "GC-L001")
