"""oneDNN's convolution and inner product beside their references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.dnnl_cases import (
    EMPTY,
    blocked,
    conv,
    convolve,
    needs_onednn,
    room_for,
    run_packed,
    told,
    told_conv,
)
from core.gemm_cases import filled, products
from core.rows import Layer, close, spec

from graphc import _core
from graphc.errors import GraphError
from graphc.ops.convolution import Convolution
from graphc.ops.inner_product import InnerProduct, InnerProductAttrs

pytestmark = needs_onednn


BLOCKED: dict[str, Layer] = {
    "3x3": conv((1, 64, 14, 14), 64, pad=1),
    "odd channels": conv((2, 17, 13, 11), 24, pad=1),
    "odd channels by 2": conv((5, 24, 15, 16), 17, pad=1, stride=2),
    "many outputs": conv((1, 100, 7, 7), 1000, 1),
    "1x1": conv((2, 48, 10, 9), 33, 1),
    "1x1 by 2": conv((5, 64, 15, 14), 32, 1, stride=2),
    "7x7 planes": conv((5, 96, 7, 7), 80, pad=1),
    "5x5, padded by 2": conv((1, 32, 9, 9), 19, 5, pad=2),
    "7x7 by 3": conv((2, 20, 23, 25), 16, 7, stride=3, pad=3),
    "dilated": conv((2, 32, 20, 19), 40, pad=2, dilation=2),
    "one window": conv((2, 40, 6, 6), 50, 6),
    "groups": conv((2, 64, 11, 12), 96, pad=1, group=2),
    "depthwise": conv((2, 48, 14, 15), 48, pad=1, group=48),
    "depthwise by 2": conv((5, 64, 15, 13), 64, pad=1, stride=2, group=64),
    "depthwise, odd channels": conv((2, 27, 9, 9), 27, pad=1, group=27),
    "no bias": conv((2, 32, 9, 9), 16, pad=1, bias_term=False),
}
PLAIN: dict[str, Layer] = {
    "gray": conv((2, 1, 28, 28), 20, 5),
    "colour": conv((1, 3, 33, 35), 64, 7, stride=2, pad=3),
    "colour, 11x11 by 4": conv((2, 3, 67, 59), 96, 11, stride=4),
    "colour, odd outputs": conv((5, 3, 17, 17), 10, pad=1),
}


def check(layer: Layer, **how: Any) -> None:
    values = filled(layer)
    _, wanted = layer.run(values)
    close(convolve(layer, values, **how), wanted["y0"], str(layer.attrs), products(layer))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", BLOCKED)
def test_blocked(name: str, threads: int) -> None:
    check(BLOCKED[name], threads=threads)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", PLAIN)
def test_plain(name: str, threads: int) -> None:
    check(PLAIN[name], plain_x=True, threads=threads)


@pytest.mark.parametrize("name", [*BLOCKED, *PLAIN])
def test_bits_depend_neither_on_threads_nor_on_the_batch(name: str) -> None:
    layer, plain_x = {**BLOCKED, **PLAIN}[name], name in PLAIN
    values = filled(layer)
    x = values["x0"]
    whole = convolve(layer, values, plain_x=plain_x)
    assert convolve(layer, values, plain_x=plain_x, threads=3).tobytes() == whole.tobytes()
    single = Layer.of(Convolution, layer.attrs, (1, *x.shape[1:]))
    for n in range(len(x)):
        one = convolve(single, values | {"x0": x[n : n + 1]}, plain_x=plain_x)
        assert one.tobytes() == whole[n : n + 1].tobytes()


@pytest.mark.parametrize("gaps", ["x", "y", "xy"])
@pytest.mark.parametrize("name", ["odd channels", "1x1", "7x7 planes", "groups", "depthwise"])
def test_slices_of_larger_images(name: str, gaps: str) -> None:
    check(BLOCKED[name], gaps=gaps, threads=2)
    check(PLAIN["colour, odd outputs"], plain_x=True, gaps=gaps)


@pytest.mark.parametrize("slope", [None, 0.0, 0.1, -0.5])
@pytest.mark.parametrize("name", ["3x3", "odd channels", "1x1 by 2", "depthwise", "no bias"])
def test_epilogues(name: str, slope: float | None) -> None:
    layer = BLOCKED[name]
    values = filled(layer)
    _, wanted = layer.run(values)
    residual = np.random.default_rng(1).standard_normal(wanted["y0"].shape).astype(np.float32)
    epilogue: dict[str, Any] = {} if slope is None else {"relu": True, "slope": slope}

    def after(y: np.ndarray) -> np.ndarray:
        return y if slope is None else np.where(y > 0, y, slope * y)

    many = products(layer)
    close(convolve(layer, values, **epilogue), after(wanted["y0"]), name, many)
    target = after(wanted["y0"] + residual)
    apart = convolve(layer, values, residual=residual, threads=2, **epilogue)
    close(apart, target, name, many)
    over = convolve(layer, values, residual=residual, over=True, threads=2, **epilogue)
    assert over.tobytes() == apart.tobytes()
    for gaps in ("r", "y", "xyr"):
        made = convolve(layer, values, residual=residual, gaps=gaps, **epilogue)
        close(made, target, f"{name}, gaps {gaps}", many)


def test_random_convolutions() -> None:
    rng = np.random.default_rng(3)
    done = 0
    for _ in range(80):
        kernel, dilation, stride = (int(v) for v in rng.integers(1, 4, 3))
        pad = int(rng.integers(0, kernel))
        size = [int(v) + dilation * (kernel - 1) + 1 for v in rng.integers(0, 20, 2)]
        channels, out = (int(v) for v in rng.integers(1, 70, 2))
        shape = (int(rng.integers(1, 4)), channels, *size)
        layer = conv(shape, out, kernel, stride=stride, pad=pad, dilation=dilation)
        x, y = room_for(shape), room_for(layer.sig.outs["y0"].shape)
        bias = ("f32", (out,), None)
        if _core.kernel_fits("dnnl_conv", [spec(x), EMPTY, bias], [spec(y)], told_conv(layer)):
            check(layer)
            done += 1
        else:
            assert channels < 16  # what is refused is worth little
    assert done > 60


def test_few_channels_are_refused_in_blocks() -> None:
    layer = PLAIN["colour"]
    x, y = blocked(filled(layer)["x0"]), room_for(layer.sig.outs["y0"].shape)
    with pytest.raises(GraphError, match=r"GC-A001.*ref"):
        _core.make_kernel(
            "dnnl_conv", [spec(x), EMPTY, ("f32", (64,), None)], [spec(y)], told_conv(layer)
        )


PRODUCTS = {
    "one row": (Layer.of(InnerProduct, InnerProductAttrs(num_output=1000), (1, 513)), 1),
    "few": (Layer.of(InnerProduct, InnerProductAttrs(num_output=10), (5, 17)), 1),
    "image": (Layer.of(InnerProduct, InnerProductAttrs(num_output=33), (2, 20, 4, 4)), 1),
    "rows of two axes": (
        Layer.of(InnerProduct, InnerProductAttrs(num_output=24, axis=2), (3, 7, 40)),
        2,
    ),
    "no bias": (
        Layer.of(InnerProduct, InnerProductAttrs(num_output=7, bias_term=False), (64, 100)),
        1,
    ),
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", PRODUCTS)
def test_inner_product(name: str, threads: int) -> None:
    layer, axis = PRODUCTS[name]
    values = filled(layer)
    _, wanted = layer.run(values)
    shape = layer.sig.ins["x"].shape
    batch, outputs = int(np.prod(shape[:axis])), wanted["y"].shape[-1]
    depth = int(np.prod(shape[axis:]))
    attrs = {**told(layer), "batch": batch, "outputs": outputs, "depth": depth}
    reads = list(values.values())
    y = np.full(wanted["y"].shape, np.nan, np.float32)
    run_packed("dnnl_inner_product", reads, y, attrs, threads)
    close(y, wanted["y"], name, depth)
    residual = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    target = wanted["y"] + residual
    attrs |= {"residual": True, "relu": True, "slope": 0.25}
    run_packed("dnnl_inner_product", [*reads, residual], y, attrs, threads)
    close(y, np.where(target > 0, target, target / 4), name, depth)
    run_packed("dnnl_inner_product", [*reads, residual], residual, attrs, threads)
    assert residual.tobytes() == y.tobytes()
