"""AlexNet, VGG-16 and ResNet-50 in torch, to be the same work that is compiled elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def alexnet(nn: Any) -> Any:
    """With two groups and LRN before pooling. x [B, 3, 227, 227] -> [B, 1000]."""

    def norm() -> Any:
        return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    layers = [nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(True), norm(), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(True), norm()]
    layers += [nn.MaxPool2d(3, 2)]
    for channels, filters, groups in ((256, 384, 1), (384, 384, 2), (384, 256, 2)):
        layers += [nn.Conv2d(channels, filters, 3, padding=1, groups=groups), nn.ReLU(True)]
    layers += [nn.MaxPool2d(3, 2), nn.Flatten(), *_head(nn, 9216)]
    return nn.Sequential(*layers)


def vgg16(nn: Any) -> Any:
    """x [B, 3, 224, 224] -> [B, 1000]."""
    layers, channels = [], 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(True)]
            channels = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers, nn.Flatten(), *_head(nn, 25088))


def _head(nn: Any, inputs: int) -> list[Any]:
    """Three inner products with dropout between."""
    wide = [nn.Linear(inputs, 4096), nn.ReLU(True), nn.Dropout(0.5)]
    wide += [nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(0.5)]
    return [*wide, nn.Linear(4096, 1000)]


def resnet50(nn: Any) -> Any:
    """The stride in the 3x3 convolutions. x [B, 3, 224, 224] -> [B, 1000]."""

    def unit(channels: int, filters: int, kernel: int, stride: int = 1) -> list[Any]:
        conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False)
        return [conv, nn.BatchNorm2d(filters)]

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, channels: int, width: int, stride: int, project: bool) -> None:
            super().__init__()
            self.body = nn.Sequential(
                *unit(channels, width, 1),
                nn.ReLU(True),
                *unit(width, width, 3, stride),
                nn.ReLU(True),
                *unit(width, 4 * width, 1),
            )
            side = unit(channels, 4 * width, 1, stride) if project else [nn.Identity()]
            self.side, self.relu = nn.Sequential(*side), nn.ReLU(True)

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.side(x))

    layers = [*unit(3, 64, 7, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            layers.append(Block(channels, width, stride, not block))
            channels = 4 * width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000)]
    return nn.Sequential(*layers)


NETS: dict[str, Callable[[Any], Any]] = {"resnet50": resnet50, "alexnet": alexnet, "vgg16": vgg16}
