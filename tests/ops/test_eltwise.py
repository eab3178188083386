"""Eltwise: draws of the maximum, coefficients, products; and layers that expand into it."""

from __future__ import annotations

import numpy as np
import pytest
from ops.small import Call, refusal

from graphc.check.case import signature
from graphc.ops.axpy import Axpy
from graphc.ops.clip import Clip
from graphc.ops.eltwise import Eltwise, EltwiseAttrs
from graphc.ops.relu import ReLU, ReLUAttrs
from graphc.ops.relu6 import ReLU6
from graphc.ops.spec import F64, Ctx, OpSpec, View

MAX, PROD = EltwiseAttrs(operation="MAX"), EltwiseAttrs(operation="PROD")
UNSTABLE = EltwiseAttrs(operation="PROD", stable_prod_grad=False)
NAN = np.nan


@pytest.mark.parametrize(
    ("values", "top", "winner"),
    [
        ((1, 1), 1, 1),
        ((2, 1), 2, 0),
        ((1, 2, 2), 2, 1),
        ((2, 1, 2), 2, 0),
        ((1, 1, 2, 2), 2, 2),
        ((3, 3, 3, 3), 3, 1),
        ((NAN, 1), 1, 1),
        ((1, NAN), NAN, 1),
        ((NAN, 1, 2), 2, 2),
        ((1, NAN, 5), NAN, 1),
        ((1, 2, NAN), 2, 1),
    ],
)
def test_draws_and_nan_in_a_maximum(values: tuple[float, ...], top: float, winner: int) -> None:
    call = Call(Eltwise, MAX, **{f"x{i}": [v] for i, v in enumerate(values)})
    np.testing.assert_array_equal(call.y, [top])
    gradients = [call.gradient(f"dx{i}", [7]).item() for i in range(len(values))]
    assert gradients == [7 if i == winner else 0 for i in range(len(values))]


def test_a_plain_sum_passes_its_gradient_as_a_view() -> None:
    attrs = EltwiseAttrs(coeff=(1.0, -2.0, 0.0))
    sig = signature(Eltwise, attrs, ((2, 3),) * 3, 1, "TRAIN")
    grads = Eltwise.grads(attrs, sig)
    assert [g.view for g in grads] == [View("dy"), None, None]
    assert [g.reads for g in grads] == [("dy",), ("dy",), ()]
    call = Call(Eltwise, attrs, x0=[1.0], x1=[10.0], x2=[NAN])
    assert call.y.tolist() == [-19]
    assert [call.gradient(f"dx{i}", [2]).tolist() for i in range(3)] == [[2], [-4], [0]]


@pytest.mark.parametrize(
    ("attrs", "reads", "at_zero"),
    [(PROD, ("dy", "x0", "x2"), 6), (UNSTABLE, ("dy", "y", "x1"), NAN)],
)
def test_gradient_of_a_product(attrs: EltwiseAttrs, reads: tuple[str, ...], at_zero: float) -> None:
    call = Call(Eltwise, attrs, x0=[2.0, 2.0], x1=[5.0, 0.0], x2=[3.0, 3.0])
    assert Eltwise.grads(call.attrs, call.sig)[1].reads == reads
    np.testing.assert_array_equal(call.gradient("dx1", [1, 1]), [6, at_zero])


@pytest.mark.parametrize("attrs", [EltwiseAttrs(), PROD, MAX])
def test_a_thousand_bottoms(attrs: EltwiseAttrs) -> None:
    values = {f"x{i}": [1.0 + (i == 700)] for i in range(1100)}
    call = Call(Eltwise, attrs, **values)
    assert call.y.tolist() == [{"SUM": 1101, "PROD": 2, "MAX": 2}[attrs.operation]]
    assert call.gradient("dx700", [3]).tolist() == [3]
    if attrs is MAX:
        assert Eltwise.aux(attrs, call.sig)["mask"].dtype == "i32"


def test_the_winner_s_index_is_a_byte_for_few_bottoms() -> None:
    sig = signature(Eltwise, MAX, ((2, 3),) * 2, 1, "TRAIN")
    assert str(Eltwise.aux(MAX, sig)["mask"]) == "u8[2,3]"
    assert {r for g in Eltwise.grads(MAX, sig) for r in g.reads} == {"dy", "mask"}


def test_what_does_not_fit_is_refused() -> None:
    assert refusal(Eltwise, EltwiseAttrs(), (2, 3)).startswith("GC-N004")
    differ = refusal(Eltwise, EltwiseAttrs(), (2, 3), (2, 4))
    assert differ == "GC-S003: bottoms differ: x0 has shape (2, 3), x1 has (2, 4)"
    three = EltwiseAttrs(coeff=(1.0,) * 3)
    assert refusal(Eltwise, three, (2,), (2,)) == "GC-N008: 3 coeff for 2 bottoms"
    product = EltwiseAttrs(operation="PROD", coeff=(1.0, 2.0))
    assert refusal(Eltwise, product, (2,), (2,)).startswith("GC-N008: coeff is for operation SUM")
    assert refusal(Eltwise, EltwiseAttrs(operation="MIN"), (2,), (2,)).startswith("GC-N008")


def run_expansion(op: type[OpSpec], attrs: object, **ins: F64) -> F64:
    """y by the stock layers that `op` stands for."""
    sig = signature(op, attrs, tuple(x.shape for x in ins.values()), 1, "TEST")
    values = dict(ins)
    for layer in op.expand(attrs, sig) or ():
        shapes = tuple(values[name].shape for name in layer.ins)
        inner = signature(layer.op, layer.attrs, shapes, len(layer.outs), "TEST")
        operands = dict(zip(inner.ins, (values[name] for name in layer.ins), strict=True))
        found = layer.op.reference(layer.attrs, operands, Ctx(inner))
        values |= dict(zip(layer.outs, (found[r] for r in inner.tops), strict=True))
    return values["y"]


def test_axpy_is_a_scaled_sum() -> None:
    rng = np.random.default_rng(0)
    factor, x, offset = (rng.random(s) for s in ((2, 3, 1, 1), (2, 3, 4, 5), (2, 3, 4, 5)))
    found = run_expansion(Axpy, Axpy.Attrs(), factor=factor, x=x, offset=offset)
    assert found == pytest.approx(factor * x + offset)
    shapes = ((2, 3, 4, 1), (2, 3, 4, 5), (2, 3, 4, 5))
    assert refusal(Axpy, Axpy.Attrs(), *shapes).startswith("GC-S003: factor has shape")
    assert refusal(Axpy, Axpy.Attrs(), (2, 3), (2, 3, 4), (2, 3, 5)).startswith("GC-S003: x has")


def test_relu6_is_a_clip() -> None:
    x = np.array([-10.0, 3.0, 9.0])
    assert run_expansion(ReLU6, ReLUAttrs(), x=x).tolist() == [0, 3, 6]
    assert run_expansion(ReLU6, ReLUAttrs(negative_slope=0.5), x=x).tolist() == [-5, 3, 6]
    sig = signature(ReLU6, ReLUAttrs(), ((3,),), 1, "TEST")
    assert [layer.op for layer in ReLU6.expand(ReLUAttrs(), sig)] == [Clip]
    leaky = ReLUAttrs(negative_slope=0.5)
    assert [layer.op for layer in ReLU6.expand(leaky, sig)] == [ReLU, Clip]
