"""Gradients of layers that are sums of products: each kernel of each part beside the vjp."""

from __future__ import annotations

import numpy as np
import pytest
from core.dnnl_cases import conv, needs_onednn
from core.gradient_cases import Call, agree, filled, grads, ways
from core.rows import Layer, cased, spec

from graphc import _core
from graphc.check.case import Case
from graphc.errors import GraphError
from graphc.ops.convolution import Convolution, ConvolutionAttrs
from graphc.ops.deconvolution import Deconvolution
from graphc.ops.embed import Embed, EmbedAttrs
from graphc.ops.im2col import Im2col
from graphc.ops.inner_product import InnerProduct, InnerProductAttrs

SUMS = (Convolution, Deconvolution, InnerProduct, Embed, Im2col)
SAMPLES = [Case(op, i) for op in SUMS for i in range(len(op.samples))]


def deconv(shape: tuple[int, ...], out: int, kernel: int = 3, **more: int) -> Layer:
    lists = {k: v if k == "group" else (v,) for k, v in more.items()}
    attrs = ConvolutionAttrs(num_output=out, kernel_size=(kernel,), **lists)
    return Layer.of(Deconvolution, attrs, shape)


def product(shape: tuple[int, ...], out: int, **more: bool | int) -> Layer:
    return Layer.of(InnerProduct, InnerProductAttrs(num_output=out, **more), shape)


LAYERS: dict[str, Layer] = {
    "3x3": conv((2, 64, 14, 14), 64, pad=1),
    "3x3, not padded": conv((2, 20, 10, 9), 18),
    "3x3, padded by 2": conv((2, 18, 9, 7), 20, pad=2),
    "3x3, padded by 3": conv((1, 8, 5, 6), 9, pad=3),
    "odd channels": conv((2, 17, 13, 11), 24, pad=1),
    "odd channels by 2": conv((5, 24, 15, 16), 17, pad=1, stride=2),
    "1x1": conv((2, 48, 10, 9), 33, 1),
    "1x1 by 2": conv((5, 64, 15, 14), 32, 1, stride=2),
    "7x7 planes": conv((5, 96, 7, 7), 80, pad=1),
    "5x5, padded by 2": conv((1, 32, 9, 9), 19, 5, pad=2),
    "5x5, padded by 4": conv((3, 17, 12, 10), 50, 5, pad=4),
    "5x5, padded by 5": conv((2, 9, 6, 7), 20, 5, pad=5),
    "5x5, not padded": conv((4, 20, 12, 12), 50, 5),
    "7x7 by 3": conv((2, 20, 23, 25), 16, 7, stride=3, pad=3),
    "windows leave two rows out": conv((2, 16, 12, 13), 16, 4, stride=3),
    "dilated": conv((2, 32, 20, 19), 40, pad=2, dilation=2),
    "dilated by 2": conv((2, 5, 20, 19), 6, dilation=3, stride=2),
    "one window": conv((7, 40, 6, 6), 50, 6),
    "groups": conv((2, 64, 11, 12), 96, pad=1, group=2),
    "odd groups": conv((3, 12, 9, 8), 18, pad=1, group=3),
    "depthwise": conv((2, 48, 14, 15), 48, pad=1, group=48),
    "depthwise by 2": conv((5, 64, 15, 13), 64, pad=1, stride=2, group=64),
    "depthwise, two each": conv((2, 9, 8, 7), 18, pad=1, group=9),
    "no bias": conv((2, 32, 9, 9), 16, pad=1, bias_term=False),
    "gray": conv((3, 1, 28, 28), 20, 5),
    "colour": conv((2, 3, 33, 35), 64, 7, stride=2, pad=3),
    "colour, 11x11 by 4": conv((2, 3, 67, 59), 96, 11, stride=4),
    "long rows": conv((1, 4, 40, 45), 130, 3),
    "line": Layer.of(Convolution, ConvolutionAttrs(num_output=5, kernel_size=(4,)), (3, 6, 90)),
    "volume": Layer.of(
        Convolution,
        ConvolutionAttrs(num_output=4, kernel_size=(3, 2, 3), stride=(1, 2, 2), pad=(1, 0, 2)),
        (2, 3, 6, 7, 8),
    ),
    "up by 2": deconv((2, 10, 7, 9), 6, 4, stride=2, pad=1),
    "up by 3, dilated": deconv((1, 8, 6, 5), 4, 3, stride=3, dilation=2),
    "up, groups": deconv((3, 12, 6, 5), 9, 3, stride=2, group=3),
    "up, each channel": deconv((2, 7, 9, 8), 7, 4, stride=2, pad=1, group=7),
    "up by 2, many channels": deconv((2, 48, 7, 9), 32, 4, stride=2, pad=1),
    "up by 2, odd channels": deconv((3, 33, 6, 5), 21, 3, stride=2),
    "up, dilated, many channels": deconv((2, 40, 6, 7), 24, dilation=2, pad=1),
    "up by 2, depthwise": deconv((2, 32, 9, 8), 32, 4, stride=2, pad=1, group=32),
    "few": product((5, 17), 10),
    "image": product((16, 20, 4, 4), 33),
    "rows of two axes": product((3, 7, 40), 24, axis=2),
    "deep": product((33, 700), 600),
    "wide": product((3, 900), 1000, bias_term=False),
    "turned": product((16, 300), 70, transpose=True),
    "turned, two axes": product((2, 5, 8, 6), 90, axis=2, transpose=True),
    "all one sample": product((6, 5), 7, axis=0),
}
CASES = [
    *((f"{case.id}", cased(case)) for case in SAMPLES),
    *((name, layer) for name, layer in LAYERS.items()),
]
PARTS = [(name, layer, part) for name, layer in CASES for part in grads(layer)]
each_part = pytest.mark.parametrize(
    ("layer", "part"),
    [(layer, part) for _, layer, part in PARTS],
    ids=[f"{name}-{part}" for name, _, part in PARTS],
)


def values_of(layer: Layer) -> dict[str, np.ndarray]:
    values = filled(layer)
    if layer.op is Embed:
        x, rows = values["x"], layer.attrs.input_dim
        values["x"] = np.random.default_rng(1).uniform(0, rows, x.shape).astype(np.float32)
    return values


@each_part
def test_every_kernel_of_a_part(layer: Layer, part: str) -> None:
    assert agree(layer, part, values_of(layer)), "no kernel does this part"


@pytest.mark.parametrize("isa", ["portable", "avx2"])
@each_part
def test_with_other_instructions(
    layer: Layer, part: str, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_ISA", isa)
    assert agree(layer, part, values_of(layer)), "no kernel does this part"


@needs_onednn
def test_onednn_does_what_can_be_blocked() -> None:
    for name in ("3x3", "odd channels by 2", "1x1 by 2", "groups", "depthwise", "colour"):
        values = values_of(LAYERS[name])
        assert name == "colour" or "dnnl_conv_dx" in agree(LAYERS[name], "dx0", values), name
        assert "dnnl_conv_dweight" in agree(LAYERS[name], "dweight0", values), name


@needs_onednn
def test_onednn_does_deconvolutions_that_can_be_blocked() -> None:
    for name in ("up by 2, many channels", "up, dilated, many channels", "up by 2, depthwise"):
        values = values_of(LAYERS[name])
        assert "dnnl_conv" in agree(LAYERS[name], "dx0", values), name
        is_whole = "depthwise" not in name  # the kernel is even there, and padded
        assert is_whole == ("dnnl_conv_dweight" in agree(LAYERS[name], "dweight0", values)), name


@needs_onednn
def test_winograd_does_what_is_padded_by_less_than_a_kernel() -> None:
    for name in ("3x3", "3x3, not padded", "3x3, padded by 2", "odd channels", "5x5, padded by 4"):
        assert "conv_winograd" in agree(LAYERS[name], "dx0", values_of(LAYERS[name])), name
    for name in ("3x3, padded by 3", "odd channels by 2", "groups", "1x1", "5x5, padded by 5"):
        assert "conv_winograd" not in agree(LAYERS[name], "dx0", values_of(LAYERS[name])), name


@needs_onednn
def test_winograd_makes_the_weights_gradient_however_padded() -> None:
    symbol = "conv_winograd_dweight"
    for name in ("3x3", "3x3, padded by 3", "7x7 planes", "5x5, padded by 5", "5x5, not padded"):
        assert symbol in agree(LAYERS[name], "dweight0", values_of(LAYERS[name])), name
    for name in ("odd channels by 2", "groups", "1x1", "dilated"):
        assert symbol not in agree(LAYERS[name], "dweight0", values_of(LAYERS[name])), name


@needs_onednn
def test_random_convolutions() -> None:
    rng = np.random.default_rng(4)
    for _ in range(40):
        kernel, dilation, stride = (int(v) for v in rng.integers(1, 4, 3))
        pad = int(rng.integers(0, kernel))
        size = [int(v) + dilation * (kernel - 1) + 1 for v in rng.integers(0, 20, 2)]
        channels, out = (int(v) for v in rng.integers(1, 70, 2))
        shape = (int(rng.integers(1, 4)), channels, *size)
        layer = conv(shape, out, kernel, stride=stride, pad=pad, dilation=dilation)
        for part in grads(layer):
            assert agree(layer, part, filled(layer))


def test_an_id_that_is_no_row() -> None:
    layer = Layer.of(Embed, EmbedAttrs(num_output=3, input_dim=4), (5,))
    values = filled(layer) | {"x": np.array([0, 3, 1, 4, 2], np.float32)}
    ((row, sides),) = ways(layer, "dweight")
    with pytest.raises(GraphError, match=r"GC-D003.*id 4 at element 3 is outside 0\.\.3"):
        Call(layer, "dweight", row, sides, values).run()


@pytest.mark.parametrize("part", ["dx0", "dweight0", "dbias0"])
def test_unfit_operands_are_refused(part: str) -> None:
    layer = LAYERS["3x3"]
    values = filled(layer)
    for row, sides in ways(layer, part):
        call = Call(layer, part, row, sides, values)
        reads, result = [spec(r) for r in call.reads.values()], spec(call.result)
        larger = (result[0], (result[1][0] + 40, *result[1][1:]), result[2])
        for told in ((reads[1:], result), (reads, larger), ([*reads, result], result)):
            with pytest.raises(GraphError, match="GC-A001"):
                _core.make_kernel(row.symbol, told[0], [told[1]], call.attrs, 1)
