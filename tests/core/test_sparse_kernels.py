"""Kernels of sparse weights beside the reference, for every instruction set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.gemm_cases import ISAS, filled, products
from core.rows import Array, Layer, close, packed, spec

from graphc import _core
from graphc.errors import GraphError
from graphc.ops.convolution import Convolution, ConvolutionAttrs
from graphc.ops.inner_product import InnerProduct, InnerProductAttrs

ZEROS = (0.0, 0.5, 0.9, 1.0)
CONV_MODES = ("DIRECT_SCONV", "LOWERED_CCNMM")
GEMM_MODES = ("SPMDM", "PANELS")


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GRAPHC_ISA", request.param)
    return str(request.param)


def conv(shape: tuple[int, ...], out: int, kernel: int, mode: str = "", **more: Any) -> Layer:
    told = {k: (v,) if k in ("pad", "stride", "dilation") else v for k, v in more.items()}
    attrs = ConvolutionAttrs(
        num_output=out, kernel_size=(kernel,), conv_mode=mode or "DIRECT_SCONV", **told
    )
    return Layer.of(Convolution, attrs, shape)


SHAPES: dict[str, Any] = {
    "3x3": ((1, 16, 13, 13), 24, 3, {"pad": 1}),
    "groups": ((2, 6, 9, 11), 9, 3, {"group": 3}),
    "small images": ((3, 8, 7, 7), 24, 3, {"pad": 1}),
    "many small images": ((21, 5, 3, 3), 7, 3, {"pad": 1}),
    "1x1": ((1, 8, 20, 21), 12, 1, {}),
    "1x1, whole lines": ((2, 8, 16, 16), 12, 1, {}),
    "1x1, stride": ((2, 8, 20, 21), 12, 1, {"stride": 2}),
    "5x5, stride": ((2, 4, 33, 41), 12, 5, {"stride": 2, "pad": 2}),
    "dilation": ((1, 4, 13, 11), 12, 3, {"stride": 2, "pad": 3, "dilation": 2}),
    "mostly padding": ((1, 4, 3, 2), 12, 3, {"pad": 9}),
    "long rows": ((2, 3, 61, 70), 5, 3, {"pad": 1}),
    "long stride": ((2, 3, 15, 17), 5, 3, {"pad": 1, "stride": 4}),
    "many channels": ((1, 70, 6, 40), 9, 3, {"pad": 1}),
    "no bias": ((1, 4, 9, 9), 8, 3, {"bias_term": False}),
    "no images": ((0, 4, 9, 9), 8, 3, {}),
}


def sparse(values: dict[str, Array], zeros: float) -> dict[str, Array]:
    """The values with that share of the weight zero, whole filters and columns among them."""
    rng = np.random.default_rng(3)
    weight = values["weight"]
    weight[rng.random(weight.shape) < zeros] = 0
    weight[rng.random(len(weight)) < zeros / 3] = 0
    weight[:, rng.random(weight.shape[1]) < zeros / 3] = 0
    return values


def multiply(
    layer: Layer,
    values: dict[str, Array],
    threads: int = 1,
    residual: Array | None = None,
    stored: int | None = None,
    **epilogue: Any,
) -> Array:
    """y by the layer's sparse kernel, which has room for `stored` weights (None: as many as there
    are)."""
    (part,) = layer.op.forwards(layer.attrs, layer.sig)
    (row,) = layer.usable(part)
    assert row.stores is not None
    weight = values["weight"]
    attrs = {**row.attrs(layer.attrs, layer.sig), **epilogue}
    attrs["stored"] = max(1, row.stores(layer.attrs, weight)) if stored is None else stored
    (top,) = layer.sig.tops
    y = np.full(layer.sig.outs[top].shape, np.nan, np.float32)
    data = next(values[role] for role in layer.sig.ins)
    reads = [data, np.zeros(0, np.float32)]
    reads += [values["bias"]] if "bias" in values else []
    if residual is not None:
        attrs["residual"] = True
        reads.append(residual)
    size = _core.make_kernel(row.symbol, [spec(r) for r in reads], [spec(y)], attrs, threads).packed
    reads[1] = packed(row.packs[0].symbol, weight, size, attrs, threads)
    kernel = _core.make_kernel(row.symbol, [spec(r) for r in reads], [spec(y)], attrs, threads)
    kernel.run(reads, [y], threads)
    return y


def check(layer: Layer, values: dict[str, Array], what: str) -> None:
    wanted = reference(layer, values)
    for stored in (None, 0):
        made = multiply(layer, values, stored=stored)
        close(made, wanted, what, products(layer))
    again = multiply(layer, values, threads=3)
    assert again.tobytes() == multiply(layer, values).tobytes(), what


def reference(layer: Layer, values: dict[str, Array]) -> Array:
    (top,) = layer.sig.tops
    part = layer.op.forwards(layer.attrs, layer.sig)[0]
    return layer._reference(part, values, 0, 0)[top]


@pytest.mark.parametrize("mode", CONV_MODES)
@pytest.mark.parametrize("name", SHAPES)
def test_convolutions(name: str, mode: str, isa: str) -> None:
    shape, out, kernel, more = SHAPES[name]
    layer = conv(shape, out, kernel, mode, **more)
    for zeros in ZEROS:
        check(layer, sparse(filled(layer), zeros), f"{name}, {zeros:.0%} zeros")


@pytest.mark.parametrize("seed", range(40))
def test_random_convolutions(seed: int, isa: str) -> None:
    """All modes compute the same, whatever kernel, stride, padding, dilation, groups and zeros."""
    rng = np.random.default_rng(seed)
    kernel, group = int(rng.choice([1, 3, 5, 7])), int(rng.integers(1, 3))
    more = {"stride": int(rng.integers(1, 4)), "pad": int(rng.integers(0, 4))}
    more |= {"dilation": int(rng.integers(1, 3)), "group": group}
    least = more["dilation"] * (kernel - 1) + 1
    high, wide = (max(1, least - 2 * more["pad"]) + int(n) for n in rng.integers(0, 30, 2))
    shape = int(rng.integers(1, 6)), group * int(rng.integers(1, 9)), high, wide
    zeros = float(rng.choice([0, 0.5, 0.9, 1]))
    outputs = group * int(rng.integers(1, 20))
    made = []
    for mode in CONV_MODES:
        layer = conv(shape, outputs, kernel, mode, **more)
        values = sparse(filled(layer, seed), zeros)
        made.append(multiply(layer, values))
        close(made[-1], reference(layer, values), f"{mode} {shape} {more}", products(layer))
    close(made[1], made[0], "the other mode", 100)


@pytest.mark.parametrize("mode", GEMM_MODES)
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("shape", [(1, 300), (4, 37), (7, 3, 4, 5), (33, 65), (500, 9), (0, 5)])
def test_inner_products(shape: tuple[int, ...], transpose: bool, mode: str, isa: str) -> None:
    attrs = InnerProductAttrs(num_output=37, transpose=transpose, gemm_mode=mode)
    layer = Layer.of(InnerProduct, attrs, shape)
    for zeros in ZEROS:
        check(layer, sparse(filled(layer), zeros), f"{shape}, {zeros:.0%} zeros")


@pytest.mark.parametrize("slope", [None, 0.0, 0.1])
@pytest.mark.parametrize("mode", CONV_MODES + GEMM_MODES)
def test_epilogues(mode: str, slope: float | None, isa: str) -> None:
    if mode in CONV_MODES:
        layer = conv((2, 8, 9, 20), 20, 3, mode, pad=1)
    else:
        layer = Layer.of(InnerProduct, InnerProductAttrs(num_output=37, gemm_mode=mode), (9, 50))
    values = sparse(filled(layer), 0.7)
    wanted = reference(layer, values)
    residual = np.random.default_rng(1).standard_normal(wanted.shape).astype(np.float32)
    summed = wanted + residual
    told: dict[str, Any] = {} if slope is None else {"relu": True, "slope": slope}
    if slope is not None:
        summed = np.where(summed > 0, summed, slope * summed)
    close(multiply(layer, values, residual=residual, **told), summed, mode, products(layer))


@pytest.mark.parametrize("mode", CONV_MODES + GEMM_MODES)
def test_weights_that_do_not_fit_are_a_fault(mode: str) -> None:
    if mode in CONV_MODES:
        layer = conv((1, 8, 9, 9), 20, 3, mode)
    else:
        layer = Layer.of(InnerProduct, InnerProductAttrs(num_output=37, gemm_mode=mode), (1, 50))
    with pytest.raises(GraphError, match="room for") as caught:
        multiply(layer, filled(layer), stored=17)
    assert caught.value.code == "GC-W004"


def test_what_is_not_finite_does_not_spread_by_zeros() -> None:
    layer = conv((1, 2, 5, 5), 3, 3, pad=1)
    values = filled(layer)
    values["weight"][:, 1] = 0
    values["x0"][:, 1] = np.inf
    assert np.isfinite(multiply(layer, values)).all()
