"""Winograd's convolution beside the reference, for every instruction set and size of block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.blocked import blocked, plain, room
from core.gemm_cases import ISAS, filled, products
from core.rows import Array, Layer, close, packed, rows_of, spec

from graphc import _core
from graphc.ops._winograd import KERNELS, winograd_cost, winograd_size
from graphc.ops.convolution import Convolution, ConvolutionAttrs

ROW = next(row for row in rows_of(Convolution, "forward") if row.symbol == "conv_winograd")
LANES = (8, 16)


def conv(shape: tuple[int, ...], out: int, **more: Any) -> Layer:
    told = {"kernel_size": (3,), **{k: (v,) if k == "pad" else v for k, v in more.items()}}
    return Layer.of(Convolution, ConvolutionAttrs(num_output=out, **told), shape)


LAYERS: dict[str, Layer] = {
    "whole tiles": conv((1, 32, 8, 12), 64, pad=1),
    "cut tiles": conv((2, 16, 13, 11), 32, pad=1),
    "odd channels": conv((3, 37, 9, 10), 23, pad=1),
    "few channels": conv((2, 3, 17, 19), 5, pad=1),
    "many outputs": conv((1, 24, 7, 7), 300, pad=1),
    "many tiles": conv((2, 9, 61, 70), 10, pad=1),
    "deep": conv((1, 300, 6, 5), 40, pad=1),
    "no padding": conv((2, 20, 10, 9), 18),
    "one window": conv((2, 33, 3, 3), 17),
    "narrow": conv((2, 17, 40, 1), 16, pad=1),
    "mostly padding": conv((1, 8, 2, 3), 8, pad=9),
    "oblong padding": conv((2, 18, 6, 14), 20, pad_h=0, pad_w=3, kernel_size=(3,)),
    "no bias": conv((2, 16, 9, 9), 16, pad=1, bias_term=False),
    "few tiles in a sample": conv((2, 20, 25, 26), 16, pad=1),
    "no samples": conv((0, 16, 9, 9), 16, pad=1),
    "5x5": conv((2, 32, 16, 12), 64, pad=2, kernel_size=(5,)),
    "5x5, cut tiles": conv((3, 37, 13, 11), 23, pad=2, kernel_size=(5,)),
    "5x5, no padding": conv((2, 20, 12, 13), 50, kernel_size=(5,)),
    "5x5, many tiles": conv((2, 9, 61, 70), 10, pad=1, kernel_size=(5,)),
    "5x5, deep": conv((1, 300, 6, 5), 40, pad=4, kernel_size=(5,)),
    "5x5, one window": conv((2, 33, 5, 5), 17, kernel_size=(5,)),
    "5x5, mostly padding": conv((1, 8, 2, 3), 8, pad=9, kernel_size=(5,)),
    "5x5, oblong padding": conv((2, 18, 6, 14), 20, pad_h=0, pad_w=3, kernel_size=(5,)),
}


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The instruction set of the kernels made in a test (the machine's best, if that is lower)."""
    monkeypatch.setenv("GRAPHC_ISA", request.param)
    return str(request.param)


def told(layer: Layer, lanes: int, **more: Any) -> dict[str, Any]:
    return {**ROW.attrs(layer.attrs, layer.sig), "block": lanes, "plain": False, **more}


def convolve(
    layer: Layer,
    values: dict[str, Array],
    lanes: int = 16,
    *,
    threads: int = 1,
    gaps: str = "",
    residual: Array | None = None,
    over: bool = False,
    **epilogue: Any,
) -> Array:
    """y. `gaps`: which of x, y, r (the residual) are slices of more channels; `over`: y is written
    over the residual."""
    assert ROW.when(layer.attrs, layer.sig)
    shape, attrs = layer.sig.outs["y0"].shape, told(layer, lanes, **epilogue)
    (pack,) = ROW.packs
    weight = packed(
        pack.symbol, values["weight"], pack.size(layer.attrs, layer.sig), attrs, threads
    )
    reads = [blocked(values["x0"], lanes, 3 * ("x" in gaps)), weight]
    if "bias" in values:
        reads.append(values["bias"])
    y = room(shape, lanes, 2 * ("y" in gaps))
    if residual is not None:
        attrs["residual"] = True
        reads.append(blocked(residual, lanes, 5 * ("r" in gaps)))
        if over:
            y = reads[-1]
    kernel = _core.make_kernel(ROW.symbol, [spec(r) for r in reads], [spec(y)], attrs, threads)
    kernel.run(reads, [y], threads)
    return plain(y, shape[1])


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("name", LAYERS)
def test_against_the_reference(name: str, lanes: int, isa: str) -> None:
    layer = LAYERS[name]
    values = filled(layer)
    _, wanted = layer.run(values)
    made = convolve(layer, values, lanes)
    close(made, wanted["y0"], name, products(layer))
    for gaps in ("x", "y", "xy"):
        again = convolve(layer, values, lanes, threads=3, gaps=gaps)
        assert again.tobytes() == made.tobytes(), gaps


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("slope", [None, 0.0, 0.1, -0.5])
@pytest.mark.parametrize(
    "name", ["cut tiles", "odd channels", "many tiles", "no bias", "5x5, cut tiles"]
)
def test_epilogues(name: str, slope: float | None, lanes: int, isa: str) -> None:
    layer = LAYERS[name]
    values, many = filled(layer), products(layer)
    _, wanted = layer.run(values)
    residual = np.random.default_rng(1).standard_normal(wanted["y0"].shape).astype(np.float32)
    epilogue: dict[str, Any] = {} if slope is None else {"relu": True, "slope": slope}

    def after(y: Array) -> Array:
        return y if slope is None else np.where(y > 0, y, slope * y)

    close(convolve(layer, values, lanes, **epilogue), after(wanted["y0"]), name, many)
    apart = convolve(layer, values, lanes, residual=residual, **epilogue)
    close(apart, after(wanted["y0"] + residual), name, many)
    over = convolve(layer, values, lanes, residual=residual, over=True, threads=2, **epilogue)
    assert over.tobytes() == apart.tobytes()
    for gaps in ("r", "y", "xyr"):
        made = convolve(layer, values, lanes, residual=residual, gaps=gaps, **epilogue)
        assert made.tobytes() == apart.tobytes(), gaps


LARGE = {
    "tiles for each thread": conv((2, 40, 57, 60), 48, pad=1),
    "tiles to be shared": conv((1, 320, 13, 14), 200, pad=1),
    "few tiles for each thread": conv((1, 130, 27, 25), 96, pad=1),
    "few tiles to be shared": conv((1, 200, 13, 14), 300, pad=1),
    "more tiles to be shared": conv((1, 200, 37, 45), 700, pad=1),
    "5x5, tiles for each thread": conv((2, 40, 57, 60), 48, pad=2, kernel_size=(5,)),
    "5x5, tiles to be shared": conv((1, 320, 13, 14), 200, pad=2, kernel_size=(5,)),
}


@pytest.mark.parametrize("name", LARGE)
def test_work_that_is_worth_threads(name: str) -> None:
    layer = LARGE[name]
    values = filled(layer)
    _, wanted = layer.run(values)
    made = convolve(layer, values)
    close(made, wanted["y0"], name, products(layer))
    for threads in (2, 3, 8, 40):
        assert convolve(layer, values, threads=threads).tobytes() == made.tobytes(), threads


def test_threads_that_share_tiles_need_less_room() -> None:
    """Patches at points are there once, and not once for each thread."""

    def workspace(name: str, threads: int) -> int:
        layer = LARGE[name]
        shapes = layer.sig.ins["x0"].shape, layer.sig.outs["y0"].shape
        x, y = (("f32", room(shape, 16).shape, None) for shape in shapes)
        size = winograd_size(layer.attrs, layer.sig)
        reads = [x, ("f32", (size,), None), ("f32", (layer.attrs.num_output,), None)]
        return _core.make_kernel(ROW.symbol, reads, [y], told(layer, 16), threads).workspace

    for name, most in (("tiles for each thread", 2.0), ("tiles to be shared", 1.5)):
        growth = workspace(name, 2) / workspace(name, 1)
        assert most - 0.3 < growth <= most, name


@pytest.mark.parametrize(
    "name", ["odd channels", "many tiles", "few tiles in a sample", "5x5, many tiles"]
)
def test_a_sample_does_not_depend_on_the_batch(name: str, isa: str) -> None:
    """Nor does it matter whether the weight was taken to points before or in the run."""
    layer = LAYERS[name]
    values = filled(layer)
    whole = convolve(layer, values)
    single = Layer.of(Convolution, layer.attrs, (1, *values["x0"].shape[1:]))
    for n in range(len(whole)):
        one = convolve(single, values | {"x0": values["x0"][n : n + 1]})
        assert one.tobytes() == whole[n : n + 1].tobytes()


def test_random_convolutions(isa: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        channels, out = (int(v) for v in rng.integers(1, 70, 2))
        kernel, pad = int(rng.choice(KERNELS)), int(rng.integers(0, 4))
        size = (int(v) for v in rng.integers(kernel, 30, 2))
        shape = (int(rng.integers(1, 4)), channels, *size)
        layer = conv(shape, out, pad=pad, kernel_size=(kernel,))
        values = filled(layer)
        _, wanted = layer.run(values)
        made = convolve(
            layer, values, lanes=int(rng.choice(LANES)), threads=int(rng.choice([1, 2]))
        )
        close(made, wanted["y0"], str(layer.sig.ins), products(layer))


@pytest.mark.parametrize(("kernel", "share"), [(3, 1 / 5), (5, 1 / 2)])
@pytest.mark.parametrize("channels", [3, 16, 64, 512])
def test_errors_are_well_below_what_is_allowed(
    channels: int, kernel: int, share: float, isa: str
) -> None:
    layer = conv((1, channels, 30, 30), 32, pad=1, bias_term=False, kernel_size=(kernel,))
    for seed, shape in enumerate((np.abs, lambda x: np.maximum(x, 0), np.asarray)):
        values = filled(layer, seed)
        values["x0"] = shape(values["x0"])
        wanted = layer.run(values)[1]["y0"]
        worst = np.abs(convolve(layer, values) - wanted).max()
        bound = max(1e-5, 1e-6 * np.sqrt(products(layer))) * max(1, np.abs(wanted).max())
        assert worst < bound * share


def test_nan_and_infinity_stay_in_their_tiles(isa: str) -> None:
    """And out of the channels that fill up the last block, which `plain` looks at."""
    layer = LAYERS["odd channels"]
    values = filled(layer)
    clean = convolve(layer, values)
    values["x0"][0, 36, 4, 5], values["x0"][1, 0, 8, 9] = np.nan, np.inf
    made = convolve(layer, values)
    assert np.isnan(made[0, :, 3:6, 4:7]).all() and not np.isfinite(made[1, :, 7:, 8:]).any()
    assert np.array_equal(made[0, :, 8:], clean[0, :, 8:])
    assert np.array_equal(made[1, :, :4], clean[1, :, :4])
    assert np.array_equal(made[2], clean[2])


def test_nan_and_infinity_stay_in_tiles_of_larger_kernels(isa: str) -> None:
    layer = LAYERS["5x5, cut tiles"]
    values = filled(layer)
    clean = convolve(layer, values)
    values["x0"][0, 36, 5, 5], values["x0"][1, 0, 12, 10] = np.nan, np.inf
    made = convolve(layer, values)
    assert np.isnan(made[0, :, 3:8, 3:8]).all() and not np.isfinite(made[1, :, 10:, 8:]).any()
    assert np.array_equal(made[0, :, 8:], clean[0, :, 8:])
    assert np.array_equal(made[1, :, :8], clean[1, :, :8])
    assert np.array_equal(made[2], clean[2])


def test_what_it_costs() -> None:
    """Four times fewer products where tiles are whole and channels many; of 5 by 5, six times."""
    layer = conv((2, 512, 16, 16), 512, pad=1)
    direct = layer.op.cost(layer.attrs, "forward", layer.sig)
    cost = winograd_cost(layer.attrs, layer.sig)
    assert direct.macs / 4 < cost.macs < direct.macs / 3.8
    assert cost.read - direct.read > 2.9 * layer.sig.params["weight"].nbytes
    assert cost.write == direct.write
    few = conv((1, 256, 14, 14), 256, pad=1)
    many = conv((8, 256, 14, 14), 256, pad=1)
    large = conv((2, 512, 16, 16), 512, pad=2, kernel_size=(5,))
    direct, cost = (
        c.macs
        for c in (
            large.op.cost(large.attrs, "forward", large.sig),
            winograd_cost(large.attrs, large.sig),
        )
    )
    assert direct / 6.25 < cost < direct / 5.8
    sizes = [winograd_size(layer.attrs, layer.sig) for layer in (few, many)]
    assert sizes == [9 * 256 * 256, 36 * 256 * 256]
    cheap, dear = (winograd_cost(layer.attrs, layer.sig) for layer in (few, many))
    assert dear.macs < 8 * cheap.macs and dear.read > 8 * cheap.read / 4
