"""Residual nets (He et al., "Deep residual learning for image recognition", 2015)."""

from __future__ import annotations

from nets.builder import Net, gaussian


class _Residual(Net):
    """Stages are numbered from 2, as the paper's table 1 does; layer names are its authors'."""

    def unit(self, x: str, name: str, out: int, kernel: int, stride: int = 1) -> str:
        """Convolution without bias, BatchNorm, Scale: res2a_branch1, bn2a_branch1, ..."""
        x = self.conv(x, name, out, kernel, stride=stride, pad=kernel // 2, has_bias=False)
        tail = name.removeprefix("res") if name.startswith("res") else f"_{name}"
        return self.norm(x, f"bn{tail}", f"scale{tail}")

    def join(self, block: str, shortcut: str, branch: str) -> str:
        return self.relu(self.sum(block, shortcut, branch), f"{block}_relu")

    def bottleneck(self, x: str, block: str, width: int, stride: int, project: bool) -> str:
        """1x1, 3x3, 1x1 with 4 * width channels; the stride is in the first 1x1."""
        shortcut = self.unit(x, f"{block}_branch1", 4 * width, 1, stride) if project else x
        name = f"{block}_branch2"
        x = self.relu(self.unit(x, f"{name}a", width, 1, stride), f"{name}a_relu")
        x = self.relu(self.unit(x, f"{name}b", width, 3), f"{name}b_relu")
        return self.join(block, shortcut, self.unit(x, f"{name}c", 4 * width, 1))

    def basic(self, x: str, block: str, width: int, stride: int) -> str:
        """Two 3x3; a strided shortcut has no parameters (option A): subsample, append zeros."""
        shortcut = x
        if stride > 1:
            kept = self.pool(x, f"{block}_pool", "MAX", 1, stride, floor=True)
            shortcut = self.concat(f"{block}_branch1", kept, self.zeros(kept, f"{block}_zeros"))
        name = f"{block}_branch2"
        x = self.relu(self.unit(x, f"{name}a", width, 3, stride), f"{name}a_relu")
        return self.join(block, shortcut, self.unit(x, f"{name}b", width, 3))


def blocks(stage: int, count: int, numbered: bool) -> list[str]:
    """res2a, res2b, res2c, ... or res3a, res3b1, res3b2, ..."""
    if numbered:
        return [f"res{stage}a"] + [f"res{stage}b{i}" for i in range(1, count)]
    return [f"res{stage}{chr(ord('a') + i)}" for i in range(count)]


def resnet(
    counts: tuple[int, int, int, int],
    train: bool,
    *,
    size: int = 224,
    classes: int = 1000,
    batch: int = 32,
    width: int = 64,
) -> Net:
    """Bottleneck net with `counts` blocks per stage; 3 * sum(counts) + 2 layers deep.

    `size`: height and width of the image; the last pooling takes the whole map. `width`: channels
    of the first convolution, and of the bottlenecks in the first stage.
    """
    depth = 3 * sum(counts) + 2
    net = _Residual(
        f"ResNet-{depth}", train=train, image=(3, size, size), classes=classes, batch=batch
    )
    x = net.relu(net.unit("data", "conv1", width, 7, 2), "conv1_relu")
    x = net.pool(x, "pool1", "MAX", 3, 2)
    deep = max(counts) > 6
    for stage, count in enumerate(counts, 2):
        for index, block in enumerate(blocks(stage, count, deep and count > 3)):
            stride = 2 if index == 0 and stage > 2 else 1
            x = net.bottleneck(x, block, width << (stage - 2), stride, index == 0)
    x = net.pool(x, "pool5", "AVE", -(-size // 32))
    net.finish(net.fc(x, f"fc{classes}", classes, weight=gaussian(0.01)))
    return net


def resnet_cifar(depth: int, train: bool) -> Net:
    """The CIFAR-10 net of section 4.2: depth = 6n + 2, parameter-free shortcuts."""
    net = _Residual(f"ResNet-{depth}", train=train, image=(3, 32, 32), classes=10, batch=128)
    x = net.relu(net.unit("data", "conv1", 16, 3), "conv1_relu")
    count = (depth - 2) // 6
    for stage in (2, 3, 4):
        for index, block in enumerate(blocks(stage, count, count > 3)):
            stride = 2 if index == 0 and stage > 2 else 1
            x = net.basic(x, block, 16 << (stage - 2), stride)
    net.finish(net.fc(net.pool(x, "pool4", "AVE"), "fc10", 10, weight=gaussian(0.01)))
    return net
