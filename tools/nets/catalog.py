"""The nets of models/ by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nets import classic, inception, mobile, residual
from nets.builder import Net
from nets.trained import SOURCES, with_data

Entry = Callable[[bool], Net]

NETS: dict[str, Entry] = {
    "lenet": classic.lenet,
    "cifar10_quick": classic.cifar10_quick,
    "cifar10_full": classic.cifar10_full,
    "alexnet": classic.alexnet,
    "caffenet": classic.caffenet,
    "vgg16": classic.vgg16,
    "googlenet": inception.googlenet,
    "inception_v4": inception.inception_v4,
    "resnet20": partial(residual.resnet_cifar, 20),
    "resnet56": partial(residual.resnet_cifar, 56),
    "resnet110": partial(residual.resnet_cifar, 110),
    "resnet50": partial(residual.resnet, (3, 4, 6, 3)),
    "resnet101": partial(residual.resnet, (3, 4, 23, 3)),
    "resnet152": partial(residual.resnet, (3, 8, 36, 3)),
    "squeezenet_v1.0": mobile.squeezenet_v1_0,
    "squeezenet_v1.1": mobile.squeezenet_v1_1,
    "mobilenet_v1": mobile.mobilenet_v1,
    "mobilenet_v2": mobile.mobilenet_v2,
}


def build(name: str) -> dict[str, str]:
    """File name -> text of a net's files; where there are weights, of one with data layers, too."""
    nets = {kind: NETS[name](kind == "train") for kind in ("deploy", "train")}
    if name in SOURCES:
        nets["train_test"] = with_data(name, NETS[name](True))
    return {f"{kind}.prototxt": net.text() for kind, net in nets.items()}
