"""Winograd's gradient of a weight beside the vjp, for every instruction set and size of block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.blocked import blocked, room
from core.gemm_cases import ISAS
from core.gradient_cases import filled, products, wanted
from core.rows import Array, Layer, close, rows_of, spec

from graphc import _core
from graphc.errors import GraphError
from graphc.ops._winograd import KERNELS, winograd_dweight_cost
from graphc.ops.convolution import Convolution, ConvolutionAttrs

SYMBOL, PART = "conv_winograd_dweight", "dweight0"
ROW = next(row for row in rows_of(Convolution, PART) if row.symbol == SYMBOL)
LANES = (8, 16)


def conv(shape: tuple[int, ...], out: int, kernel: int = 3, **more: Any) -> Layer:
    told = {k: (v,) if k == "pad" else v for k, v in more.items()}
    attrs = ConvolutionAttrs(num_output=out, kernel_size=(kernel,), **told)
    return Layer.of(Convolution, attrs, shape)


LAYERS: dict[str, Layer] = {
    "whole tiles": conv((1, 32, 8, 12), 64, pad=1),
    "cut tiles": conv((2, 16, 13, 11), 32, pad=1),
    "odd channels": conv((3, 37, 9, 10), 23, pad=1),
    "few channels": conv((2, 3, 17, 19), 5, pad=1),
    "many outputs": conv((1, 24, 7, 7), 300, pad=1),
    "several parts": conv((2, 9, 61, 70), 10, pad=1),
    "many channels": conv((2, 150, 14, 15), 130, pad=1),
    "many channels and tiles": conv((2, 100, 41, 43), 90, pad=1),
    "no padding": conv((2, 20, 10, 9), 18),
    "one window": conv((2, 33, 3, 3), 17),
    "mostly padding": conv((1, 8, 2, 3), 8, pad=9),
    "no samples": conv((0, 16, 9, 9), 16, pad=1),
    "5x5": conv((2, 32, 16, 12), 64, 5, pad=2),
    "5x5, cut tiles": conv((3, 37, 13, 11), 23, 5, pad=2),
    "5x5, no padding": conv((9, 20, 12, 13), 50, 5),
    "5x5, several parts": conv((3, 10, 50, 51), 9, 5, pad=1),
    "5x5, many channels": conv((2, 90, 15, 14), 70, 5, pad=2),
    "5x5, one window": conv((2, 33, 5, 5), 17, 5),
    "5x5, oblong padding": conv((2, 18, 6, 14), 20, 5, pad_h=0, pad_w=3),
    "5x5, no samples": conv((0, 16, 9, 9), 16, 5),
}


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The instruction set of the kernels made in a test (the machine's best, if that is lower)."""
    monkeypatch.setenv("GRAPHC_ISA", request.param)
    return str(request.param)


def told(layer: Layer, lanes: int) -> dict[str, Any]:
    return {**ROW.attrs(layer.attrs, layer.sig), "block": lanes, "plain": False}


def gradient(
    layer: Layer,
    values: dict[str, Array],
    lanes: int = 16,
    *,
    threads: int = 1,
    gaps: str = "",
    start: Array | None = None,
) -> Array:
    """dweight. `gaps`: which of x, y are slices of more channels; `start`: what is added to."""
    assert ROW.when(layer.attrs, layer.sig)
    attrs = told(layer, lanes)
    made = np.full(layer.sig.params["weight"].shape, np.nan, np.float32)
    reads = [blocked(values[role], lanes, 2 * (role[-2] in gaps)) for role in ("dy0", "x0")]
    if start is not None:
        made[...] = start
        attrs["accumulate"] = True
        reads.append(made)
    kernel = _core.make_kernel(SYMBOL, [spec(r) for r in reads], [spec(made)], attrs, threads)
    kernel.run(reads, [made], threads)
    return made


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("name", LAYERS)
def test_against_the_vjp(name: str, lanes: int, isa: str) -> None:
    layer = LAYERS[name]
    values = filled(layer)
    target, many = wanted(layer, PART, values), products(layer, PART)
    made = gradient(layer, values, lanes)
    close(made, target, name, many)
    start = np.random.default_rng(1).standard_normal(made.shape).astype(np.float32)
    added = gradient(layer, values, lanes, start=start)
    assert added.tobytes() == (start + made).tobytes()
    for gaps in ("x", "y", "xy"):
        again = gradient(layer, values, lanes, threads=3, gaps=gaps)
        assert again.tobytes() == made.tobytes(), gaps


@pytest.mark.parametrize(
    "name", ["several parts", "many channels and tiles", "5x5, several parts", "5x5, many channels"]
)
def test_no_number_of_threads_changes_a_bit(name: str) -> None:
    layer = LAYERS[name]
    values = filled(layer)
    made = gradient(layer, values)
    for threads in (2, 5, 8, 40):
        assert gradient(layer, values, threads=threads).tobytes() == made.tobytes(), threads


def test_random_convolutions(isa: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        kernel, pad = int(rng.choice(KERNELS)), int(rng.integers(0, 7))
        channels, out = (int(v) for v in rng.integers(1, 70, 2))
        size = (int(v) for v in rng.integers(kernel, 30, 2))
        layer = conv((int(rng.integers(1, 4)), channels, *size), out, kernel, pad=pad)
        values = filled(layer)
        lanes, threads = int(rng.choice(LANES)), int(rng.choice([1, 2]))
        made = gradient(layer, values, lanes, threads=threads)
        target = wanted(layer, PART, values)
        close(made, target, str(layer.sig.ins), products(layer, PART))


@pytest.mark.parametrize(("kernel", "share"), [(3, 1 / 5), (5, 1 / 2)])
@pytest.mark.parametrize("batch", [1, 16])
def test_errors_are_well_below_what_is_allowed(
    batch: int, kernel: int, share: float, isa: str
) -> None:
    layer = conv((batch, 20, 30, 30), 32, kernel, pad=1)
    for seed, shape in enumerate((np.abs, lambda x: np.maximum(x, 0), np.asarray)):
        values = filled(layer, seed)
        values["x0"] = shape(values["x0"])
        target = wanted(layer, PART, values)
        worst = np.abs(gradient(layer, values) - target).max()
        allowed = max(1e-5, 1e-6 * np.sqrt(products(layer, PART))) * max(1, np.abs(target).max())
        assert worst < allowed * share


@pytest.mark.parametrize("name", ["odd channels", "5x5, cut tiles"])
def test_nan_and_infinity_stay_in_their_channels(name: str, isa: str) -> None:
    layer = LAYERS[name]
    values = filled(layer)
    clean = gradient(layer, values)
    values["x0"][1, 4, 5, 5], values["dy0"][2, 7, 3, 4] = np.nan, np.inf
    made = gradient(layer, values)
    assert np.isnan(made[:, 4]).all() and not np.isfinite(made[7]).any()
    rest = np.ones(made.shape, bool)
    rest[7], rest[:, 4] = False, False
    assert made[rest].tobytes() == clean[rest].tobytes()


def test_what_it_costs() -> None:
    """Four times fewer products, or six; and sums that few tiles do not pay for."""
    for kernel, saved in ((3, 4.0), (5, 6.25)):
        layer = conv((16, 256, 32, 32), 256, kernel, pad=kernel // 2)
        direct = layer.op.cost(layer.attrs, PART, layer.sig)
        cost = winograd_dweight_cost(layer.attrs, layer.sig)
        assert direct.macs / saved < cost.macs < direct.macs / saved * 1.15
        small = conv((1, 256, 8, 8), 256, kernel, pad=kernel // 2)
        direct = small.op.cost(small.attrs, PART, small.sig)
        assert winograd_dweight_cost(small.attrs, small.sig).macs > direct.macs


DY, X = ("f32", (2, 1, 8, 8, 16), None), ("f32", (2, 2, 8, 8, 16), None)
W = ("f32", (9, 20, 3, 3), None)
TOLD = told(conv((2, 20, 8, 8), 9, pad=1), 16)


@pytest.mark.parametrize(
    ("reads", "made", "attrs", "word"),
    [
        ([], W, {}, "number of operands"),
        ([DY], W, {}, "number of operands"),
        ([DY, X, W], W, {}, "number of operands"),
        ([DY, X], W, {"accumulate": True}, "number of operands"),
        ([DY, ("f32", (2, 20, 8, 8), None)], W, {}, "blocks of 8 or 16"),
        ([DY, ("f32", (2, 3, 8, 8, 8), None)], W, {}, "attribute block"),
        ([DY, X], W, {"block": 4}, "attribute block"),
        ([("f32", (2, 1, 8, 7, 16), None), X], W, {}, "dy"),
        ([("f32", (1, 1, 8, 8, 16), None), X], W, {}, "samples"),
        ([DY, ("f32", (2, 2, 9, 8, 16), None)], W, {}, "x"),
        ([DY, X], ("f32", (9, 20, 3, 4), None), {}, "dweight"),
        ([DY, X, ("f32", (9, 20, 9, 9), None)], W, {"accumulate": True}, "dweight"),
        ([DY, X], W, {"kernel": (5, 5), "pad": (2, 2)}, "dweight"),
        ([DY, X], W, {"kernel": (3, 5)}, "attribute kernel"),
        ([DY, X], W, {"stride": (2, 1)}, "attribute stride"),
        ([DY, X], W, {"group": 2}, "attribute group"),
    ],
)
def test_wrong_problems_are_refused(reads: Any, made: Any, attrs: Any, word: str) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel(SYMBOL, reads, [made], TOLD | attrs)
    assert caught.value.code == "GC-A001"


def test_large_sums_are_there_once() -> None:
    """Or just a block of them for each thread, where all tiles are at points at the same time;
    small ones, once for each part."""

    def workspace(name: str, threads: int) -> int:
        layer = LAYERS[name]
        shapes = layer.sig.outs["y0"].shape, layer.sig.ins["x0"].shape
        reads = [("f32", room(shape, 16).shape, None) for shape in shapes]
        made = ("f32", layer.sig.params["weight"].shape, None)
        return _core.make_kernel(SYMBOL, reads, [made], told(layer, 16), threads).workspace

    sums = 4 * 36 * LAYERS["many channels"].sig.params["weight"].count(0, 2)
    assert workspace("many channels", 2) - workspace("many channels", 1) < sums / 2
    assert workspace("many channels and tiles", 2) == workspace("many channels and tiles", 1)
    assert workspace("several parts", 1) < workspace("several parts", 2)
