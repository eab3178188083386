"""Products with sparse weights as CUDA kernels, beside those of the same weights held densely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from core.rows import close
from cuda.bench import ORDERS, Bench
from cuda.jobs import SPARSE

from graphc.check.case import signature
from graphc.cuda import Spec, Work, work
from graphc.cuda.on_cpu import unavailable
from graphc.cuda.sparse import compressed, compressed_windows
from graphc.errors import GraphError
from graphc.ops._conv import ConvolutionAttrs
from graphc.ops.convolution import Convolution
from graphc.ops.inner_product import InnerProduct, InnerProductAttrs
from graphc.ops.spec import Ctx

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

CONV, PRODUCT = {"conv_mode": "DIRECT_SCONV"}, {"gemm_mode": "SPMDM"}
USES: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "padded": (
        Convolution,
        ConvolutionAttrs(num_output=6, kernel_size=(3,), pad=(1,), **CONV),
        (2, 5, 13, 11),
    ),
    "groups, strides, dilation": (
        Convolution,
        ConvolutionAttrs(
            num_output=6, kernel_h=3, kernel_w=2, stride=(2, 1), dilation=(2, 1), group=2, **CONV
        ),
        (3, 4, 9, 12),
    ),
    "many entries": (
        Convolution,
        ConvolutionAttrs(num_output=3, kernel_size=(5,), bias_term=False, **CONV),
        (1, 40, 7, 6),
    ),
    "product": (InnerProduct, InnerProductAttrs(num_output=37, **PRODUCT), (11, 5, 30)),
    "transposed": (
        InnerProduct,
        InnerProductAttrs(num_output=9, transpose=True, bias_term=False, **PRODUCT),
        (3, 70),
    ),
    "nothing": (InnerProduct, InnerProductAttrs(num_output=9, **PRODUCT), (0, 7)),
}


class Product:
    """A layer with a third of its weights left, one output without any; its work and operands."""

    def __init__(self, op: Any, attrs: Any, shape: tuple[int, ...]) -> None:
        sig = signature(op, attrs, (shape,), 1, "TEST")
        rng = np.random.default_rng(3)
        types = {**sig.ins, **sig.params}
        values = {r: np.float32(rng.standard_normal(t.shape)) for r, t in types.items()}
        weight = values["weight"]
        weight[rng.random(weight.shape) > 0.3] = 0
        rows = weight.T if getattr(attrs, "transpose", False) else weight
        rows[1] = 0
        exact = {r: v.astype(np.float64) for r, v in values.items()}
        (self.wanted,) = op.reference(attrs, exact, Ctx(sig)).values()
        row = next(k for k in op.kernels if k.symbol.endswith("_sparse") and k.part == "forward")
        told: Any = row.attrs(attrs, sig)
        packed = (
            compressed_windows(rows, told["dilation"]) if weight.ndim == 4 else compressed(rows)
        )
        bias = [values["bias"]] if "bias" in values else []
        self.operands: Sequence[np.ndarray] = [values[next(iter(sig.ins))], *packed, *bias]
        dtypes = ("f32", "i32", "i32", "f32", "f32")
        reads = [Spec(d, a.shape) for d, a in zip(dtypes, self.operands, strict=False)]
        self.work: Work = work(row.symbol, told, reads, [Spec("f32", self.wanted.shape)])


PRODUCTS = {name: Product(*use) for name, use in USES.items()}


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench([product.work for product in PRODUCTS.values()])


@pytest.mark.parametrize("name", PRODUCTS)
def test_sparse_product_equals_reference(bench: Bench, name: str) -> None:
    product = PRODUCTS[name]
    found = []
    for order in ORDERS:
        bench.module.order(order, seed=2)
        y = np.full(product.wanted.shape, np.nan, np.float32)
        bench.run(product.work, [*product.operands, y])
        found.append(y)
    close(found[0], product.wanted, name, products=1000)
    assert all(y.tobytes() == found[0].tobytes() for y in found)


def test_only_images_are_convolved() -> None:
    told = {"axis": 1, "bias": False}
    with pytest.raises(GraphError, match=r"cuda kernel conv_sparse: x of shape \(2, 3, 4\)"):
        work("conv_sparse", told, [Spec("f32", (2, 3, 4))] * 4, [Spec("f32", (2, 3, 4))])


@pytest.mark.parametrize("symbol", sorted(SPARSE))
def test_a_dense_weight_is_none_of_theirs(symbol: str) -> None:
    told = {"axis": 1, "bias": True}
    with pytest.raises(GraphError, match=f"cuda kernel {symbol}: its weight is starts, columns"):
        work(symbol, told, [Spec("f32", (2, 3, 4, 4))] * 3, [Spec("f32", (2, 3, 4, 4))])
