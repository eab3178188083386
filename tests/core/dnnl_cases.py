"""Blocked images, and oneDNN's kernels run on them as a lowering would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from core.rows import Array, Layer, spec

from graphc import _core
from graphc.ops.convolution import Convolution, ConvolutionAttrs

needs_onednn = pytest.mark.skipif(
    _core.channel_block() == 0, reason="oneDNN is not built in, or GRAPHC_ISA does not let it run"
)
BLOCK = _core.channel_block() or 16  # test files are imported even where they are skipped
EMPTY = ("f32", (0,), (1,))
GAP = 7.0


def blocked(x: Array, *, gap: bool = False) -> Array:
    """(N, C, H, W) -> (N, ceil(C / B), H, W, B); `gap`: with other elements between samples."""
    n, c, h, w = x.shape
    blocks = -(-c // BLOCK)
    lanes = np.zeros((n, blocks * BLOCK, h, w), np.float32)
    lanes[:, :c] = x
    made = room((n, blocks, h, w, BLOCK), gap)
    made[...] = lanes.reshape(n, blocks, BLOCK, h, w).transpose(0, 1, 3, 4, 2)
    return made


def room(shape: Sequence[int], gap: bool) -> Array:
    """NaN in that shape; `gap`: a slice along axis 1 of a larger array."""
    whole = np.full((shape[0], shape[1] + 3 * gap, *shape[2:]), GAP, np.float32)
    made = whole[:, 1:-2] if gap else whole
    made[...] = np.nan
    return made


def room_for(shape: Sequence[int], *, gap: bool = False) -> Array:
    """A blocked image of NaN that has room for (N, C, H, W)."""
    made = blocked(np.zeros(shape, np.float32), gap=gap)
    made[...] = np.nan
    return made


def plain(y: Array, channels: int) -> Array:
    """The way back; what fills up the last block must be zeros, and gaps untouched."""
    if y.base is not None and y.base.ndim == y.ndim:
        assert (y.base[:, 0] == GAP).all() and (y.base[:, -2:] == GAP).all()
    n, blocks, h, w, block = y.shape
    lanes = y.transpose(0, 1, 4, 2, 3).reshape(n, blocks * block, h, w)
    assert (lanes[:, channels:] == 0).all()
    return lanes[:, :channels]


def conv(shape: tuple[int, ...], out: int, kernel: int = 3, **more: Any) -> Layer:
    lists = {k: v if k in ("group", "bias_term") else (v,) for k, v in more.items()}
    attrs = ConvolutionAttrs(num_output=out, kernel_size=(kernel,), **lists)
    return Layer.of(Convolution, attrs, shape)


def told(layer: Layer) -> dict[str, Any]:
    """What the layer tells its kernels."""
    row = layer.usable(layer.op.forwards(layer.attrs, layer.sig)[0])[0]
    return dict(row.attrs(layer.attrs, layer.sig)) if row.attrs else {}


def told_conv(layer: Layer, *, plain_x: bool = False, **more: Any) -> dict[str, Any]:
    x, y = layer.sig.ins["x0"].shape, layer.sig.outs["y0"].shape
    sizes = {"batch": x[0], "channels": x[1], "outputs": y[1]}
    return {**told(layer), **sizes, "block": BLOCK, "plain": plain_x, **more}


def run(
    symbol: str, reads: Sequence[Array], y: Array, attrs: dict[str, Any], threads: int = 1
) -> None:
    """Run a kernel; twice, for the same bits."""
    kernel = _core.make_kernel(symbol, [spec(r) for r in reads], [spec(y)], attrs, threads)
    before = y.copy()
    kernel.run(reads, [y], threads)
    if any(np.shares_memory(y, r) for r in reads):
        return
    once = y.copy()
    y[...] = before
    kernel.run(reads, [y], threads)
    assert y.tobytes() == once.tobytes()


def run_packed(
    symbol: str,
    reads: Sequence[Array],
    y: Array,
    attrs: dict[str, Any],
    threads: int = 1,
) -> None:
    """The same for a kernel whose second operand, the weight, is packed first."""
    specs = [spec(r) for r in reads]
    asked = _core.make_kernel(symbol, [specs[0], EMPTY, *specs[2:]], [spec(y)], attrs, threads)
    packed = np.full(asked.packed, np.nan, np.float32)
    name = f"{symbol}_pack"
    pack = _core.make_kernel(name, [specs[1]], [spec(packed)], attrs, threads)
    assert pack.packed == asked.packed >= reads[1].size
    pack.run([reads[1]], [packed], threads)
    run(symbol, [reads[0], packed, *reads[2:]], y, attrs, threads)


def convolve(
    layer: Layer,
    values: dict[str, Array],
    *,
    threads: int = 1,
    plain_x: bool = False,
    gaps: str = "",
    residual: Array | None = None,
    over: bool = False,
    **epilogue: Any,
) -> Array:
    """y of "dnnl_conv". `gaps`: which of x, y, r (the residual) have some; `over`: y is written
    over the residual."""
    attrs = told_conv(layer, plain_x=plain_x, **epilogue)
    x = values["x0"]
    if plain_x:
        image = room(x.shape, "x" in gaps)
        image[...] = x
    else:
        image = blocked(x, gap="x" in gaps)
    shape = layer.sig.outs["y0"].shape
    y = room_for(shape, gap="y" in gaps)
    reads = [image, values["weight"]]
    if "bias" in values:
        reads.append(values["bias"])
    if residual is not None:
        attrs["residual"] = True
        if over:
            y[...] = blocked(residual)
            reads.append(y)
        else:
            reads.append(blocked(residual, gap="r" in gaps))
    run_packed("dnnl_conv", reads, y, attrs, threads)
    return plain(y, shape[1])
