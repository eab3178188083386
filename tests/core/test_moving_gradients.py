"""Gradients of layers that move or sum elements, beside the float64 vjp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.gradient_rows import Backward, check
from core.rows import Layer, gapped
from core.test_spatial_kernels import rows_gapped

from graphc import _core
from graphc.errors import GraphError
from graphc.ops.batch_reindex import BatchReindex
from graphc.ops.convolution import ConvolutionAttrs
from graphc.ops.crop import Crop, CropAttrs
from graphc.ops.im2col import Im2col
from graphc.ops.mvn import MVN, MVNAttrs
from graphc.ops.reduction import Reduction, ReductionAttrs
from graphc.ops.silence import Silence
from graphc.ops.slice import Slice, SliceAttrs
from graphc.ops.tile import Tile, TileAttrs

NAN, INF = np.nan, np.inf


def numbers(layer: Layer, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {role: rng.standard_normal(t.shape) for role, t in layer.sig.ins.items()}


@pytest.mark.parametrize("place", [np.array, gapped, rows_gapped])
def test_slice_and_crop(place: Any) -> None:
    for axis in (0, 1, 3):
        layer = Layer.of(Slice, SliceAttrs(axis=axis, slice_point=(2,)), (5, 6, 7, 9), tops=2)
        assert check(Backward(layer, numbers(layer)), place=place) == {"dx"}
    for attrs in (CropAttrs(axis=2, offset=(3, 1)), CropAttrs(axis=1, offset=(2,))):
        layer = Layer.of(Crop, attrs, (2, 16, 19, 23), (2, 5, 9, 11))
        assert check(Backward(layer, numbers(layer)), place=place) == {"dx"}


def test_tile() -> None:
    for axis in (0, 1, 3):
        layer = Layer.of(Tile, TileAttrs(axis=axis, tiles=7), (5, 6, 30, 40))
        assert check(Backward(layer, numbers(layer)), products=7) == {"dx"}


def test_batch_reindex() -> None:
    for shape in ((5, 700), (5, 3, 20, 11), (5,)):
        layer = Layer.of(BatchReindex, None, shape, (9,))
        values = {**numbers(layer), "index": [4, 0, 0, 2, 4, 4, 1, 0.9, -0.5]}
        backward = Backward(layer, values)
        backward.values["dy"][3:4] = NAN
        assert check(backward) == {"dx"}


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": (3,), "stride": (2,), "pad": (1,)},
        {"kernel_size": (5,), "stride": (1,), "pad": (4,), "dilation": (2,)},
        {"kernel_h": 1, "kernel_w": 4, "stride_h": 3, "stride_w": 5},
        {"kernel_size": (1,)},
    ],
)
def test_im2col(options: dict[str, Any]) -> None:
    layer = Layer.of(Im2col, ConvolutionAttrs(**options), (3, 4, 17, 21))
    assert check(Backward(layer, numbers(layer)), products=25) == {"dx"}


@pytest.mark.parametrize("operation", ["SUM", "MEAN", "ASUM", "SUMSQ"])
def test_reduction(operation: str) -> None:
    for axis in (0, 1, -1):
        layer = Layer.of(Reduction, ReductionAttrs(operation, axis, 0.3), (7, 30, 41))
        values = numbers(layer)
        values["x"][:, 3] = 0
        assert check(Backward(layer, values)) == {"dx"}


@pytest.mark.parametrize("variance", [True, False])
@pytest.mark.parametrize("across", [True, False])
def test_mvn(variance: bool, across: bool) -> None:
    for shape in ((3, 5, 30, 21), (40, 3, 7)):
        layer = Layer.of(MVN, MVNAttrs(variance, across), shape)
        backward = Backward(layer, numbers(layer))
        backward.values["dy"] += np.float32(100)
        assert check(backward) == {"dx"}
        backward.values["dy"][1, 2, 3] = INF
        check(backward)


def test_silence() -> None:
    layer = Layer.of(Silence, None, (3, 16, 5, 5), (700,), tops=0)
    assert check(Backward(layer, numbers(layer))) == {"dx0", "dx1"}


X, ROW = ("f32", (4, 6), None), ("f32", (4,), None)


@pytest.mark.parametrize(
    ("symbol", "reads", "write", "told"),
    [
        ("crop_gradient", [X], ("f32", (4, 7), None), {"offset": (0, 2)}),
        ("crop_gradient", [X], ("f32", (4, 7), None), {"offset": (0, -1)}),
        ("crop_gradient", [X], ROW, {"offset": (0,)}),
        ("crop_gradient", [("u8", (4, 6), None)], ("u8", (4, 7), None), {"offset": (0, 0)}),
        ("tile_gradient", [X], ("f32", (4, 4), None), {"axis": 1}),
        ("tile_gradient", [X], ("f32", (2, 3), None), {"axis": 1}),
        ("gather_gradient", [X], X, {}),
        ("gather_gradient", [X, ("f32", (3,), None)], X, {}),
        ("gather_gradient", [X, ROW], ("f32", (4, 7), None), {}),
        ("mvn_gradient", [X], X, {"groups": 4, "variance": True}),
        ("mvn_gradient", [X, X, X], X, {"groups": 4, "variance": True}),
        ("mvn_gradient", [X], X, {"groups": 5, "variance": False}),
    ],
)
def test_what_does_not_fit_is_refused(symbol: str, reads: Any, write: Any, told: Any) -> None:
    with pytest.raises(GraphError) as caught:
        _core.make_kernel(symbol, reads, [write], told)
    assert caught.value.code == "GC-A001"
