"""GoogLeNet and Inception-v4."""

from __future__ import annotations

from typing import Any

from nets.builder import XAVIER, Net, constant, gaussian

# 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection: table 1 of Szegedy et al. 2014.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(train: bool) -> Net:
    """Szegedy et al., "Going deeper with convolutions", 2014; two side classifiers in training."""
    net = Net("GoogLeNet", train=train, weight=XAVIER, bias=constant(0.2))

    def conv(x: str, part: str, name: str, out: int, kernel: int, **more: Any) -> str:
        y = net.conv(x, f"{part}/{name}", out, kernel, **more)
        return net.relu(y, f"{part}/relu_{name.removesuffix('_s2')}")

    x = conv("data", "conv1", "7x7_s2", 64, 7, stride=2, pad=3)
    x = net.lrn(net.pool(x, "pool1/3x3_s2", "MAX", 3, 2), "pool1/norm1", size=5, alpha=1e-4)
    x = conv(conv(x, "conv2", "3x3_reduce", 64, 1), "conv2", "3x3", 192, 3, pad=1)
    x = net.pool(net.lrn(x, "conv2/norm2", size=5, alpha=1e-4), "pool2/3x3_s2", "MAX", 3, 2)
    for module, (one, reduce3, three, reduce5, five, project) in MODULES.items():
        part = f"inception_{module}"
        a = conv(x, part, "1x1", one, 1)
        b = conv(conv(x, part, "3x3_reduce", reduce3, 1), part, "3x3", three, 3, pad=1)
        c = conv(conv(x, part, "5x5_reduce", reduce5, 1), part, "5x5", five, 5, pad=2)
        d = net.pool(x, f"{part}/pool", "MAX", 3, 1, 1)
        x = net.concat(f"{part}/output", a, b, c, conv(d, part, "pool_proj", project, 1))
        if module in ("3b", "4e"):
            x = net.pool(x, f"pool{int(module[0])}/3x3_s2", "MAX", 3, 2)
        if train and module in ("4a", "4d"):
            _side_classifier(net, x, "loss1" if module == "4a" else "loss2")
    x = net.dropout(net.pool(x, "pool5/7x7_s1", "AVE", 7), "pool5/drop_7x7_s1", 0.4)
    x = net.fc(x, "loss3/classifier", 1000, bias=constant(0))
    if train:
        _losses(net, x, "loss3", "loss3/loss3", 1)
    else:
        net.finish(x)
    return net


def _side_classifier(net: Net, x: str, part: str) -> None:
    x = net.pool(x, f"{part}/ave_pool", "AVE", 5, 3)
    x = net.relu(net.conv(x, f"{part}/conv", 128, 1), f"{part}/relu_conv")
    x = net.relu(net.fc(x, f"{part}/fc", 1024), f"{part}/relu_fc")
    x = net.dropout(x, f"{part}/drop_fc", 0.7)
    x = net.fc(x, f"{part}/classifier", 1000, bias=constant(0))
    _losses(net, x, part, f"{part}/loss", 0.3)


def _losses(net: Net, x: str, part: str, name: str, weight: float) -> None:
    net.loss(x, name, f"{part}/{part}", weight)
    net.accuracy(x, f"{part}/top-1")
    net.accuracy(x, f"{part}/top-5", 5)


class _V4(Net):
    """Inception-v4's parts; every convolution is followed by BatchNorm, Scale and ReLU."""

    def unit(
        self, x: str, name: str, out: int, kernel: int | tuple[int, int], stride: int = 1
    ) -> str:
        """A 1xk or kx1 convolution keeps the map; a square one is unpadded unless called `same`."""
        pad = (kernel[0] // 2, kernel[1] // 2) if isinstance(kernel, tuple) else 0
        x = self.conv(x, name, out, kernel, stride=stride, pad=pad, has_bias=False)
        return self.relu(self.norm(x, f"{name}/bn", f"{name}/scale"), f"{name}/relu")

    def same(self, x: str, name: str, out: int) -> str:
        x = self.conv(x, name, out, 3, pad=1, has_bias=False)
        return self.relu(self.norm(x, f"{name}/bn", f"{name}/scale"), f"{name}/relu")

    def stem(self, x: str) -> str:
        x = self.unit(x, "conv1/3x3_s2", 32, 3, 2)
        x = self.same(self.unit(x, "conv2/3x3", 32, 3), "conv3/3x3", 64)
        x = self.concat(
            "stem1/output",
            self.pool(x, "stem1/pool", "MAX", 3, 2),
            self.unit(x, "stem1/3x3_s2", 96, 3, 2),
        )
        a = self.unit(self.unit(x, "stem2/a_1x1", 64, 1), "stem2/a_3x3", 96, 3)
        b = self.unit(self.unit(x, "stem2/b_1x1", 64, 1), "stem2/b_7x1", 64, (7, 1))
        b = self.unit(self.unit(b, "stem2/b_1x7", 64, (1, 7)), "stem2/b_3x3", 96, 3)
        x = self.concat("stem2/output", a, b)
        a, b = self.unit(x, "stem3/3x3_s2", 192, 3, 2), self.pool(x, "stem3/pool", "MAX", 3, 2)
        return self.concat("stem3/output", a, b)

    def module_a(self, x: str, part: str) -> str:
        a = self.unit(self.pool(x, f"{part}/pool", "AVE", 3, 1, 1), f"{part}/pool_1x1", 96, 1)
        b = self.unit(x, f"{part}/1x1", 96, 1)
        c = self.same(self.unit(x, f"{part}/c_1x1", 64, 1), f"{part}/c_3x3", 96)
        d = self.same(self.unit(x, f"{part}/d_1x1", 64, 1), f"{part}/d_3x3_1", 96)
        return self.concat(f"{part}/output", a, b, c, self.same(d, f"{part}/d_3x3_2", 96))

    def reduce_a(self, x: str, part: str) -> str:
        a = self.pool(x, f"{part}/pool", "MAX", 3, 2)
        b = self.unit(x, f"{part}/3x3_s2", 384, 3, 2)
        c = self.same(self.unit(x, f"{part}/c_1x1", 192, 1), f"{part}/c_3x3", 224)
        return self.concat(f"{part}/output", a, b, self.unit(c, f"{part}/c_3x3_s2", 256, 3, 2))

    def module_b(self, x: str, part: str) -> str:
        a = self.unit(self.pool(x, f"{part}/pool", "AVE", 3, 1, 1), f"{part}/pool_1x1", 128, 1)
        b = self.unit(x, f"{part}/1x1", 384, 1)
        c = self.unit(self.unit(x, f"{part}/c_1x1", 192, 1), f"{part}/c_1x7", 224, (1, 7))
        c = self.unit(c, f"{part}/c_7x1", 256, (7, 1))
        d = self.unit(self.unit(x, f"{part}/d_1x1", 192, 1), f"{part}/d_1x7_1", 192, (1, 7))
        d = self.unit(d, f"{part}/d_7x1_1", 224, (7, 1))
        d = self.unit(self.unit(d, f"{part}/d_1x7_2", 224, (1, 7)), f"{part}/d_7x1_2", 256, (7, 1))
        return self.concat(f"{part}/output", a, b, c, d)

    def reduce_b(self, x: str, part: str) -> str:
        a = self.pool(x, f"{part}/pool", "MAX", 3, 2)
        b = self.unit(self.unit(x, f"{part}/b_1x1", 192, 1), f"{part}/b_3x3_s2", 192, 3, 2)
        c = self.unit(self.unit(x, f"{part}/c_1x1", 256, 1), f"{part}/c_1x7", 256, (1, 7))
        c = self.unit(c, f"{part}/c_7x1", 320, (7, 1))
        return self.concat(f"{part}/output", a, b, self.unit(c, f"{part}/c_3x3_s2", 320, 3, 2))

    def module_c(self, x: str, part: str) -> str:
        a = self.unit(self.pool(x, f"{part}/pool", "AVE", 3, 1, 1), f"{part}/pool_1x1", 256, 1)
        b = self.unit(x, f"{part}/1x1", 256, 1)
        c = self.unit(x, f"{part}/c_1x1", 384, 1)
        d = self.unit(self.unit(x, f"{part}/d_1x1", 384, 1), f"{part}/d_1x3_1", 448, (1, 3))
        d = self.unit(d, f"{part}/d_3x1_1", 512, (3, 1))
        ends = [
            self.unit(y, f"{part}/{branch}_{shape}", 256, kernel)
            for y, branch, tail in ((c, "c", ""), (d, "d", "_2"))
            for shape, kernel in ((f"1x3{tail}", (1, 3)), (f"3x1{tail}", (3, 1)))
        ]
        return self.concat(f"{part}/output", a, b, *ends)


def inception_v4(train: bool) -> Net:
    """Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections",
    2016, figures 3 to 9."""
    net = _V4("Inception-v4", train=train, image=(3, 299, 299), eps=0.001)
    x = net.stem("data")
    for index in range(1, 5):
        x = net.module_a(x, f"inception_a{index}")
    x = net.reduce_a(x, "reduction_a")
    for index in range(1, 8):
        x = net.module_b(x, f"inception_b{index}")
    x = net.reduce_b(x, "reduction_b")
    for index in range(1, 4):
        x = net.module_c(x, f"inception_c{index}")
    x = net.dropout(net.pool(x, "pool8x8", "AVE", 8), "drop8x8", 0.2)
    net.finish(net.fc(x, "classifier", 1000, weight=gaussian(0.01)))
    return net
