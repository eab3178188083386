"""Gradients of pooling and LRN, plain and in blocks, beside the float64 vjp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.blocked import blocked, plain, room, run
from core.gradient_rows import Backward, check
from core.rows import Layer
from core.test_blocked_kernels import isa, numbers  # noqa: F401
from core.test_spatial_kernels import NORMS, PLACES, WINDOWS

from graphc import _core
from graphc.errors import GraphError
from graphc.ops.lrn import ACROSS, LRN, WITHIN, LRNAttrs
from graphc.ops.pooling import Pooling, PoolingAttrs

WIDE = {"kernel_h": 20, "kernel_w": 17, "stride": 3}  # over 256 elements: indices are int32


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("pool", ["MAX", "AVE"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [*WINDOWS.values(), ((2, 3, 40, 37), WIDE), ((0, 3, 5, 5), {"kernel_size": 2})],
    ids=[*WINDOWS, "int32", "nothing"],
)
@pytest.mark.usefixtures("isa")
def test_pooling(shape: tuple[int, ...], options: dict, pool: str, place: Any) -> None:
    shape = (*shape[:1], max(shape[1], 11), *shape[2:])
    layer = Layer.of(Pooling, PoolingAttrs(pool=pool, **options), shape)
    assert check(Backward(layer, {"x": normal(shape)}), place=place) == {"dx"}


def test_of_equal_maxima_the_first_takes_all() -> None:
    layer = Layer.of(Pooling, PoolingAttrs(kernel_size=3, stride=2, pad=1), (2, 16, 9, 9))
    check(Backward(layer, {"x": np.random.default_rng(0).integers(0, 3, (2, 16, 9, 9))}))


def test_windows_without_a_maximum_give_to_their_first_element() -> None:
    layer = Layer.of(Pooling, PoolingAttrs(kernel_size=3, stride=2, pad=1), (2, 16, 9, 9))
    x = normal((2, 16, 9, 9))
    x[:, :, :4] = np.nan
    x[:, :, :, 5:] = -np.inf
    check(Backward(layer, {"x": x}))


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_what_is_not_finite_stays_where_it_belongs(pool: str) -> None:
    layer = Layer.of(Pooling, PoolingAttrs(pool=pool, kernel_size=3, stride=2), (2, 16, 9, 9))
    backward = Backward(layer, {"x": normal((2, 16, 9, 9))})
    for k, value in enumerate((np.nan, np.inf, -np.inf)):
        backward.values["dy"][:, k::5, k::2] = value
    check(backward)


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize(
    ("shape", "options"), [*WINDOWS.values(), ((2, 3, 40, 37), WIDE)], ids=[*WINDOWS, "int32"]
)
@pytest.mark.usefixtures("isa")
def test_indices_of_maxima_in_blocks(shape: tuple[int, ...], options: dict, lanes: int) -> None:
    shape = (*shape[:1], max(shape[1], 11), *shape[2:])
    layer = Layer.of(Pooling, PoolingAttrs(**options), shape)
    x = normal(shape)
    x[:, ::3, ::2] = np.nan
    _, wanted = layer.run({"x": x})
    told = {**numbers(layer), "channels": shape[1]}
    y, index = wanted["y"], wanted["index"]
    for threads in (1, 3):
        targets = [room(y.shape, lanes, 2), room(y.shape, lanes, 1, 99, _dtype(layer))]
        made = run("max_pool_blocked", [blocked(x, lanes, 3)], targets, threads, **told)
        assert np.array_equal(plain(made[0], shape[1]), y.astype(np.float32))
        assert np.array_equal(plain(made[1], shape[1]), index)


def _dtype(layer: Layer) -> Any:
    return np.uint8 if layer.sig["index"].dtype == "u8" else np.int32


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("shape", "attrs"), NORMS.values(), ids=NORMS)
@pytest.mark.usefixtures("isa")
def test_lrn(shape: tuple[int, ...], attrs: LRNAttrs, place: Any) -> None:
    layer = Layer.of(LRN, attrs, shape)
    assert check(Backward(layer, {"x": normal(shape)}), place=place) == {"dx"}


@pytest.mark.parametrize("shape", [(2, 37, 9, 11), (1, 3, 1, 700), (3, 1100, 3, 3), (0, 5, 3, 3)])
@pytest.mark.parametrize("attrs", [LRNAttrs(alpha=0.5), LRNAttrs(local_size=99, alpha=0.5)])
def test_lrn_of_any_number_of_channels(shape: tuple[int, ...], attrs: LRNAttrs) -> None:
    assert check(Backward(Layer.of(LRN, attrs, shape), {"x": normal(shape)})) == {"dx"}


@pytest.mark.parametrize("region", [ACROSS, WITHIN])
def test_lrn_of_what_is_not_finite(region: str) -> None:
    shape = (2, 16, 9, 7)
    backward = Backward(Layer.of(LRN, LRNAttrs(norm_region=region), shape), {"x": normal(shape)})
    backward.values["dy"][0, 3, 4, 5], backward.values["dy"][1, 9, 0, 0] = np.nan, np.inf
    backward.values["x"][0, 12, 1, 1] = np.nan
    check(backward)


X, Y = ("f32", (2, 16, 6, 6), None), ("f32", (2, 16, 3, 3), None)
INDEX = ("u8", (2, 16, 3, 3), None)
TOLD = {"kernel": (2, 2), "stride": (2, 2), "pad": (0, 0)}
TOLD |= {"radius": 2, "shift": 1.0, "share": 0.1, "beta": 0.75}


@pytest.mark.parametrize(
    ("symbol", "reads", "writes", "told"),
    [
        ("mean_pool_gradient", [], [X], {}),
        ("mean_pool_gradient", [Y, Y], [X], {}),
        ("mean_pool_gradient", [Y], [("f32", (2, 8, 6, 6), None)], {}),
        ("mean_pool_gradient", [Y], [X, X], {}),
        ("mean_pool_gradient", [INDEX], [X], {}),
        ("mean_pool_gradient", [Y], [X], {"kernel": (0, 2)}),
        ("mean_pool_gradient", [Y], [X], {"channels": 16}),
        ("mean_pool_gradient", [Y], [X], {"accumulate": True}),
        ("max_pool_gradient", [Y], [X], {}),
        ("max_pool_gradient", [Y, Y], [X], {}),
        ("max_pool_gradient", [Y, ("u8", (2, 16, 3, 4), None)], [X], {}),
        ("lrn_across_gradient", [X], [X], {}),
        ("lrn_across_gradient", [X, Y], [X], {}),
        ("lrn_across_gradient", [X, X], [X], {"radius": -1}),
        ("lrn_across_gradient", [X, X], [X], {"channels": 16}),
        ("lrn_within_gradient", [X, X], [Y], {}),
        ("lrn_within_gradient", [X, X, X], [X], {}),
        ("max_pool_gradient", [Y, ("i64", (2, 16, 3, 3), None)], [X], {}),
    ],
)
def test_what_does_not_fit_is_refused(symbol: str, reads: Any, writes: Any, told: Any) -> None:
    with pytest.raises(GraphError) as caught:
        _core.make_kernel(symbol, reads, writes, {**TOLD, **told})
    assert caught.value.code == "GC-A001"
