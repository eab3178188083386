"""oneDNN's pooling, LRN and batch normalization of blocked images beside their references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.dnnl_cases import blocked, needs_onednn, plain, room_for, run, told
from core.rows import Layer, close, spec

from graphc import _core
from graphc.errors import GraphError
from graphc.ops.batch_norm import BatchNorm, BatchNormAttrs
from graphc.ops.lrn import LRN, LRNAttrs
from graphc.ops.pooling import Pooling, PoolingAttrs

pytestmark = needs_onednn

WINDOWS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "2x2 by 2": ((2, 17, 22, 26), {"kernel_size": 2, "stride": 2}),
    "2x2 by 2, clipped": ((5, 24, 13, 15), {"kernel_size": 2, "stride": 2}),
    "3x3 by 2, clipped": ((2, 64, 14, 28), {"kernel_size": 3, "stride": 2}),
    "3x3 by 2, floor": ((2, 3, 14, 28), {"kernel_size": 3, "stride": 2, "round_mode": "FLOOR"}),
    "3x3 by 1, padded": ((1, 100, 7, 7), {"kernel_size": 3, "stride": 1, "pad": 1}),
    "3x3 by 2, padded": ((1, 20, 15, 15), {"kernel_size": 3, "stride": 2, "pad": 1}),
    "oblong": (
        (2, 16, 19, 20),
        {"kernel_h": 5, "kernel_w": 2, "stride_h": 1, "stride_w": 2, "pad_h": 2, "pad_w": 0},
    ),
    "gaps between windows": ((1, 8, 14, 14), {"kernel_size": 2, "stride": 4}),
    "1x1": ((2, 30, 7, 9), {"kernel_size": 1}),
    "whole plane": ((2, 1000, 7, 7), {"global_pooling": True}),
    "whole large plane": ((1, 33, 61, 67), {"global_pooling": True}),
}
BOTH: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "padded and clipped": ((2, 20, 14, 14), {"kernel_size": 3, "stride": 2, "pad": 1}),
    "padded along one axis, clipped along the other": (
        (2, 20, 14, 14),
        {"kernel_size": 3, "stride": 2, "pad_h": 0, "pad_w": 1},
    ),
}


def pool(
    layer: Layer, x: np.ndarray, threads: int = 1, gaps: str = "", kind: str = "max"
) -> np.ndarray:
    shape = layer.sig.outs["y"].shape
    y = room_for(shape, gap="y" in gaps)
    run(f"dnnl_{kind}_pool", [blocked(x, gap="x" in gaps)], y, told(layer), threads)
    return plain(y, shape[1])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", [*WINDOWS, *BOTH])
def test_images_of_maxima(name: str, threads: int) -> None:
    shape, options = {**WINDOWS, **BOTH}[name]
    layer = Layer.of(Pooling, PoolingAttrs(**options), shape).without("index")
    rng = np.random.default_rng(0)
    special = np.array([0.0, -0.0, np.nan, -np.inf, np.inf, 1], np.float32)
    for x in (rng.standard_normal(shape).astype(np.float32), rng.choice(special, shape)):
        _, wanted = layer.run({"x": x})
        for gaps in ("", "x", "y", "xy"):
            y = pool(layer, x, threads, gaps)
            assert np.array_equal(y, wanted["y"].astype(np.float32)), gaps


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", WINDOWS)
def test_images_of_means(name: str, threads: int) -> None:
    shape, options = WINDOWS[name]
    layer = Layer.of(Pooling, PoolingAttrs(pool="AVE", **options), shape)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    _, wanted = layer.run({"x": x})
    for gaps in ("", "x", "y", "xy"):
        close(pool(layer, x, threads, gaps, "mean"), wanted["y"], gaps)


@pytest.mark.parametrize("name", BOTH)
def test_divisors_that_onednn_does_not_know_are_refused(name: str) -> None:
    shape, options = BOTH[name]
    layer = Layer.of(Pooling, PoolingAttrs(pool="AVE", **options), shape)
    with pytest.raises(GraphError, match=r"GC-A001.*padded and clipped"):
        pool(layer, np.zeros(shape, np.float32), kind="mean")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("gaps", ["", "x", "y", "xy"])
@pytest.mark.parametrize("shape", [(2, 96, 13, 13), (1, 64, 28, 27), (5, 17, 7, 7), (2, 9, 9, 9)])
def test_images_normalized_across_channels(shape: tuple, gaps: str, threads: int) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) * 3
    for attrs in (LRNAttrs(alpha=1e-4), LRNAttrs(alpha=0.7, k=2.0)):
        layer = Layer.of(LRN, attrs, shape)
        _, wanted = layer.run({"x": x})
        y = room_for(shape, gap="y" in gaps)
        run("dnnl_lrn", [blocked(x, gap="x" in gaps)], y, told(layer), threads)
        close(plain(y, shape[1]), wanted["y"], str(attrs))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("gaps", ["", "x", "y", "xy"])
@pytest.mark.parametrize("shape", [(2, 32, 13, 13), (1, 64, 28, 27), (5, 17, 7, 7), (2, 3, 9, 1)])
def test_images_of_normalized_batches(shape: tuple, gaps: str, threads: int) -> None:
    layer = Layer.of(BatchNorm, BatchNormAttrs(eps=1e-3), shape)
    rng = np.random.default_rng(0)
    types = {**layer.sig.ins, **layer.sig.params}
    values = {role: rng.standard_normal(t.shape).astype(np.float32) for role, t in types.items()}
    values["variance"] = np.abs(values["variance"]) + np.float32(0.1)
    for factor in (1, 2.5, 0):
        values["factor"][...] = factor
        _, wanted = layer.run(values)
        x, *rows = values.values()
        y = room_for(shape, gap="y" in gaps)
        run("dnnl_batch_norm", [blocked(x, gap="x" in gaps), *rows], y, told(layer), threads)
        close(plain(y, shape[1]), wanted["y"], f"factor {factor}")
    image = blocked(x)
    run("dnnl_batch_norm", [image, *rows], image, told(layer), threads)
    close(plain(image, shape[1]), wanted["y"], "over x")


X, Y = spec(room_for((2, 32, 8, 8))), spec(room_for((2, 32, 4, 4)))
ROW, ONE, PLAIN = (("f32", dims, None) for dims in ((32,), (1,), (2, 32, 8, 8)))
HALF = {"kernel": (2, 2), "stride": (2, 2), "pad": (0, 0)}
NORM = {"radius": 2, "shift": 1.0, "share": 0.1, "beta": 0.75}
EPS = {"eps": 1e-5}
HALVED = ("f32", (2, 32, 4, 4), None)


@pytest.mark.parametrize(
    ("symbol", "reads", "y", "attrs"),
    [
        ("dnnl_max_pool", [], Y, HALF),
        ("dnnl_max_pool", [X, X], Y, HALF),
        ("dnnl_max_pool", [PLAIN], HALVED, HALF),
        ("dnnl_max_pool", [X], X, HALF),
        ("dnnl_max_pool", [X], spec(room_for((1, 32, 4, 4))), HALF),
        ("dnnl_max_pool", [X], spec(room_for((2, 64, 4, 4))), HALF),
        ("dnnl_max_pool", [X], Y, HALF | {"kernel": (0, 2)}),
        ("dnnl_max_pool", [X], Y, HALF | {"stride": (2,)}),
        ("dnnl_max_pool", [X], Y, HALF | {"pad": (2, 2)}),
        ("dnnl_max_pool", [X], Y, HALF | {"pad": (-1, 0)}),
        ("dnnl_max_pool", [X], Y, HALF | {"stride": (3, 3)}),
        ("dnnl_max_pool", [("f32", (0, *X[1][1:]), None)], ("f32", (0, *Y[1][1:]), None), HALF),
        ("dnnl_lrn", [X], Y, NORM),
        ("dnnl_lrn", [X], X, NORM | {"beta": 0.5}),
        ("dnnl_lrn", [X], X, NORM | {"radius": -1}),
        ("dnnl_lrn", [PLAIN], PLAIN, NORM),
        ("dnnl_batch_norm", [X, ROW, ROW], X, EPS),
        ("dnnl_batch_norm", [X, ROW, ROW, ONE], Y, EPS),
        ("dnnl_batch_norm", [X, ROW, ONE, ONE], X, EPS),
        ("dnnl_batch_norm", [X, ONE, ONE, ONE], X, EPS),
        ("dnnl_batch_norm", [X, ("f32", (33,), None), ROW, ONE], X, EPS),
        ("dnnl_batch_norm", [PLAIN, ROW, ROW, ONE], PLAIN, EPS),
    ],
)
def test_unfit_problems_are_refused(symbol: str, reads: list, y: Any, attrs: dict) -> None:
    for good in (
        ("dnnl_max_pool", [X], [Y], HALF),
        ("dnnl_lrn", [X], [X], NORM),
        ("dnnl_batch_norm", [X, ROW, ROW, ONE], [X], EPS),
    ):
        assert _core.kernel_fits(*good)
    with pytest.raises(GraphError) as caught:
        _core.make_kernel(symbol, reads, [y], attrs)
    assert caught.value.code == "GC-A001"
