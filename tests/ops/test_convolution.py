"""Convolution, Deconvolution, Im2col: sums by hand, geometry, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ops.calls import inferred, refused, signature

from graphc.ops import _windows
from graphc.ops._conv import ConvolutionAttrs as Attrs
from graphc.ops.convolution import Convolution
from graphc.ops.deconvolution import Deconvolution
from graphc.ops.depthwise_convolution import ConvolutionDepthwise, DepthwiseConvolution
from graphc.ops.im2col import Im2col
from graphc.ops.spec import F64, Ctx

BIG = 4294967295  # what a uint32 field of a file can hold


def run(op: Any, a: Attrs, x: F64, weight: F64) -> F64:
    sig = signature(op, a, x.shape)
    return op.reference(a, {"x0": x, "weight": weight}, Ctx(sig))["y0"]  # type: ignore[no-any-return]


def by_hand(x: F64, w: F64, stride: int, pad: int, dilation: int, group: int) -> F64:
    """Two-dimensional convolution, one product at a time."""
    n, _, height, width = x.shape
    o, per_group, kernel, _ = w.shape
    reach = dilation * (kernel - 1) + 1
    p, q = (height + 2 * pad - reach) // stride + 1, (width + 2 * pad - reach) // stride + 1
    y = np.zeros((n, o, p, q))
    for b, f, i, j in np.ndindex(*y.shape):
        for k, u, v in np.ndindex(per_group, kernel, kernel):
            row, col = i * stride - pad + u * dilation, j * stride - pad + v * dilation
            if 0 <= row < height and 0 <= col < width:
                y[b, f, i, j] += w[f, k, u, v] * x[b, f // (o // group) * per_group + k, row, col]
    return y


@pytest.mark.parametrize("block", [1, 40, 1 << 22])
def test_sum_by_hand_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(_windows, "BLOCK", block)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 6, 5)), rng.standard_normal((6, 2, 3, 3))
    a = Attrs(
        num_output=6,
        kernel_size=(3,),
        stride=(2,),
        pad=(2,),
        dilation=(2,),
        group=2,
        bias_term=False,
    )
    assert np.allclose(run(Convolution, a, x, w), by_hand(x, w, 2, 2, 2, 2))


@pytest.mark.parametrize("block", [1, 40])
@pytest.mark.parametrize("op", [Convolution, Deconvolution])
def test_gradients_do_not_depend_on_blocks(
    monkeypatch: pytest.MonkeyPatch, op: Any, block: int
) -> None:
    rng = np.random.default_rng(0)
    a = Attrs(num_output=4, kernel_size=(3,), stride=(2,), pad=(1,), group=2)
    sig = signature(op, a, (3, 4, 5, 6))
    values = {
        "x0": rng.standard_normal((3, 4, 5, 6)),
        "weight": rng.standard_normal(sig["weight"].shape),
        "dy0": rng.standard_normal(sig["y0"].shape),
    }

    def parts() -> list[F64]:
        grads = op.grads(a, sig)
        return [op.vjp(a, g.part, {r: values[r] for r in g.reads}, Ctx(sig, g.part)) for g in grads]

    whole = parts()
    monkeypatch.setattr(_windows, "BLOCK", block)
    assert all(np.allclose(p, w) for p, w in zip(parts(), whole, strict=True))


def test_deconvolution_is_the_transpose() -> None:
    rng = np.random.default_rng(0)
    a = Attrs(num_output=4, kernel_size=(3,), stride=(2,), pad=(1,), group=2, bias_term=False)
    x, y = rng.standard_normal((2, 4, 5, 5)), rng.standard_normal((2, 4, 3, 3))
    w = rng.standard_normal((4, 2, 3, 3))
    forward, back = run(Convolution, a, x, w), run(Deconvolution, a, y, w)
    assert back.shape == x.shape
    assert np.isclose((forward * y).sum(), (back * x).sum())


def test_top_shapes() -> None:
    a = Attrs(num_output=7, kernel_size=(3,), stride=(2,), pad=(1,))
    assert inferred(Convolution, a, (2, 3, 8, 9)) == {"y0": (2, 7, 4, 5)}
    assert inferred(Deconvolution, a, (2, 3, 4, 5)) == {"y0": (2, 7, 7, 9)}
    assert inferred(Im2col, a, (2, 3, 8, 9)) == {"y": (2, 27, 4, 5)}
    rect = Attrs(num_output=1, kernel_h=1, kernel_w=5, pad_w=2, stride_h=2, stride_w=1)
    assert inferred(Convolution, rect, (1, 1, 6, 7)) == {"y0": (1, 1, 3, 7)}
    for a in (Attrs(num_output=5), Attrs(num_output=5, kernel_size=(3,))):
        assert inferred(Convolution, a, (4, 6)) == {"y0": (4, 5)}


def test_a_large_kernel_is_named_with_its_input() -> None:
    a = Attrs(num_output=1, kernel_size=(5,), pad=(1,), dilation=(2,))
    told = refused("GC-S002", Convolution, a, (1, 1, 9, 6))
    assert "kernel 5 (dilated to 9)" in told and "axis 3" in told and "6 + 2 * 1 = 8" in told
    told = refused(
        "GC-S002", Deconvolution, Attrs(num_output=1, kernel_size=(1,), pad=(3,)), (1,) * 4
    )
    assert "1 * (1 - 1) + 1 - 2 * 3 = -5" in told


BASE = Attrs(num_output=4, kernel_size=(3,))


@pytest.mark.parametrize(
    "change",
    [
        {"num_output": 0},
        {"num_output": -1},
        {"group": 0},
        {"num_output": 5, "group": 2},
        {"kernel_size": ()},
        {"kernel_size": (0,)},
        {"kernel_size": (-3,)},
        {"kernel_size": (3, 3, 3)},
        {"kernel_size": (3, 0)},
        {"stride": (0,)},
        {"stride": (1, 2, 3)},
        {"dilation": (0,)},
        {"pad": (-1,)},
        {"kernel_h": 3, "kernel_w": 3},
        {"kernel_size": (), "kernel_h": 3},
        {"kernel_size": (), "kernel_w": 3},
        {"stride": (1,), "stride_h": 1, "stride_w": 1},
        {"stride_h": 2},
        {"pad": (0,), "pad_h": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("op", [Convolution, Deconvolution])
def test_wrong_options(op: Any, change: dict[str, Any]) -> None:
    told = refused("GC-N008", op, replace(BASE, **change), (2, 4, 8, 8))
    assert any(name.split("_")[0] in told for name in change)


def test_wrong_bottoms() -> None:
    assert "3 channels" in refused("GC-S002", Convolution, replace(BASE, group=2), (2, 3, 8, 8))
    told = refused("GC-S003", Convolution, BASE, (2, 4, 8, 8), (2, 4, 8, 9), tops=2)
    assert "(2, 4, 8, 8)" in told and "(2, 4, 8, 9)" in told
    refused("GC-N004", Convolution, BASE, (2, 4, 8, 8), (2, 4, 8, 8), tops=1)
    refused("GC-S002", Convolution, BASE, ())
    refused("GC-S002", Convolution, replace(BASE, axis=4), (2, 4, 8, 8))
    refused("GC-S002", Convolution, replace(BASE, axis=-5), (2, 4, 8, 8))
    refused("GC-S002", Convolution, BASE, (2, 0, 8, 8))
    pair = Attrs(num_output=4, kernel_h=3, kernel_w=3)
    assert "two spatial axes" in refused("GC-N008", Convolution, pair, (2, 4, 8, 8, 8))


@pytest.mark.parametrize(
    ("op", "a", "code"),
    [
        (Convolution, Attrs(num_output=1, kernel_size=(BIG,)), "GC-S002"),
        (Convolution, Attrs(num_output=1, kernel_size=(2,), dilation=(BIG,)), "GC-S002"),
        (Convolution, Attrs(num_output=BIG, kernel_size=(1,)), "GC-S001"),
        (Convolution, Attrs(num_output=1, kernel_size=(1,), pad=(BIG,)), "GC-S001"),
        (Convolution, Attrs(num_output=1, kernel_size=(BIG,), pad=(BIG,)), "GC-S001"),
        (Deconvolution, Attrs(num_output=1, kernel_size=(BIG,)), "GC-S001"),
        (Deconvolution, Attrs(num_output=1, kernel_size=(1,), stride=(BIG,)), "GC-S001"),
        (Deconvolution, Attrs(num_output=1, kernel_size=(1,), pad=(BIG,)), "GC-S002"),
        (Im2col, Attrs(kernel_size=(BIG,), pad=(BIG,)), "GC-S001"),
        (Im2col, Attrs(kernel_size=(0,)), "GC-N008"),
    ],
)
def test_numbers_as_large_as_the_file_allows(op: Any, a: Attrs, code: str) -> None:
    refused(code, op, a, (2, 1, 4, 4))


def test_a_stride_beyond_the_image_leaves_one_window() -> None:
    a = Attrs(num_output=1, kernel_size=(2,), stride=(BIG,), bias_term=False)
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    assert run(Convolution, a, x, np.ones((1, 1, 2, 2))).tolist() == [[[[10.0]]]]


def test_many_axes() -> None:
    """As many spatial axes as a type can have."""
    x = np.ones((1, 2, *(1,) * 29, 2))
    a = Attrs(num_output=1, kernel_size=(1,) * 29 + (2,), bias_term=False)
    y = run(Convolution, a, x, np.ones((1, 2, *(1,) * 29, 2)))
    assert y.shape == (1,) * 32 and y.item() == 4


@pytest.mark.parametrize("op", [DepthwiseConvolution, ConvolutionDepthwise])
def test_depthwise_is_a_grouped_convolution(op: Any) -> None:
    a = Attrs(num_output=6, kernel_size=(3,))
    sig = signature(op, a, (1, 3, 5, 5))
    assert sig["weight"].shape == (6, 1, 3, 3)
    (layer,) = op.expand(a, sig)
    assert layer.op is Convolution and layer.attrs == replace(a, group=3)
    assert (layer.ins, layer.outs, layer.params) == (("x0",), ("y0",), ("weight", "bias"))
    refused("GC-N008", op, Attrs(num_output=4, kernel_size=(3,)), (1, 3, 5, 5))
    assert op.expand(replace(a, group=3), sig)[0].attrs.group == 3
