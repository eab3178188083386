"""What Winograd's convolution and its packing refuse."""

from __future__ import annotations

from typing import Any

import pytest
from core.rows import Layer, rows_of

from graphc import _core
from graphc.errors import GraphError
from graphc.ops.convolution import Convolution, ConvolutionAttrs

ROW = next(row for row in rows_of(Convolution, "forward") if row.symbol == "conv_winograd")
ATTRS = ConvolutionAttrs(num_output=9, kernel_size=(3,), pad=(1,))
LAYER = Layer.of(Convolution, ATTRS, (2, 20, 8, 8))

X, Y = ("f32", (2, 2, 8, 8, 16), None), ("f32", (2, 1, 8, 8, 16), None)
W, B = ("f32", (9 * 16 * 20,), None), ("f32", (9,), None)
TOLD = {**ROW.attrs(LAYER.attrs, LAYER.sig), "block": 16, "plain": False}


@pytest.mark.parametrize(
    ("reads", "y", "attrs", "word"),
    [
        ([], Y, {}, "number of operands"),
        ([X, W, B, Y], Y, {}, "number of operands"),
        ([X, W], Y, {}, "number of operands"),
        ([("f32", (2, 20, 8, 8), None), W, B], Y, {}, "blocks of 8 or 16"),
        ([X, W, B], ("f32", (2, 2, 8, 8, 8), None), {}, "attribute block"),
        ([X, W, B], Y, {"block": 8}, "attribute block"),
        ([X, W, B], Y, {"block": 4}, "attribute block"),
        ([X, W, B], ("f32", (2, 1, 8, 7, 16), None), {}, "y"),
        ([X, W, B], ("f32", (1, 1, 8, 8, 16), None), {}, "samples"),
        ([("f32", (2, 2, 9, 8, 16), None), W, B], Y, {}, "x"),
        ([X, ("f32", (36 * 16 * 20,), None), B], Y, {}, "packed weight"),
        ([X, W, ("f32", (16,), None)], Y, {}, "bias"),
        ([X, W, B, X], Y, {"residual": True}, "blocks of 8 or 16"),
        ([X, W, B, ("f32", (2, 1, 7, 8, 16), None)], Y, {"residual": True}, "residual"),
        ([X, W, B], Y, {"kernel": (3, 5)}, "attribute kernel"),
        ([X, W, B], Y, {"kernel": (4, 4)}, "attribute kernel"),
        ([X, W, B], Y, {"kernel": (5, 5), "pad": (2, 2)}, "packed weight"),
        ([X, W, B], Y, {"stride": (2, 1)}, "attribute stride"),
        ([X, W, B], Y, {"dilation": (1, 2)}, "attribute dilation"),
        ([X, W, B], Y, {"group": 2}, "attribute group"),
        ([X, W, B], Y, {"channels": 16}, "blocks of 8 or 16"),
    ],
)
def test_wrong_problems_are_refused(reads: Any, y: Any, attrs: Any, word: str) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel("conv_winograd", reads, [y], TOLD | attrs)
    assert caught.value.code == "GC-A001"


@pytest.mark.parametrize(
    ("weight", "to", "word"),
    [
        ((9, 20, 3, 3), 36 * 16 * 20, "packed weight"),
        ((9, 20, 3, 1), 9 * 16 * 20, "weight"),
        ((9, 20, 5, 5), 25 * 16 * 20, "weight"),
        ((9, 20, 9), 9 * 16 * 20, "weight"),
        ((9, 0, 3, 3), 0, "channels"),
    ],
)
def test_wrong_weights_are_refused(weight: Any, to: int, word: str) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel(
            "conv_winograd_pack", [("f32", weight, None)], [("f32", (to,), None)], TOLD
        )
    assert caught.value.code == "GC-A001"
