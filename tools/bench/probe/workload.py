"""The networks that are measured, as lists of convolutions: shapes, multiplications, weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Conv:
    """x [B, channels, size, size] * w [filters, channels/groups, kernel, kernel]."""

    channels: int
    filters: int
    kernel: int
    stride: int
    size: int
    pad: int
    groups: int = 1

    @property
    def out(self) -> int:
        """Rows and columns of the result."""
        return (self.size + 2 * self.pad - self.kernel) // self.stride + 1

    @property
    def weights(self) -> int:
        return self.filters * self.channels // self.groups * self.kernel**2

    @property
    def macs(self) -> int:
        """Multiply-adds for one image; padding counts as full."""
        return self.out**2 * self.weights

    @property
    def label(self) -> str:
        """Name that tells it from every other: c64f64k3s1g1@56."""
        return (
            f"c{self.channels}f{self.filters}k{self.kernel}s{self.stride}g{self.groups}@{self.size}"
        )


@dataclass(frozen=True)
class Workload:
    """A network: its convolutions in order, its inner products (inputs, outputs), its image."""

    convs: tuple[Conv, ...]
    products: tuple[tuple[int, int], ...]
    size: int

    @property
    def macs(self) -> int:
        return sum(conv.macs for conv in self.convs) + sum(a * b for a, b in self.products)

    @property
    def weights(self) -> int:
        """Elements of the weights, biases and statistics left out."""
        return sum(conv.weights for conv in self.convs) + sum(a * b for a, b in self.products)


def resnet50() -> Workload:
    """ResNet-50 whose 3x3 convolutions carry the stride, 224x224."""
    convs = [Conv(3, 64, 7, 2, 224, 3)]
    size, channels = 56, 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            convs.append(Conv(channels, width, 1, 1, size, 0))
            convs.append(Conv(width, width, 3, stride, size, 1))
            convs.append(Conv(width, 4 * width, 1, 1, size // stride, 0))
            if not block:
                convs.append(Conv(channels, 4 * width, 1, stride, size, 0))
            size, channels = size // stride, 4 * width
    return Workload(tuple(convs), ((2048, 1000),), 224)


def vgg16() -> Workload:
    """VGG with 16 weighted layers, 224x224."""
    convs, size, channels = [], 224, 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            convs.append(Conv(channels, width, 3, 1, size, 1))
            channels = width
        size //= 2
    return Workload(tuple(convs), ((25088, 4096), (4096, 4096), (4096, 1000)), 224)


def alexnet() -> Workload:
    """AlexNet with its two groups, 227x227."""
    convs = (
        Conv(3, 96, 11, 4, 227, 0),
        Conv(96, 256, 5, 1, 27, 2, groups=2),
        Conv(256, 384, 3, 1, 13, 1),
        Conv(384, 384, 3, 1, 13, 1, groups=2),
        Conv(384, 256, 3, 1, 13, 1, groups=2),
    )
    return Workload(convs, ((9216, 4096), (4096, 4096), (4096, 1000)), 227)


WORKLOADS = {"resnet50": resnet50, "alexnet": alexnet, "vgg16": vgg16}


def distinct(convs: Iterable[Conv]) -> dict[Conv, int]:
    """Every different convolution with the number of times it occurs, in order of appearance."""
    return dict(Counter(convs))


def passes(conv: Conv) -> tuple[str, ...]:
    """The products a training step makes of a convolution; images need no gradient."""
    return ("fprop", "wgrad") if conv.channels == 3 else ("fprop", "dgrad", "wgrad")


def train_flops(work: Workload, batch: int) -> int:
    """2 * 3 * macs * batch: forward and both gradients."""
    return 6 * work.macs * batch
