"""Plain chains: LeNet, the two CIFAR-10 nets, AlexNet and its Caffe variant, VGG-16."""

from __future__ import annotations

from nets.builder import BIAS_FASTER, XAVIER, Mult, Net, constant, gaussian

RATE_ONLY: Mult = ((1, 1), (2, 1))


def lenet(train: bool) -> Net:
    """LeCun et al. 1998 as Caffe simplified it: max pooling, ReLU on the hidden layer."""
    net = Net(
        "LeNet",
        train=train,
        image=(1, 28, 28),
        classes=10,
        batch=64,
        weight=XAVIER,
        mult=RATE_ONLY,
    )
    x = net.pool(net.conv("data", "conv1", 20, 5), "pool1", "MAX", 2, 2)
    x = net.pool(net.conv(x, "conv2", 50, 5), "pool2", "MAX", 2, 2)
    x = net.relu(net.fc(x, "ip1", 500), "relu1")
    net.finish(net.fc(x, "ip2", 10))
    return net


def _cifar10(train: bool, name: str) -> Net:
    return Net(
        name,
        train=train,
        image=(3, 32, 32),
        classes=10,
        batch=100,
        weight=gaussian(0.01),
        mult=RATE_ONLY,
    )


def cifar10_quick(train: bool) -> Net:
    """Krizhevsky's cuda-convnet "quick" net."""
    net = _cifar10(train, "CIFAR10_quick")
    x = net.conv("data", "conv1", 32, 5, pad=2, weight=gaussian(0.0001))
    x = net.relu(net.pool(x, "pool1", "MAX", 3, 2), "relu1")
    x = net.relu(net.conv(x, "conv2", 32, 5, pad=2), "relu2")
    x = net.pool(x, "pool2", "AVE", 3, 2)
    x = net.relu(net.conv(x, "conv3", 64, 5, pad=2), "relu3")
    x = net.pool(x, "pool3", "AVE", 3, 2)
    x = net.fc(x, "ip1", 64, weight=gaussian(0.1))
    net.finish(net.fc(x, "ip2", 10, weight=gaussian(0.1)))
    return net


def cifar10_full(train: bool) -> Net:
    """Krizhevsky's cuda-convnet net with local response normalisation within channels."""
    net = _cifar10(train, "CIFAR10_full")
    x = net.conv("data", "conv1", 32, 5, pad=2, weight=gaussian(0.0001))
    x = net.relu(net.pool(x, "pool1", "MAX", 3, 2), "relu1")
    x = net.lrn(x, "norm1", size=3, alpha=5e-5, within=True)
    x = net.relu(net.conv(x, "conv2", 32, 5, pad=2), "relu2")
    x = net.pool(x, "pool2", "AVE", 3, 2)
    x = net.lrn(x, "norm2", size=3, alpha=5e-5, within=True)
    x = net.relu(net.conv(x, "conv3", 64, 5, pad=2, mult=((1, 1), (1, 1))), "relu3")
    x = net.pool(x, "pool3", "AVE", 3, 2)
    net.finish(net.fc(x, "ip1", 10, mult=((1, 250), (2, 0))))
    return net


def _krizhevsky(train: bool, name: str, *, norm_first: bool, bias: float) -> Net:
    """AlexNet (Krizhevsky et al. 2012) on one device; `bias` starts the layers the paper names."""
    net = Net(
        name,
        train=train,
        image=(3, 227, 227),
        batch=256,
        weight=gaussian(0.01),
        bias=constant(0),
        mult=BIAS_FASTER,
    )
    started = constant(bias)

    def shrink(x: str, index: int) -> str:
        """Normalise and pool, in the order of the variant."""
        norm, pool = f"norm{index}", f"pool{index}"
        if norm_first:
            return net.pool(net.lrn(x, norm, size=5, alpha=1e-4), pool, "MAX", 3, 2)
        return net.lrn(net.pool(x, pool, "MAX", 3, 2), norm, size=5, alpha=1e-4)

    x = net.relu(net.conv("data", "conv1", 96, 11, stride=4), "relu1")
    x = net.conv(shrink(x, 1), "conv2", 256, 5, pad=2, group=2, bias=started)
    x = net.conv(shrink(net.relu(x, "relu2"), 2), "conv3", 384, 3, pad=1)
    x = net.conv(net.relu(x, "relu3"), "conv4", 384, 3, pad=1, group=2, bias=started)
    x = net.conv(net.relu(x, "relu4"), "conv5", 256, 3, pad=1, group=2, bias=started)
    x = net.pool(net.relu(x, "relu5"), "pool5", "MAX", 3, 2)
    for index in (6, 7):
        x = net.fc(x, f"fc{index}", 4096, weight=gaussian(0.005), bias=started)
        x = net.dropout(net.relu(x, f"relu{index}"), f"drop{index}")
    net.finish(net.fc(x, "fc8", 1000))
    return net


def alexnet(train: bool) -> Net:
    return _krizhevsky(train, "AlexNet", norm_first=True, bias=0.1)


def caffenet(train: bool) -> Net:
    """AlexNet with pooling before normalisation."""
    return _krizhevsky(train, "CaffeNet", norm_first=False, bias=1)


def vgg16(train: bool) -> Net:
    """Simonyan and Zisserman 2014, configuration D."""
    net = Net("VGG-16", train=train)
    x = "data"
    for stage, (depth, channels) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for index in range(1, depth + 1):
            x = net.conv(x, f"conv{stage}_{index}", channels, 3, pad=1)
            x = net.relu(x, f"relu{stage}_{index}")
        x = net.pool(x, f"pool{stage}", "MAX", 2, 2)
    for index in (6, 7):
        x = net.fc(x, f"fc{index}", 4096, weight=gaussian(0.005))
        x = net.dropout(net.relu(x, f"relu{index}"), f"drop{index}")
    net.finish(net.fc(x, "fc8", 1000, weight=gaussian(0.01)))
    return net
