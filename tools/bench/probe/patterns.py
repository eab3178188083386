"""Fused graphs whose support on a device only that device's cuDNN tells.

Each takes a Sketch and completes it. Shapes are those of a 56x56x64 block at batch 32.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.probe.cudnn_graphs import Sketch
from bench.probe.workload import Conv

BATCH = 32
CONV = Conv(64, 64, 3, 1, 56, 1)
X = (BATCH, CONV.channels, CONV.size, CONV.size)
Y = (BATCH, CONV.filters, CONV.out, CONV.out)
W = (CONV.filters, CONV.channels, CONV.kernel, CONV.kernel)
HOW = {"padding": [1, 1], "stride": [1, 1], "dilation": [1, 1]}
PRODUCT = (256, 9216, 4096)  # rows, inner, columns of AlexNet's first inner product


def conv_bias_relu(s: Sketch) -> None:
    """y = relu(conv(x, w) + b)"""
    y = s.graph.conv_fprop(s.input("x", X), s.input("w", W), **HOW)
    bias = s.input("b", (1, CONV.filters, 1, 1))
    s.output(s.graph.relu(s.graph.bias(input=y, bias=bias)), Y)


def conv_scale_bias_add_relu(s: Sketch) -> None:
    """y = relu(conv(x, w) * scale + b + residual)"""
    y = s.graph.conv_fprop(s.input("x", X), s.input("w", W), **HOW)
    y = s.graph.mul(y, s.channel("scale", CONV.filters))
    y = s.graph.add(y, s.channel("b", CONV.filters))
    s.output(s.graph.relu(s.graph.add(y, s.input("residual", Y))), Y)


def conv_genstats(s: Sketch) -> None:
    """y = conv(x, w), with the sums of y and y^2 over each channel"""
    y = s.output(s.graph.conv_fprop(s.input("x", X), s.input("w", W), **HOW), Y)
    for part in s.graph.genstats(y):
        s.output(part, dtype=s.single)


def scale_bias_relu_conv_genstats(s: Sketch) -> None:
    """y = conv(relu(x * scale + b), w), with the sums of y and y^2; scale, b of x's type"""
    per_channel = (1, CONV.channels, 1, 1)
    x = s.graph.mul(s.input("x", X), s.input("scale", per_channel)).set_data_type(s.dtype)
    x = s.graph.add(x, s.input("b", per_channel)).set_data_type(s.dtype)
    x = s.graph.relu(x).set_data_type(s.dtype)
    y = s.output(s.graph.conv_fprop(x, s.input("w", W), **HOW), Y)
    for part in s.graph.genstats(y):
        s.output(part, dtype=s.single)


def dgrad_drelu(s: Sketch) -> None:
    """dx = conv'(dy, w) where x > 0, else 0"""
    dx = s.graph.conv_dgrad(loss=s.input("dy", Y), filter=s.input("w", W), **HOW)
    dx.set_dim(list(X))
    s.output(s.graph.relu_backward(dx, s.input("x", X)), X)


def batchnorm_relu(s: Sketch) -> None:
    """y = relu(batch normalisation of x), training, with running statistics"""
    count = CONV.channels
    y, *statistics = s.graph.batchnorm(
        name="bn",
        input=s.input("x", X),
        scale=s.channel("scale", count),
        bias=s.channel("b", count),
        in_running_mean=s.channel("mean", count),
        in_running_var=s.channel("variance", count),
        epsilon=s.scalar("epsilon", 1e-5),
        momentum=s.scalar("momentum", 0.1),
    )
    s.output(s.graph.relu(y), X)
    for statistic in statistics:
        s.output(statistic, dtype=s.single)


def matmul_bias_relu(s: Sketch) -> None:
    """y = relu(x w' + b), the weights stored [columns, inner]"""
    rows, inner, columns = PRODUCT
    x = s.input("x", (1, rows, inner), stride=(rows * inner, inner, 1))
    w = s.input("w", (1, inner, columns), stride=(inner * columns, 1, inner))
    b = s.input("b", (1, 1, columns), stride=(columns, columns, 1))
    s.output(s.graph.relu(s.graph.bias(s.graph.matmul(x, w), b)))


def add_relu(s: Sketch) -> None:
    """y = relu(x + residual)"""
    s.output(s.graph.relu(s.graph.add(s.input("x", X), s.input("residual", X))), X)


def bias_gradient(s: Sketch) -> None:
    """db = the sum of dy over images and places"""
    mode = s.cudnn.reduction_mode.ADD
    db = s.graph.reduction(input=s.input("dy", Y), mode=mode)
    s.output(db, (1, CONV.filters, 1, 1), s.single)


PATTERNS: dict[str, Callable[[Sketch], None]] = {
    pattern.__name__: pattern
    for pattern in (
        conv_bias_relu,
        conv_scale_bias_add_relu,
        dgrad_drelu,
        batchnorm_relu,
        conv_genstats,
        scale_bias_relu_conv_genstats,
        add_relu,
        matmul_bias_relu,
        bias_gradient,
    )
}
