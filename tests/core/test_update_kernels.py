"""Kernels of solver rules against their references."""

from __future__ import annotations

import numpy as np
import pytest
from core.rows import Layer

from graphc.errors import GraphError
from graphc.ir.op import Sig
from graphc.ir.types import Type
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


def test_refusals() -> None:
    for wrong in (layer((2,)), layer((2,), (3,))):
        values = {r: np.ones(t.shape, np.float32) for r, t in wrong.sig.ins.items()}
        values |= {r: np.ones(t.shape, np.float32) for r, t in wrong.sig.params.items()}
        with pytest.raises(GraphError, match="GC-A001"):
            wrong.run_kernels(values)
