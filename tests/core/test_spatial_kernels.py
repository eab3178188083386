"""Pooling and LRN kernels beside their references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.rows import Layer, cased, close, compare, gapped, rows_of, spec

from graphc import _core
from graphc.check.case import Case, draw
from graphc.errors import GraphError
from graphc.ops.lrn import LRN, WITHIN, LRNAttrs
from graphc.ops.pooling import FLT_MAX, Pooling, PoolingAttrs

CASES = [Case(op, i) for op in (Pooling, LRN) for i in range(len(op.samples))]
ISAS = ("portable", "avx2", "avx512")


def rows_gapped(x: np.ndarray) -> np.ndarray:
    """The same values with gaps after each row of an image, as in a crop of it."""
    room = np.full((*x.shape[:-1], x.shape[-1] + 3), 7, x.dtype)
    view = room[..., 1:-2]
    view[...] = x
    return view


PLACES = {"dense": np.array, "samples": gapped, "rows": rows_gapped}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_samples(case: Case, place: Any) -> None:
    compare(cased(case), draw(case), place=place)


def pooled(layer: Layer, x: np.ndarray, **how: Any) -> dict[str, np.ndarray]:
    """What the kernel makes of x; the same bits in one thread and in two, close to the reference,
    and for maxima exactly what the reference says."""
    made, wanted = layer.run({"x": x}, **how)
    twice, _ = layer.run({"x": x}, threads=2, **how)
    for role, array in made.items():
        assert array.tobytes() == twice[role].tobytes(), role
        close(array, wanted[role], f"{layer.attrs} {role}")
        if layer.attrs.pool == "MAX":
            exact = np.asarray(wanted[role]).astype(array.dtype)
            assert np.array_equal(array, exact), role
            assert np.array_equal(np.signbit(array), np.signbit(exact)), role
    return made


WINDOWS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "2x2 by 2": ((2, 3, 23, 37), {"kernel_size": 2, "stride": 2}),
    "3x3 by 2": ((2, 3, 24, 37), {"kernel_size": 3, "stride": 2}),
    "3x3 by 2, padded": ((3, 5, 24, 37), {"kernel_size": 3, "stride": 2, "pad": 1}),
    "3x3 by 1, padded": ((2, 3, 29, 31), {"kernel_size": 3, "stride": 1, "pad": 1}),
    "3x3 by 3": ((2, 3, 29, 31), {"kernel_size": 3, "stride": 3}),
    "floor": ((2, 3, 24, 38), {"kernel_size": 3, "stride": 2, "round_mode": "FLOOR"}),
    "oblong": (
        (2, 3, 19, 33),
        {"kernel_h": 5, "kernel_w": 2, "stride_h": 1, "stride_w": 2, "pad_h": 3, "pad_w": 1},
    ),
    "5x7 by 2x3": ((2, 2, 40, 41), {"kernel_h": 5, "kernel_w": 7, "stride_h": 2, "stride_w": 3}),
    "8x8 by 1": ((1, 2, 30, 40), {"kernel_size": 8, "pad": 7}),
    "larger than blocks take": ((1, 2, 30, 40), {"kernel_size": 9, "stride": 2, "pad": 4}),
    "wide": ((1, 3, 20, 50), {"kernel_h": 2, "kernel_w": 37, "stride": 5, "pad_h": 0, "pad_w": 3}),
    "long rows": ((1, 1, 9, 1500), {"kernel_size": 3, "stride": 1, "pad": 1}),
    "many rows": ((1, 1, 1500, 9), {"kernel_size": 3, "stride": 2}),
    "gaps between windows": ((1, 2, 33, 35), {"kernel_size": 2, "stride": 5}),
    "windows outside": ((1, 2, 6, 6), {"kernel_size": 1, "stride": 4}),
    "gapped rows alone": (
        (1, 2, 33, 35),
        {"kernel_size": 3, "stride_h": 4, "stride_w": 1},
    ),
    "1x1": ((2, 2, 7, 9), {"kernel_size": 1}),
    "small images": ((4, 33, 7, 7), {"kernel_size": 3, "stride": 1, "pad": 1}),
    "few windows": ((4, 33, 7, 7), {"kernel_size": 3, "stride": 2}),
    "whole plane": ((4, 33, 7, 7), {"global_pooling": True}),
    "whole large plane": ((2, 3, 61, 67), {"global_pooling": True}),
}


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
@pytest.mark.parametrize(("shape", "options"), WINDOWS.values(), ids=WINDOWS)
def test_pooling_of_many_windows(shape: tuple[int, ...], options: dict, pool: str) -> None:
    attrs = PoolingAttrs(pool=pool, **options)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for tops in (1, 2) if pool == "MAX" else (1,):
        layer = Layer.of(Pooling, attrs, shape, tops=tops)
        made = pooled(layer, x)
        for place in (gapped, rows_gapped):
            again = pooled(layer, x, place=place)
            assert all(np.array_equal(made[r], again[r], equal_nan=True) for r in made)
        if pool == "MAX":
            alone = pooled(layer.without("index"), x)
            assert np.array_equal(alone["y"], made["y"], equal_nan=True)


@pytest.mark.parametrize("options", [o for _, o in WINDOWS.values()], ids=WINDOWS)
def test_maxima_of_ties_zeros_and_special_values(options: dict) -> None:
    rng = np.random.default_rng(1)
    shape = next(s for s, o in WINDOWS.values() if o is options)
    attrs = PoolingAttrs(**options)
    special = np.array([0.0, -0.0, np.nan, -np.inf, -FLT_MAX], np.float32)
    for values in (special, special[:3], special[2:], np.append(special, [np.inf, 1])):
        x = rng.choice(values, shape).astype(np.float32)
        pooled(Layer.of(Pooling, attrs, shape, tops=2), x)
        pooled(Layer.of(Pooling, attrs, shape).without("index"), x)


def test_means_of_special_values_and_of_windows_outside() -> None:
    x = np.random.default_rng(1).standard_normal((2, 2, 14, 15)).astype(np.float32)
    x[0, 0, 3, 4], x[0, 1, 7, 7], x[1, 0, 9, 1] = np.nan, np.inf, -np.inf
    for options in ({"kernel_size": 3, "stride": 2, "pad": 1}, {"global_pooling": True}):
        pooled(Layer.of(Pooling, PoolingAttrs(pool="AVE", **options), x.shape), x)
    # one window starts two elements beyond the image: 0 elements / -1, or / 0
    for stride, size in ((4, 6), (3, 6)):
        layer = Layer.of(
            Pooling, PoolingAttrs(pool="AVE", kernel_size=1, stride=stride), (1, 1, size, size)
        )
        made, wanted = layer.run({"x": np.ones((1, 1, size, size))})
        target = wanted["y"].astype(np.float32)
        assert np.array_equal(made["y"], target, equal_nan=True)
        assert np.array_equal(np.signbit(made["y"]), np.signbit(target))


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_gives_the_same_bits(isa: str, monkeypatch: Any) -> None:
    rng = np.random.default_rng(2)
    layers = [
        (Layer.of(Pooling, PoolingAttrs(pool=pool, **options), shape), shape)
        for shape, options in WINDOWS.values()
        for pool in ("MAX", "AVE")
    ]
    shape = (2, 7, 9, 37)
    layers += [
        (Layer.of(LRN, LRNAttrs(alpha=0.7, beta=beta, norm_region=region), shape), shape)
        for beta in (0.5, 0.75, 0.8)
        for region in ("ACROSS_CHANNELS", WITHIN)
    ]
    for layer, shape in layers:
        x = rng.standard_normal(shape)
        monkeypatch.setenv("GRAPHC_ISA", "portable")
        plain, _ = layer.run({"x": x})
        monkeypatch.setenv("GRAPHC_ISA", isa)
        made, _ = layer.run({"x": x})
        assert all(plain[role].tobytes() == made[role].tobytes() for role in plain)


NORMS: dict[str, tuple[tuple[int, ...], LRNAttrs]] = {
    "alexnet": ((2, 96, 27, 27), LRNAttrs(alpha=1e-4)),
    "googlenet": ((1, 64, 28, 28), LRNAttrs(alpha=1e-4, k=2.0)),
    "root": ((2, 13, 5, 7), LRNAttrs(alpha=0.9, beta=0.5)),
    "any power": ((2, 13, 5, 7), LRNAttrs(local_size=3, alpha=0.9, beta=0.6)),
    "no power": ((2, 13, 5, 7), LRNAttrs(local_size=3, alpha=0.9, beta=0.0)),
    "one channel": ((3, 1, 19, 17), LRNAttrs(alpha=2.0)),
    "window over all channels": ((2, 11, 5, 7), LRNAttrs(local_size=99, alpha=3.0)),
    "window of eleven": ((2, 30, 5, 7), LRNAttrs(local_size=11, alpha=3.0)),
    "cifar": ((2, 32, 16, 16), LRNAttrs(3, 5e-5, 0.75, WITHIN)),
    "within, odd": ((2, 3, 19, 37), LRNAttrs(5, 2.0, 0.5, WITHIN)),
    "within all": ((2, 3, 9, 7), LRNAttrs(51, 2.0, 0.75, WITHIN)),
    "within, any power": ((2, 3, 9, 7), LRNAttrs(7, 2.0, 1.2, WITHIN)),
    "within, long rows": ((1, 1, 5, 9500), LRNAttrs(7, 2.0, 0.75, WITHIN)),
    "within, long rows and windows": ((1, 1, 2, 4500), LRNAttrs(2101, 2.0, 0.75, WITHIN)),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("shape", "attrs"), NORMS.values(), ids=NORMS)
def test_lrn(shape: tuple[int, ...], attrs: LRNAttrs, place: Any) -> None:
    x = np.random.default_rng(3).standard_normal(shape) * 3
    layer = Layer.of(LRN, attrs, shape)
    one, wanted = layer.run({"x": x}, place=place)
    two, _ = layer.run({"x": x}, place=place, threads=2)
    assert one["y"].tobytes() == two["y"].tobytes()
    close(one["y"], wanted["y"], str(attrs))


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", WITHIN])
@pytest.mark.parametrize("beta", [0.5, 0.75, 0.6])
def test_lrn_of_special_values(beta: float, region: str) -> None:
    x = np.random.default_rng(4).standard_normal((2, 9, 6, 5))
    x[0, 3, 2, 2], x[0, 7, 5, 4], x[1, 4, 0, 0] = np.nan, np.inf, -np.inf
    x[1, 8] = 0
    compare(Layer.of(LRN, LRNAttrs(alpha=0.5, beta=beta, norm_region=region), x.shape), {"x": x})
    # nothing to divide by: 0 * 0^-beta; and the root of a negative number
    compare(Layer.of(LRN, LRNAttrs(1, 1.0, beta, k=0.0), x.shape), {"x": np.where(x > 0, 0.0, 1.0)})
    compare(Layer.of(LRN, LRNAttrs(1, -9.0, beta, k=1.0), x.shape), {"x": np.abs(x) + 1})


DENSE = spec(np.zeros((2, 3, 8, 8), np.float32))
SMALL = spec(np.zeros((2, 3, 4, 4), np.float32))
HALF = {"kernel": (2, 2), "stride": (2, 2), "pad": (0, 0)}
NORM = {"radius": 2, "shift": 1.0, "share": 0.1, "beta": 0.75}


@pytest.mark.parametrize(
    ("symbol", "reads", "writes", "attrs", "word"),
    [
        ("max_pool", [], [SMALL], HALF, "reads one"),
        ("max_pool", [DENSE], [], HALF, "at least one"),
        ("max_pool", [DENSE], [("f32", (2, 3, 4), None)], HALF, "4 axes"),
        ("max_pool", [DENSE], [("f32", (2, 3, 4, 4), (99, 33, 8, 2))], HALF, "gaps"),
        ("max_pool", [DENSE], [("f32", (2, 4, 4, 4), None)], HALF, "fit together"),
        ("max_pool", [DENSE], [("i32", (2, 3, 4, 4), None)], HALF, "fit together"),
        ("max_pool", [DENSE], [SMALL, ("i64", (2, 3, 4, 4), None)], HALF, "mask and index"),
        ("max_pool", [DENSE], [SMALL, DENSE], HALF, "mask and index"),
        ("max_pool", [DENSE], [SMALL] * 4, HALF, "mask and index"),
        (
            "max_pool",
            [DENSE],
            [SMALL, ("u8", (2, 3, 4, 4), None)],
            {**HALF, "kernel": (17, 17)},
            "mask and index",
        ),
        ("max_pool", [DENSE], [SMALL], {**HALF, "stride": (0, 1)}, "stride"),
        ("max_pool", [DENSE], [SMALL], {**HALF, "pad": (0,)}, "pad"),
        ("mean_pool", [DENSE], [SMALL], {**HALF, "kernel": (2, 1 << 40)}, "kernel"),
        ("mean_pool", [DENSE], [SMALL, SMALL], HALF, "one operand"),
        ("mean_pool", [DENSE], [("f32", (2, 3, 1 << 40, 0), None)], HALF, "too many windows"),
        ("lrn_across", [DENSE], [SMALL], NORM, "differ"),
        ("lrn_within", [DENSE, DENSE], [DENSE], NORM, "one operand"),
        ("lrn_across", [DENSE], [DENSE], {**NORM, "radius": -1}, "negative"),
        ("lrn_within", [DENSE], [DENSE], {**NORM, "radius": 1 << 40}, "too large"),
    ],
)
def test_wrong_problems_are_refused(symbol, reads, writes, attrs, word) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel(symbol, reads, writes, attrs)
    assert caught.value.code == "GC-A001"


def test_rows_are_told_of_strides_that_the_kernels_take() -> None:
    assert all(row.strided for op in (Pooling, LRN) for row in rows_of(op, "forward"))
    x = np.moveaxis(np.zeros((2, 8, 8, 3), np.float32), 3, 1)
    with pytest.raises(GraphError, match="gaps"):
        _core.make_kernel("max_pool", [spec(x)], [SMALL], HALF)
