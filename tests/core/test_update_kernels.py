"""Kernels of solver rules against their references."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from core.rows import Layer, spec

from graphc import _core
from graphc.errors import GraphError
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops.inner_product import InnerProduct
from graphc.ops.spec import Ctx
from graphc.ops.update.accumulate import Accumulate
from graphc.ops.update.adadelta import AdaDelta, AdaDeltaAttrs
from graphc.ops.update.adagrad import AdaGrad, AdaGradAttrs
from graphc.ops.update.adam import Adam, AdamAttrs, AdamW
from graphc.ops.update.clip_gradients import ClipGradients, ClipGradientsAttrs
from graphc.ops.update.nesterov import Nesterov
from graphc.ops.update.rmsprop import RMSProp, RMSPropAttrs
from graphc.ops.update.rule import UpdateRule, with_update
from graphc.ops.update.sgd import SGD, SGDAttrs

ATTRS = SGDAttrs(lr_mult=2.0, decay=0.03, momentum=0.7)
RULES = {
    SGD: ATTRS,
    Nesterov: ATTRS,
    AdaGrad: AdaGradAttrs(2.0, 0.03),
    RMSProp: RMSPropAttrs(0.5, 0.03, rms_decay=0.9),
    AdaDelta: AdaDeltaAttrs(1.0, 0.03, delta=1e-3, momentum=0.9),
    Adam: AdamAttrs(1.5, 0.03, momentum=0.9),
    AdamW: AdamAttrs(1.5, 0.3, momentum=0.9),
}
Shape = tuple[int, ...]


def layer(
    shape: Shape,
    *summands: Shape,
    rule: type[UpdateRule] = SGD,
    clipped: bool = False,
    summed: bool = False,
    **fields: Any,
) -> Layer:
    slopes = {f"dw{i}": Type(each) for i, each in enumerate(summands)}
    numbers = dict.fromkeys([*rule.step_params, *(["factor"] if clipped else [])], Type(()))
    kept = dict.fromkeys(rule.changed, Type(shape)) | (slopes if summed else {})
    ins = numbers | ({} if summed else slopes)
    return Layer(rule, replace(RULES[rule], **fields), Sig(ins, (), params=kept))


def drawn(use: Layer) -> dict[str, np.ndarray]:
    """Numbers for all operands; those that are means of squares are positive."""
    rng = np.random.default_rng(5)
    values = {
        role: rng.standard_normal(type_.shape).astype(np.float32)
        for role, type_ in (*use.sig.ins.items(), *use.sig.params.items())
    }
    squares = {"v", "h1", "h2"} | ({"h"} if use.op in (AdaGrad, RMSProp) else set())
    return {r: np.asarray(abs(x) if r in squares else x) for r, x in values.items()}


def check(use: Layer, bound: float = 1e-6) -> None:
    values = drawn(use)
    one, wanted = use.run(values)
    two, _ = use.run(values, threads=2)
    over, _ = use.run(values, over=True)
    assert one.keys() == wanted.keys() == {f"new {role}" for role in use.op.changed}
    for role, expected in wanted.items():
        most = bound * max(1.0, float(np.abs(expected).max(initial=0)))
        assert np.abs(one[role] - expected).max(initial=0) <= most
        assert (one[role] == two[role]).all()
        assert (one[role] == over[role]).all()


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (7, 4099), (0, 2)])
@pytest.mark.parametrize("summands", [1, 3])
def test_sgd(shape: Shape, summands: int) -> None:
    check(layer(shape, *(shape[::-1] for _ in range(summands))))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (7, 4099), (0, 2)])
def test_rules(rule: type[UpdateRule], shape: Shape) -> None:
    check(layer(shape, shape, rule=rule), 4e-6)
    check(layer(shape, shape, shape, rule=rule, clipped=True), 4e-6)
    check(layer(shape, shape, rule=rule, summed=True, passes=3), 4e-6)
    check(layer(shape, shape, rule=rule, is_l1=rule.takes_l1), 4e-6)


@pytest.mark.parametrize("number", [0.0, 1.0, 2.0])
def test_sums_over_passes(number: float) -> None:
    sig = Sig({"pass": Type(()), "dw0": Type((9, 2)), "dw1": Type((9, 2))}, ())
    use = Layer(Accumulate, None, replace(sig, params={"sum": Type((9, 2))}))
    values = drawn(use) | {"pass": np.float32(number)}
    values["sum"][0] = np.nan
    got, wanted = use.run(values, over=True)
    assert np.isnan(got["new sum"]).any() == (number > 0)
    assert np.allclose(got["new sum"], wanted["new sum"], atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("longest", [0.0, 3.0, 1e6])
def test_clip(longest: float) -> None:
    shapes = {"dw0": (3, 5), "dw1": (40_000,), "dw2": (), "dw3": (0, 4)}
    ins = {role: Type(shape) for role, shape in shapes.items()}
    kept = {"dw4": Type((17,))}
    sig = Sig(ins, ("factor",), outs={"factor": Type(())}, params=kept)
    use = Layer(ClipGradients, ClipGradientsAttrs(longest), sig)
    values = drawn(use)
    one, wanted = use.run(values)
    two, _ = use.run(values, threads=2)
    norm = np.sqrt(sum(float((x.astype(np.float64) ** 2).sum()) for x in values.values()))
    assert wanted["factor"] == (longest / norm if norm > longest else 1)
    assert one["factor"] == two["factor"] == pytest.approx(float(wanted["factor"]), rel=1e-6)


@pytest.mark.parametrize("outs", [1, 13, 14, 31])
@pytest.mark.parametrize("ins", [1, 16, 37, 1024, 1060])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("batch", [0, 1, 5])
def test_inner_product_with_its_update(batch: int, outs: int, ins: int, transpose: bool) -> None:
    rng = np.random.default_rng([batch, outs, ins])
    shape = (ins, outs) if transpose else (outs, ins)
    draw = {"dy": (batch, outs), "x": (batch, ins), "rate": (), "w": shape, "h": shape}
    values = {r: rng.standard_normal(s).astype(np.float32) for r, s in draw.items()}
    values["x"] = values["x"].reshape(batch, ins, 1)
    exact = {role: array.astype(np.float64) for role, array in values.items()}
    slope = exact["dy"].T @ exact["x"].reshape(batch, ins)
    exact["dw0"] = slope.T if transpose else slope
    wanted = SGD.reference(ATTRS, exact, Ctx(layer(shape, shape).sig, "update"))
    (row,) = [row for row in InnerProduct.kernels if row.part == with_update("dweight", SGD)]
    told = {"axis": 1, "transpose": transpose, **vars(ATTRS)}
    results = []
    for threads in (1, 2):
        reads = [array.copy() for array in values.values()]
        writes = reads[3:]  # where they were read
        specs = [spec(array) for array in reads], [spec(array) for array in writes]
        _core.make_kernel(row.symbol, *specs, told, threads).run(reads, writes, threads)
        results.append([array.copy() for array in writes])
    for role, one, two in zip(("w", "h"), *results, strict=True):
        bound = 1e-6 * max(1, batch) ** 0.5 * max(1.0, float(np.abs(wanted[role]).max(initial=0)))
        assert np.abs(one - wanted[role]).max(initial=0) <= bound
        assert (one == two).all()


def test_refusals() -> None:
    with pytest.raises(GraphError, match="GC-O001"):
        SGD.outputs(ATTRS, layer((2,)).sig)
    for wrong in (layer((2,), (3,)), layer((2,), (2,), (3,), momentum=0.1)):
        values = {r: np.ones(t.shape, np.float32) for r, t in wrong.sig.ins.items()}
        values |= {r: np.ones(t.shape, np.float32) for r, t in wrong.sig.params.items()}
        with pytest.raises(GraphError, match="GC-A001"):
            wrong.run_kernels(values)
