"""Conv: a convolution's weights and geometry in float64, and the one that two of them amount to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from graphc.ops.spec import F64
from graphc.records import record

Ints: TypeAlias = tuple[int, ...]


@record(frozen=True)
class Conv:
    """y[n] = sum_c,k weight[n,c,k] x[c, p * stride - pad + k * dilation] + bias[n], per group.

    weight: (N, C / group, kernel...); bias: (N,) or None; `stride`, `pad`, `dilation`: one entry
    per spatial axis. An inner product has no spatial axes.
    """

    weight: F64
    bias: F64 | None = None
    group: int = 1
    stride: Ints = ()
    pad: Ints = ()
    dilation: Ints = ()

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[0])

    @property
    def inputs(self) -> int:
        return int(self.weight.shape[1]) * self.group

    @property
    def kernel(self) -> Ints:
        return self.weight.shape[2:]

    @property
    def groups(self) -> F64:
        """The weight as (group, N / group, C / group, kernel...)."""
        return self.weight.reshape(self.group, -1, *self.weight.shape[1:])

    @property
    def params(self) -> int:
        return self.weight.size + (0 if self.bias is None else self.bias.size)

    def outs(self, sizes: Ints) -> Ints:
        """Extents of the top's spatial axes, of a bottom with extents `sizes`."""
        windows = zip(sizes, self.kernel, self.stride, self.pad, self.dilation, strict=True)
        return tuple((x + 2 * p - d * (k - 1) - 1) // s + 1 for x, k, s, p, d in windows)

    def macs(self, sizes: Ints) -> int:
        """Multiply-adds of one sample."""
        return self.weight.size * math.prod(self.outs(sizes))

    def with_geometry(self, axes: Sequence[int]) -> dict[str, Ints]:
        """Stride, pad and dilation along `axes`, and nothing along the others."""
        every = range(len(self.kernel))
        return {
            "stride": tuple(self.stride[i] if i in axes else 1 for i in every),
            "pad": tuple(self.pad[i] if i in axes else 0 for i in every),
            "dilation": tuple(self.dilation[i] if i in axes else 1 for i in every),
        }


def product(first: Conv, second: Conv) -> Conv | str:
    """The convolution that computes `second` of `first`; else why there is none.

    Along each axis one of them must do nothing (kernel 1, stride 1, no padding), and where `first`
    has a bias, `second` must not pad, which would pad with something else than that bias.
    """
    if first.outputs != second.inputs:
        return f"{first.outputs} outputs are not {second.inputs} inputs"
    for axis in range(len(first.kernel)):
        if not (_is_idle(first, axis) or _is_idle(second, axis)):
            return f"both have a kernel, a stride or padding along spatial axis {axis}"
    if first.bias is not None and any(second.pad):
        return "the bias in between would be padded with zeros"
    group = math.gcd(first.group, second.group)
    a, b = regrouped(first, group).groups, regrouped(second, group).groups
    weight = _multiplied(a, b).reshape(second.outputs, first.inputs // group, *_kernel(a, b))
    bias = second.bias
    if first.bias is not None:
        taps = tuple(range(2, 2 + len(second.kernel)))
        moved = second.groups.sum(axis=tuple(t + 1 for t in taps))
        carried = np.einsum("gnm,gm->gn", moved, first.bias.reshape(second.group, -1)).reshape(-1)
        bias = carried if bias is None else bias + carried
    geometry = {
        key: tuple(
            getattr(second if _is_idle(first, axis) else first, key)[axis]
            for axis in range(len(first.kernel))
        )
        for key in ("stride", "pad", "dilation")
    }
    return Conv(weight, bias, group, **geometry)


def total(convs: Sequence[Conv]) -> Conv | str:
    """The convolution that computes the sum of what `convs` of one geometry compute; or why not."""
    first = convs[0]
    shapes = {(c.outputs, c.inputs, c.kernel, c.stride, c.pad, c.dilation) for c in convs}
    if len(shapes) > 1:
        return "the summands differ in their shapes"
    group = math.gcd(*(c.group for c in convs))
    biases = [c.bias for c in convs if c.bias is not None]
    weight = sum((regrouped(c, group).weight for c in convs[1:]), regrouped(first, group).weight)
    bias = sum(biases[1:], biases[0]) if biases else None
    return replace(first, weight=weight, bias=bias, group=group)


def regrouped(conv: Conv, group: int) -> Conv:
    """The same convolution with `group` groups, a divisor of those it has; the rest are zeros."""
    if group == conv.group:
        return conv
    parts = conv.group // group
    count, depth, *kernel = conv.groups.shape[1:]
    old = conv.groups.reshape(group, parts, count, depth, *kernel)
    weight = np.zeros((group, parts, count, parts, depth, *kernel))
    for part in range(parts):
        weight[:, part, :, part] = old[:, part]
    shape = (conv.outputs, conv.inputs // group, *kernel)
    return replace(conv, weight=weight.reshape(shape), group=group)


def _is_idle(conv: Conv, axis: int) -> bool:
    return conv.kernel[axis] == 1 and conv.stride[axis] == 1 and not conv.pad[axis]


def _kernel(a: F64, b: F64) -> Ints:
    return tuple(max(pair) for pair in zip(a.shape[3:], b.shape[3:], strict=True))


def _multiplied(a: F64, b: F64) -> F64:
    """sum_m b[g,n,m,l...] a[g,m,c,k...] as (g, n, c, then l and k of each axis)."""
    groups, middle, depth, *inner = a.shape
    count, outer = b.shape[1], b.shape[3:]
    rows = np.moveaxis(b, 2, -1).reshape(groups, -1, middle)
    found = rows @ a.reshape(groups, middle, -1)
    found = found.reshape(groups, count, *outer, depth, *inner)
    axes = len(inner)
    pairs = (axis for i in range(axes) for axis in (2 + i, 3 + axes + i))
    return np.transpose(found, (0, 1, 2 + axes, *pairs))


__all__ = ["Conv", "Ints", "product", "regrouped", "total"]
