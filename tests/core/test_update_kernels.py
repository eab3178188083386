"""Kernels of solver rules against their references."""

from __future__ import annotations

import numpy as np
import pytest
from core.rows import Layer, spec

from graphc import _core
from graphc.errors import GraphError
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops.inner_product import InnerProduct
from graphc.ops.spec import Ctx
from graphc.ops.update.rule import with_update
from graphc.ops.update.sgd import SGD, SGDAttrs

ATTRS = SGDAttrs(lr_mult=2.0, decay=0.03, momentum=0.7)


def layer(shape: tuple[int, ...], *summands: tuple[int, ...]) -> Layer:
    ins = {"rate": Type((1,))} | {f"dw{i}": Type(each) for i, each in enumerate(summands)}
    return Layer(SGD, ATTRS, Sig(ins, (), params={"w": Type(shape), "h": Type(shape)}))


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (7, 4099), (0, 2)])
@pytest.mark.parametrize("summands", [1, 3])
def test_sgd(shape: tuple[int, ...], summands: int) -> None:
    rng = np.random.default_rng(5)
    use = layer(shape, *(shape[::-1] for _ in range(summands)))
    values = {
        role: rng.standard_normal(type_.shape).astype(np.float32)
        for role, type_ in (*use.sig.ins.items(), *use.sig.params.items())
    }
    one, wanted = use.run(values)
    two, _ = use.run(values, threads=2)
    assert one.keys() == wanted.keys() == {"new w", "new h"}
    for role, expected in wanted.items():
        bound = 1e-6 * max(1.0, float(np.abs(expected).max(initial=0)))
        assert np.abs(one[role] - expected).max(initial=0) <= bound
        assert (one[role] == two[role]).all()


@pytest.mark.parametrize("outs", [1, 13, 14, 31])
@pytest.mark.parametrize("ins", [1, 16, 37, 1024, 1060])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("batch", [0, 1, 5])
def test_inner_product_with_its_update(batch: int, outs: int, ins: int, transpose: bool) -> None:
    rng = np.random.default_rng([batch, outs, ins])
    shape = (ins, outs) if transpose else (outs, ins)
    draw = {"dy": (batch, outs), "x": (batch, ins), "rate": (1,), "w": shape, "h": shape}
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
    for wrong in (layer((2,)), layer((2,), (3,))):
        values = {r: np.ones(t.shape, np.float32) for r, t in wrong.sig.ins.items()}
        values |= {r: np.ones(t.shape, np.float32) for r, t in wrong.sig.params.items()}
        with pytest.raises(GraphError, match="GC-A001"):
            wrong.run_kernels(values)
