"""Small nets: SqueezeNet 1.0 and 1.1, MobileNet v1 and v2."""

from __future__ import annotations

from typing import Any

from nets.builder import PLAIN, XAVIER, Mult, Net, gaussian

# Squeeze and expand widths of fire2 .. fire9: table 1 of Iandola et al. 2016.
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


def squeezenet_v1_0(train: bool) -> Net:
    """Iandola et al., "SqueezeNet", 2016."""
    return _squeezenet(train, "1.0", 96, 7, pools=(1, 4, 8), pad=1)


def squeezenet_v1_1(train: bool) -> Net:
    """Its authors' later variant: a smaller first layer, earlier pooling."""
    return _squeezenet(train, "1.1", 64, 3, pools=(1, 3, 5), pad=0)


def _squeezenet(
    train: bool, version: str, first: int, kernel: int, pools: tuple[int, ...], pad: int
) -> Net:
    """`pools`: pooling follows these modules; `pad`: the released 1.0 pads its last 1x1."""
    net = Net(f"SqueezeNet-{version}", train=train, image=(3, 227, 227), weight=XAVIER, mult=PLAIN)
    x = net.relu(net.conv("data", "conv1", first, kernel, stride=2), "relu_conv1")
    x = net.pool(x, "pool1", "MAX", 3, 2)
    for index, (squeeze, expand) in enumerate(FIRES, 2):
        x = _fire(net, x, f"fire{index}", squeeze, expand)
        if index in pools:
            x = net.pool(x, f"pool{index}", "MAX", 3, 2)
    x = net.dropout(x, "drop9")
    x = net.conv(x, "conv10", 1000, 1, pad=pad, weight=gaussian(0.01))
    net.finish(net.pool(net.relu(x, "relu_conv10"), "pool10", "AVE"))
    return net


def _fire(net: Net, x: str, part: str, squeeze: int, expand: int) -> str:
    def conv(x: str, name: str, out: int, kernel: int) -> str:
        y = net.conv(x, f"{part}/{name}", out, kernel, pad=kernel // 2)
        return net.relu(y, f"{part}/relu_{name}")

    x = conv(x, "squeeze1x1", squeeze, 1)
    a, b = conv(x, "expand1x1", expand, 1), conv(x, "expand3x3", expand, 3)
    return net.concat(f"{part}/concat", a, b)


NO_DECAY: Mult = ((1, 0), (1, 0))

# Output channels and stride of each depthwise separable pair: table 1 of Howard et al. 2017.
PAIRS = {
    "conv2_1": (64, 1),
    "conv2_2": (128, 2),
    "conv3_1": (128, 1),
    "conv3_2": (256, 2),
    "conv4_1": (256, 1),
    "conv4_2": (512, 2),
    "conv5_1": (512, 1),
    "conv5_2": (512, 1),
    "conv5_3": (512, 1),
    "conv5_4": (512, 1),
    "conv5_5": (512, 1),
    "conv5_6": (1024, 2),
    "conv6": (1024, 1),
}


def mobilenet_v1(train: bool) -> Net:
    """Howard et al., "MobileNets", 2017, width 1."""
    net = Net("MobileNet-v1", train=train)

    def unit(x: str, name: str, out: int, kernel: int, **more: Any) -> str:
        x = net.conv(x, name, out, kernel, pad=kernel // 2, has_bias=False, **more)
        x = net.norm(x, f"{name}/bn", f"{name}/scale", mult=NO_DECAY)
        return net.relu(x, name.replace("conv", "relu"))

    x, channels = unit("data", "conv1", 32, 3, stride=2), 32
    for name, (out, stride) in PAIRS.items():
        x = unit(x, f"{name}/dw", channels, 3, stride=stride, group=channels)
        x, channels = unit(x, f"{name}/sep", out, 1), out
    net.finish(net.conv(net.pool(x, "pool6", "AVE"), "fc7", 1000, 1))
    return net


# Expansion, output channels, stride and names of the blocks: table 2 of Sandler et al. 2018.
BOTTLENECKS = (
    (1, 16, 1, ("2_1",)),
    (6, 24, 2, ("2_2", "3_1")),
    (6, 32, 2, ("3_2", "4_1", "4_2")),
    (6, 64, 2, ("4_3", "4_4", "4_5", "4_6")),
    (6, 96, 1, ("4_7", "5_1", "5_2")),
    (6, 160, 2, ("5_3", "6_1", "6_2")),
    (6, 320, 1, ("6_3",)),
)


def mobilenet_v2(train: bool) -> Net:
    """Sandler et al., "MobileNetV2", 2018, width 1; ReLU for ReLU6, which Caffe lacks."""
    net = Net("MobileNet-v2", train=train)

    def unit(x: str, name: str, out: int, kernel: int, active: bool = True, **more: Any) -> str:
        x = net.conv(x, name, out, kernel, pad=kernel // 2, has_bias=False, **more)
        x = net.norm(x, f"{name}/bn", f"{name}/scale", f"{name}/bn", mult=NO_DECAY)
        return net.relu(x, name.replace("conv", "relu")) if active else x

    x, channels = unit("data", "conv1", 32, 3, stride=2), 32
    for factor, out, first_stride, names in BOTTLENECKS:
        for name in names:
            stride, hidden, shortcut = first_stride if name == names[0] else 1, channels * factor, x
            if factor > 1:
                x = unit(x, f"conv{name}/expand", hidden, 1)
            x = unit(x, f"conv{name}/dwise", hidden, 3, stride=stride, group=hidden)
            x = unit(x, f"conv{name}/linear", out, 1, active=False)
            if stride == 1 and channels == out:
                x = net.sum(f"block_{name}", shortcut, x)
            channels = out
    x = net.pool(unit(x, "conv6_4", 1280, 1), "pool6", "AVE")
    net.finish(net.conv(x, "fc7", 1000, 1))
    return net
