"""Pooling, SPP and LRN: ties, NaN, empty windows, rounding, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ops.calls import Call, inferred, refused, signature

from graphc.ops.concat import Concat
from graphc.ops.flatten import Flatten
from graphc.ops.lrn import LRN, LRNAttrs
from graphc.ops.pooling import FLT_MAX, Pooling, PoolingAttrs
from graphc.ops.spp import SPP, SPPAttrs

BIG = 4294967295
NAN, INF = float("nan"), float("inf")


def by_hand(x: Any, a: PoolingAttrs, y: Any) -> tuple[Any, Any]:
    """Caffe's loops over a padded or unpadded plane: tops y and mask, for one-number options."""
    k, s, p = a.kernel_size or 0, a.stride or 1, a.pad or 0
    height, width = x.shape[2:]
    found, mask = np.zeros(y.shape), -np.ones(y.shape)
    for n, c, i, j in np.ndindex(*y.shape):
        top, left = i * s - p, j * s - p
        bottom, right = min(top + k, height + p), min(left + k, width + p)
        area = (bottom - top) * (right - left)
        cells = [
            (h, w)
            for h in range(max(top, 0), min(bottom, height))
            for w in range(max(left, 0), min(right, width))
        ]
        if a.pool == "AVE":
            found[n, c, i, j] = sum(x[n, c, h, w] for h, w in cells) / area
            continue
        best = -FLT_MAX
        for h, w in cells:
            if x[n, c, h, w] > best:
                best, mask[n, c, i, j] = x[n, c, h, w], h * width + w
        found[n, c, i, j] = best
    return found, mask


OPTIONS = [
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 3, "stride": 2, "pad": 1},
    {"kernel_size": 2, "stride": 3},
    {"kernel_size": 4, "pad": 3, "stride": 3},
    {"kernel_size": 7},
    {"kernel_size": 2, "round_mode": "FLOOR", "stride": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_sums_and_maxima_by_hand(pool: str, options: dict[str, Any]) -> None:
    x = np.random.default_rng(0).integers(0, 4, (2, 3, 7, 8)).astype(float)  # many ties
    a = PoolingAttrs(pool=pool, **options)
    call = Call(Pooling, a, x, tops=2 if pool == "MAX" else 1)
    y, mask = by_hand(x, a, call.out["y"])
    assert np.allclose(call.out["y"], y)
    if pool == "MAX":
        assert np.array_equal(call.out["mask"], mask)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_maximum_gets_the_gradient_once(options: dict[str, Any]) -> None:
    x = np.random.default_rng(0).integers(0, 4, (1, 2, 7, 8)).astype(float)
    call = Call(Pooling, PoolingAttrs(**options), x, tops=2)
    dy = np.random.default_rng(1).standard_normal(call.out["y"].shape)
    expected = np.zeros((2, 56))
    for channel in range(2):
        for where, value in zip(
            call.out["mask"][0, channel].flat, dy[0, channel].flat, strict=True
        ):
            expected[channel, int(where)] += value
    assert np.allclose(call.grad("x", dy=dy).reshape(2, 56), expected)


def test_nan_and_minus_infinity_never_win() -> None:
    x = np.array([[NAN, 1, NAN], [NAN, NAN, NAN], [-INF, -INF, 2]]).reshape(1, 1, 3, 3)
    call = Call(Pooling, PoolingAttrs(kernel_h=1, kernel_w=2), x, tops=2)
    assert call.out["y"].tolist() == [[[[1, 1], [-FLT_MAX, -FLT_MAX], [-FLT_MAX, 2]]]]
    assert call.out["mask"].tolist() == [[[[1, 1], [-1, -1], [-1, 8]]]]
    average = Call(Pooling, PoolingAttrs(pool="AVE", global_pooling=True), x)
    assert np.isnan(average.out["y"]).all()


def test_windows_outside_the_image() -> None:
    a = PoolingAttrs(kernel_size=1, stride=4)
    x = np.ones((1, 1, 7, 7))
    call = Call(Pooling, a, x, tops=2)
    assert call.out["y"][0, 0].tolist() == [[1, 1, -FLT_MAX]] * 2 + [[-FLT_MAX] * 3]
    assert call.out["mask"][0, 0, 2].tolist() == [-1, -1, -1]
    assert call.grad("x", dy=np.ones((1, 1, 3, 3))).sum() == 4
    average = Call(Pooling, PoolingAttrs(pool="AVE", kernel_size=1, stride=4), x)
    last = average.out["y"][0, 0, 2]
    assert not last.any() and np.signbit(last).tolist() == [True, True, False]
    assert average.grad("x", dy=np.ones((1, 1, 3, 3))).sum() == 4
    void = Call(Pooling, PoolingAttrs(pool="AVE", kernel_size=1, stride=4), np.ones((1, 1, 8, 8)))
    assert np.isnan(void.out["y"][0, 0, 2]).all()  # 0 / 0, as in Caffe


def test_index_type_follows_the_window() -> None:
    for size, dtype in ((16, "u8"), (17, "i32")):
        sig = signature(Pooling, PoolingAttrs(kernel_size=size), (1, 1, 20, 20))
        assert sig["index"].dtype == dtype
    x = np.zeros((1, 1, 16, 16))
    x[0, 0, 15, 15] = 1
    assert Call(Pooling, PoolingAttrs(kernel_size=16), x).out["index"].item() == 255
    sig = signature(Pooling, PoolingAttrs(pool="AVE", kernel_size=2), (1, 1, 4, 4))
    assert set(sig.outs) == {"y"}


def test_top_shapes() -> None:
    for a, shape in (
        (PoolingAttrs(kernel_size=3, stride=2), (1, 1, 4, 3)),
        (PoolingAttrs(kernel_size=3, stride=2, round_mode="FLOOR"), (1, 1, 3, 2)),
        (PoolingAttrs(kernel_size=2, stride=2, pad=1), (1, 1, 5, 4)),
        (PoolingAttrs(global_pooling=True, pad=0, stride=1), (1, 1, 1, 1)),
        (PoolingAttrs(kernel_size=9, stride=4), (1, 1, 1, 1)),  # rounding up saves it
    ):
        assert inferred(Pooling, a, (1, 1, 8, 6))["y"] == shape
    assert inferred(Pooling, PoolingAttrs(kernel_size=1, stride=4), (1, 1, 7, 7))["y"][3] == 3
    # padding on one axis alone also clips the last window of the other
    a = PoolingAttrs(kernel_h=3, kernel_w=1, stride=4, pad_h=1, pad_w=0)
    assert inferred(Pooling, a, (1, 1, 7, 7))["y"][3] == 2


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ({"kernel_size": 9}, "GC-S002", "kernel 9 is larger than axis 2"),
        ({}, "GC-N008", "kernel_size is missing"),
        ({"kernel_size": 0}, "GC-N008", "at least 1"),
        ({"kernel_size": 2, "stride": 0}, "GC-N008", "stride is 0"),
        ({"kernel_size": 2, "pad": -1}, "GC-N008", "pad is -1"),
        ({"kernel_size": 2, "pad": 2}, "GC-N008", "pad 2 is not smaller"),
        ({"kernel_size": 2, "kernel_h": 2, "kernel_w": 2}, "GC-N008", "both given"),
        ({"kernel_h": 2}, "GC-N008", "go together"),
        ({"kernel_size": 2, "pad": 1, "pad_h": 1, "pad_w": 1}, "GC-N008", "both given"),
        ({"kernel_size": 2, "stride_h": 1}, "GC-N008", "go together"),
        ({"global_pooling": True, "kernel_size": 2}, "GC-N008", "excludes kernel"),
        ({"global_pooling": True, "stride": 2}, "GC-N008", "excludes pad"),
        ({"global_pooling": True, "pad": 1}, "GC-N008", "excludes pad"),
        ({"kernel_size": 2, "pool": "STOCHASTIC"}, "GC-U001", "stochastic"),
        ({"kernel_size": 2, "pool": "MIN"}, "GC-N008", "'MIN'"),
        ({"kernel_size": 2, "round_mode": "UP"}, "GC-N008", "'UP'"),
        ({"kernel_size": BIG}, "GC-N008", "2^31"),
        ({"kernel_h": 1, "kernel_w": BIG, "pad_h": 0, "pad_w": BIG - 1}, "GC-N008", "2^31"),
        ({"pool": "AVE", "kernel_size": BIG, "pad": BIG - 1}, "GC-S001", "out of range"),
    ],
    ids=str,
)
def test_wrong_options(options: dict[str, Any], code: str, told: str) -> None:
    if options.get("kernel_size") == BIG and "pool" not in options:
        options = {**options, "stride": BIG}
    assert told in refused(code, Pooling, PoolingAttrs(**options), (1, 1, 6, 6))


def test_wrong_bottoms_and_tops() -> None:
    a = PoolingAttrs(kernel_size=2)
    assert "(N, C, H, W)" in refused("GC-S002", Pooling, a, (1, 6, 6))
    refused("GC-S002", Pooling, a, (1, 1, 0, 6))
    refused("GC-S002", Pooling, PoolingAttrs(global_pooling=True), (1, 1, 6, 0))
    refused("GC-N004", Pooling, PoolingAttrs(pool="AVE", kernel_size=2), (1, 1, 6, 6), tops=2)


def test_huge_windows_cost_what_the_image_costs() -> None:
    a = PoolingAttrs(pool="AVE", kernel_size=BIG, stride=BIG, pad=5)
    assert Call(Pooling, a, np.ones((1, 1, 4, 4))).out["y"].shape == (1, 1, 1, 1)


def test_spp_levels_become_stock_layers() -> None:
    a = SPPAttrs(pyramid_height=3, pool="AVE")
    sig = signature(SPP, a, (2, 3, 8, 7))
    assert sig["y"].shape == (2, 3 * (1 + 4 + 16))
    layers = SPP.expand(a, sig)
    assert [x.op for x in layers] == [Pooling, Flatten] * 3 + [Concat]
    assert layers[2].attrs == PoolingAttrs(
        pool="AVE", kernel_h=4, kernel_w=4, stride_h=4, stride_w=4, pad_h=0, pad_w=1
    )
    assert layers[-1].ins == ("flatten0", "flatten1", "flatten2") and layers[-1].outs == ("y",)
    one = SPPAttrs(pyramid_height=1)
    sig = signature(SPP, one, (2, 3, 8, 7))
    assert [x.op for x in SPP.expand(one, sig)] == [Pooling] and sig["y"].shape == (2, 3, 1, 1)


def test_spp_refusals() -> None:
    told = refused("GC-N008", SPP, SPPAttrs(pyramid_height=4), (1, 1, 5, 5))
    assert "pyramid level 2 (4 x 4 bins)" in told
    refused("GC-N008", SPP, SPPAttrs(), (1, 1, 5, 5))
    refused("GC-N008", SPP, SPPAttrs(pyramid_height=BIG), (1, 1, 1, 1))
    refused("GC-S002", SPP, SPPAttrs(pyramid_height=2), (1, 5, 5))
    refused("GC-U001", SPP, SPPAttrs(pyramid_height=2, pool="STOCHASTIC"), (1, 1, 5, 5))


def test_lrn_by_hand() -> None:
    x = np.random.default_rng(0).standard_normal((1, 5, 3, 4))
    a = LRNAttrs(local_size=3, alpha=0.6, beta=0.5, k=2.0)
    y = Call(LRN, a, x).out["y"]
    squares = (x[0, 1:4, 2, 3] ** 2).sum()
    assert np.isclose(y[0, 2, 2, 3], x[0, 2, 2, 3] / np.sqrt(2 + 0.2 * squares))
    a = LRNAttrs(local_size=3, alpha=0.9, beta=0.5, k=2.0, norm_region="WITHIN_CHANNEL")
    y = Call(LRN, a, x).out["y"]
    squares = (x[0, 1, :2, :2] ** 2).sum()
    assert np.isclose(y[0, 1, 0, 0], x[0, 1, 0, 0] / np.sqrt(1 + 0.1 * squares))


def test_lrn_refusals() -> None:
    assert "must be odd" in refused("GC-N008", LRN, LRNAttrs(local_size=4), (1, 3, 2, 2))
    refused("GC-N008", LRN, LRNAttrs(local_size=0), (1, 3, 2, 2))
    refused("GC-N008", LRN, LRNAttrs(norm_region="ELSEWHERE"), (1, 3, 2, 2))
    refused("GC-S002", LRN, LRNAttrs(), (1, 3, 2))
    for region in ("ACROSS_CHANNELS", "WITHIN_CHANNEL"):  # a window far beyond the image
        a = LRNAttrs(local_size=BIG, norm_region=region)
        assert Call(LRN, a, np.ones((1, 2, 2, 2))).out["y"].shape == (1, 2, 2, 2)
