"""oneDNN's gradient of a convolution as a deconvolution, beside the layer's reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.dnnl_cases import BLOCK, blocked, needs_onednn, plain, room_for, run_packed
from core.gemm_cases import filled
from core.rows import Array, Layer, close, spec
from texts import conv, feed, graph, layer

import graphc
from graphc import _core
from graphc.errors import GraphError
from graphc.ops._conv import ConvolutionAttrs
from graphc.ops.deconvolution import Deconvolution
from graphc.ops.kernel import Kernel

pytestmark = needs_onednn

SYMBOL = "dnnl_conv_dx"


def deconv(shape: tuple[int, ...], out: int, kernel: int = 3, **more: Any) -> Layer:
    lists = {k: v if k in ("group", "bias_term") else (v,) for k, v in more.items()}
    attrs = ConvolutionAttrs(num_output=out, kernel_size=(kernel,), **lists)
    return Layer.of(Deconvolution, attrs, shape)


LAYERS: dict[str, Layer] = {
    "3x3": deconv((2, 32, 9, 8), 48, pad=1),
    "by 2": deconv((2, 48, 7, 9), 32, 4, stride=2, pad=1),
    "odd channels": deconv((3, 33, 6, 5), 21, stride=2),
    "1x1": deconv((2, 40, 5, 6), 24, 1),
    "one pixel": deconv((5, 64, 1, 1), 32, 5),
    "by 4": deconv((1, 32, 3, 4), 16, 8, stride=4, pad=2),
    "dilated": deconv((2, 40, 6, 7), 24, dilation=2, pad=1),
    "groups": deconv((2, 64, 6, 5), 32, group=2),
    "depthwise": deconv((2, 32, 9, 8), 32, 4, stride=2, pad=1, group=32),
    "depthwise, odd channels": deconv((2, 21, 5, 5), 21, 4, stride=2, pad=1, group=21),
    "no bias": deconv((2, 32, 5, 4), 32, bias_term=False),
}


def row_of(layer: Layer) -> Kernel:
    (row,) = (k for k in Deconvolution.kernels if k.part == "forward" and k.symbol == SYMBOL)
    assert row.when is not None and row.when(layer.attrs, layer.sig)
    return row


def told(layer: Layer, **more: Any) -> dict[str, Any]:
    attrs = row_of(layer).attrs
    assert attrs is not None
    return {**attrs(layer.attrs, layer.sig), "block": BLOCK, "plain": False, **more}


def run(
    layer: Layer, values: dict[str, Array], *, threads: int = 1, gaps: str = "", **epilogue: Any
) -> Array:
    shape = layer.sig.outs["y0"].shape
    y = room_for(shape, gap="y" in gaps)
    reads = [blocked(values["x0"], gap="x" in gaps), values["weight"]]
    reads += [values["bias"]] if "bias" in values else []
    run_packed(SYMBOL, reads, y, told(layer, **epilogue), threads)
    return plain(y, shape[1])


def wanted(layer: Layer, values: dict[str, Array]) -> Array:
    return layer.run(values)[1]["y0"]


def sums_of(layer: Layer) -> int:
    return layer.op.macs(layer.attrs, "forward", layer.sig) // layer.sig["y0"].size + 1


@pytest.mark.parametrize("name", LAYERS)
def test_beside_the_reference(name: str) -> None:
    layer = LAYERS[name]
    values = filled(layer)
    made = run(layer, values)
    close(made, wanted(layer, values), name, sums_of(layer))
    for threads in (2, 3):
        assert run(layer, values, threads=threads).tobytes() == made.tobytes()
    for gaps in ("x", "y", "xy"):
        close(run(layer, values, gaps=gaps), wanted(layer, values), name, sums_of(layer))


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.5])
@pytest.mark.parametrize("name", ["by 2", "odd channels", "depthwise, odd channels", "no bias"])
def test_with_a_relu(name: str, slope: float) -> None:
    layer = LAYERS[name]
    values = filled(layer)
    y = wanted(layer, values)
    for threads in (1, 3):
        made = run(layer, values, relu=True, slope=slope, gaps="y", threads=threads)
        close(made, np.where(y > 0, y, slope * y), name, sums_of(layer))


def test_random_deconvolutions() -> None:
    rng, done = np.random.default_rng(3), 0
    for _ in range(60):
        kernel, dilation, stride = (int(v) for v in rng.integers(1, 4, 3))
        pad = int(rng.integers(0, kernel))
        channels, out = (int(v) for v in rng.integers(1, 70, 2))
        size = [int(v) for v in rng.integers(4, 16, 2)]
        shape = (int(rng.integers(1, 4)), channels, *size)
        layer = deconv(shape, out, kernel, stride=stride, pad=pad, dilation=dilation)
        reads = [spec(room_for(shape)), ("f32", (0,), None), ("f32", (out,), None)]
        y = spec(room_for(layer.sig.outs["y0"].shape))
        if _core.kernel_fits(SYMBOL, reads, [y], told(layer)):
            values = filled(layer)
            close(run(layer, values), wanted(layer, values), str(layer.attrs), sums_of(layer))
            done += 1
    assert done > 20  # few channels are refused


def test_a_shift_of_another_size_is_refused() -> None:
    layer = LAYERS["by 2"]
    x, y = spec(room_for(layer.sig["x0"].shape)), spec(room_for(layer.sig["y0"].shape))
    empty = ("f32", (0,), None)
    for reads in ([x, empty], [x, empty, ("f32", (31,), None)], [x, empty, empty, empty]):
        with pytest.raises(GraphError, match="GC-A001"):
            _core.make_kernel(SYMBOL, reads, [y], told(layer), 1)


@pytest.mark.parametrize("train", [False, True])
def test_between_blocked_images(train: bool) -> None:
    """A network in which lowering takes it, forward and back."""
    up = 'num_output: 32 kernel_size: 4 stride: 2 pad: 1 weight_filler { type: "xavier" }'
    whole = graph(
        feed(data=(2, 16, 12, 12)),
        conv("data", "a", 32),
        layer("Deconvolution", "a", "u", f"convolution_param {{ {up} }}"),
        layer("ReLU", "u", "u", name="r"),
        conv("u", "b", 32),
    )
    x = np.random.default_rng(0).standard_normal((2, 16, 12, 12)).astype(np.float32)
    found = []
    for target in ("cpu", "reference"):
        exe = graphc.compile(whole, target=target, train=train, threads=1)
        made = dict(exe.run({"data": x}))
        if train:
            told_back = exe.backward({"b": np.ones(made["b"].shape, np.float32)})
            made |= {
                f"d {k} {i}": g for k, gs in told_back.params.items() for i, g in enumerate(gs)
            }
            made |= {f"d {k}": g for k, g in told_back.blobs.items()}
        found.append(made)
        if target == "cpu":
            calls = [c for c in exe._executor.program.calls if c.name == "u"]
    assert {c.part for c in calls} >= ({"forward", "dx0", "dweight0"} if train else {"forward"})
    for name, array in found[1].items():
        close(found[0][name], array, name, products=1000)
