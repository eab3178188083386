"""Convolutions with random and with planted weights, and what they compute."""

from __future__ import annotations

import numpy as np

from graphc.factor.conv import Conv
from graphc.factor.decomposition import Paths
from graphc.ops._correlation import Correlation, add_bias
from graphc.ops._windows import Window


def random_conv(
    kernel=(3, 3), outputs=12, inputs=8, group=1, stride=None, pad=None, dilation=None, seed=0
) -> Conv:
    rng = np.random.default_rng(seed)
    axes = len(kernel)
    return Conv(
        rng.standard_normal((outputs, inputs // group, *kernel)),
        rng.standard_normal(outputs),
        group,
        stride or (1,) * axes,
        pad or (0,) * axes,
        dilation or (1,) * axes,
    )


def compute(conv: Conv, x):
    """The layer's top by the reference convolution; x (N, C, extent...)."""
    windows = zip(x.shape[2:], conv.kernel, conv.stride, conv.pad, conv.dilation, strict=True)
    correlation = Correlation(1, tuple(Window(*each) for each in windows), conv.group)
    y = correlation.apply(x, conv.weight)
    return y if conv.bias is None else add_bias(y, conv.bias, 1)


def compute_paths(paths: Paths, x):
    found = 0
    for path in paths:
        y = x
        for factor in path:
            y = compute(factor.conv, y)
        found = found + y
    return found
