"""What convolution, deconvolution and im2col share: options, geometry, parts and ties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from graphc.errors import fail
from graphc.ir.op import Filler, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._windows import Window, Windows
from graphc.ops.kernel import BLOCKED, PLAIN, Kernel
from graphc.ops.spec import Grad
from graphc.ops.ties import Algebra, Balance, Free, Grouped, Kept, Tie
from graphc.records import record

Ints = tuple[int, ...]


@record(frozen=True)
class ConvolutionAttrs:
    """Options of Convolution, Deconvolution and Im2col.

    kernel_size, stride, pad and dilation hold one entry for all spatial axes or one for each; the
    `_h`/`_w` forms are for two spatial axes and exclude the others. `engine` and
    `force_nd_im2col` chose among Caffe's implementations and change nothing here. `conv_mode`:
    how the weight is laid out, see `graphc.ops._sparse`.
    """

    num_output: int = 0
    bias_term: bool = True
    pad: Ints = ()
    kernel_size: Ints = ()
    stride: Ints = ()
    dilation: Ints = ()
    pad_h: int | None = None
    pad_w: int | None = None
    kernel_h: int | None = None
    kernel_w: int | None = None
    stride_h: int | None = None
    stride_w: int | None = None
    group: int = 1
    weight_filler: Filler = Filler()
    bias_filler: Filler = Filler()
    engine: str = "DEFAULT"
    axis: int = 1
    force_nd_im2col: bool = False
    conv_mode: str = "LOWERED_GEMM"


@lru_cache(maxsize=4096)
def conv_windows(a: ConvolutionAttrs, x: Type) -> Windows:
    """Windows over each spatial axis of `x`. Raises GC-N008, and GC-S002 for a kernel too large."""
    axis = x.axis(a.axis)
    windows = tuple(Window(size, *options) for size, options in _options(a, x, axis))
    for i, w in enumerate(windows, axis + 1):
        if w.out < 1:
            dilated = f" (dilated to {w.reach})" if w.reach != w.kernel else ""
            fail(
                "GC-S002",
                f"kernel {w.kernel}{dilated} is larger than axis {i} of x {x.shape}, "
                f"padded to {w.size} + 2 * {w.pad} = {w.padded}",
                "use a smaller kernel, more padding or a larger input",
            )
    return windows


def deconv_windows(a: ConvolutionAttrs, x: Type) -> Windows:
    """Windows over each spatial axis of the *top*, such that x holds one element per window."""
    axis = x.axis(a.axis)
    windows = []
    for i, (count, options) in enumerate(_options(a, x, axis), axis + 1):
        w = Window(0, *options)
        size = w.stride * (count - 1) + w.reach - 2 * w.pad
        if size < 1:
            fail(
                "GC-S002",
                f"axis {i} of x {x.shape} gives {w.stride} * ({count} - 1) + {w.reach} - "
                f"2 * {w.pad} = {size} elements (stride, kernel, pad)",
                "use less padding or a larger kernel",
            )
        windows.append(Window(size, *options))
    return tuple(windows)


def _options(a: ConvolutionAttrs, x: Type, axis: int) -> Iterator[tuple[int, Ints]]:
    """(extent, (kernel, stride, pad, dilation)) of each spatial axis."""
    sizes = x.shape[axis + 1 :]
    kernel = _per_axis("kernel_size", a.kernel_size, (a.kernel_h, a.kernel_w), x, len(sizes), 1)
    stride = _per_axis("stride", a.stride, (a.stride_h, a.stride_w), x, len(sizes), 1, 1)
    pad = _per_axis("pad", a.pad, (a.pad_h, a.pad_w), x, len(sizes), 0, 0)
    dilation = _per_axis("dilation", a.dilation, (None, None), x, len(sizes), 1, 1)
    return zip(sizes, zip(kernel, stride, pad, dilation, strict=True), strict=True)


def _per_axis(
    name: str,
    repeated: Ints,
    pair: tuple[int | None, int | None],
    x: Type,
    axes: int,
    least: int,
    default: int | None = None,
) -> Ints:
    """One option's value for each of the `axes` spatial axes of `x`."""
    short = name.removesuffix("_size")
    if pair != (None, None):
        if repeated:
            fail("GC-N008", f"{name} and {short}_h / {short}_w are both given", "keep one form")
        if axes != 2:
            fail(
                "GC-N008",
                f"{short}_h / {short}_w need two spatial axes, x {x.shape} has {axes}",
                f"repeat {name} once per axis",
            )
        missing = 0 if name == "pad" else None
        values = tuple(missing if v is None else v for v in pair)
    elif not repeated:
        values = (default,) * axes
    elif len(repeated) == 1:
        values = repeated * axes
    elif len(repeated) == axes:
        values = repeated
    else:
        fail(
            "GC-N008",
            f"{name} has {len(repeated)} entries, x {x.shape} has {axes} spatial axes",
            "give one entry, or one per axis",
        )
    checked = []
    for value in values:
        if value is None:
            fail("GC-N008", f"{name} (or {short}_h and {short}_w) is missing")
        if value < least:
            fail("GC-N008", f"{name} is {value}, but must be at least {least}")
        checked.append(value)
    return tuple(checked)


def conv_told(a: ConvolutionAttrs, x: Type, windows: Windows) -> dict[str, Any]:
    """What kernels are told, see csrc/kernels/spatial_options.h."""
    axis = x.axis(a.axis)
    return {
        "axis": axis,
        "group": a.group,
        "bias": a.bias_term,
        "size": x.shape[axis + 1 :],
        "kernel": tuple(w.kernel for w in windows),
        "stride": tuple(w.stride for w in windows),
        "pad": tuple(w.pad for w in windows),
        "dilation": tuple(w.dilation for w in windows),
    }


def packed_size(groups: int, outputs: int, depth: int) -> int:
    """Floats of a packed weight: `outputs` per group, in sixteens, of `depth` products each."""
    return groups * -(-outputs // 16) * 16 * depth


def check_channels(a: ConvolutionAttrs, x: Type) -> None:
    """Raise GC-N008 for bad num_output or group, GC-S002 if the groups do not divide."""
    axis = x.axis(a.axis)
    if a.num_output < 1:
        fail("GC-N008", f"num_output is {a.num_output}", "set convolution_param.num_output")
    if a.group < 1:
        fail("GC-N008", f"group is {a.group}, but must be at least 1")
    if x.shape[axis] < 1:
        fail("GC-S002", f"x {x.shape} has no channels (axis {axis})")
    if x.shape[axis] % a.group:
        fail(
            "GC-S002",
            f"{x.shape[axis]} channels of x {x.shape} do not divide into group: {a.group}",
        )
    if a.num_output % a.group:
        fail("GC-N008", f"num_output: {a.num_output} does not divide into group: {a.group}")


def check_equal(s: Sig) -> None:
    """Raise GC-S003 unless all bottoms have one shape."""
    types = s.many("x")
    for i, t in enumerate(types):
        if t.shape != types[0].shape:
            fail("GC-S003", f"x0 is {types[0].shape}, but x{i} is {t.shape}; they share weights")


def conv_traits(a: ConvolutionAttrs, x: Type, traits: frozenset[Trait]) -> frozenset[Trait]:
    """With channels on axis 0 there are no samples to separate."""
    return traits if x.axis(a.axis) else traits - {Trait.BATCH_SEPARABLE}


def pair_grads(a: ConvolutionAttrs, s: Sig) -> tuple[Grad, ...]:
    """Parts of layers whose bottom/top pairs share weights: x{i}, then summands of the weights."""
    parts: list[Grad] = []
    for i in range(len(s.many("x"))):
        parts.append(Grad(f"x{i}", (f"dy{i}", "weight")))
        parts.append(Grad("weight", (f"dy{i}", f"x{i}"), accumulate=True, name=f"dweight{i}"))
        if a.bias_term:
            parts.append(Grad("bias", (f"dy{i}",), accumulate=True, name=f"dbias{i}"))
    return tuple(parts)


def bias_gradients() -> tuple[Kernel, ...]:
    """Rows of a bias' gradient; of a blocked dy, too."""
    sums = Kernel(
        "cpu",
        "dbias*",
        "channel_sums",
        attrs=lambda a, s: {"axis": s.ins["x0"].axis(a.axis)},
        formats=((PLAIN, PLAIN), (BLOCKED, BLOCKED)),
        adds=True,
    )
    return (sums,)


def pair_ties(a: ConvolutionAttrs, s: Sig, *, lead: str) -> Algebra:
    """Channel algebra; `lead` ("x" or "y") is the side whose channels index the weight's axis 0."""
    x = s.ins["x0"]
    axis = x.axis(a.axis)
    table: list[Tie | Grouped | Balance | Free] = []
    for i in range(len(s.many("x"))):
        inn, out = f"x{i}.{axis}", f"y{i}.{axis}"
        first, second = (inn, out) if lead == "x" else (out, inn)
        table.append(Tie(first, "weight.0"))
        if a.bias_term:
            table.append(Tie(out, "bias.0"))
        if a.group == 1:
            table += [Free(out), Tie(second, "weight.1")]
        elif a.group == x.shape[axis]:  # depthwise: a channel goes with all made from it
            table.append(Tie(inn, out, repeat=a.num_output // a.group))
        else:
            table += [Free(out), Grouped(second, "weight.1", a.group)]
            table += [Balance(inn, a.group), Balance(out, a.group)]
        table += [Tie(f"x{i}.{k}", f"y{i}.{k}") for k in range(1, axis)]
    return tuple(table)


def pair_narrow(a: ConvolutionAttrs, s: Sig, kept: Kept) -> ConvolutionAttrs:
    """Attributes with the outputs that are left; a depthwise layer has as many groups as inputs."""
    x = s.ins["x0"]
    axis = x.axis(a.axis)
    inputs, outputs = kept.get(f"x0.{axis}"), kept.get(f"y0.{axis}")
    group = a.group
    if inputs is not None and 1 < group == x.shape[axis]:
        group = len(inputs)
    return replace(a, group=group, num_output=a.num_output if outputs is None else len(outputs))
