"""The architectures of models/, each a function that writes itself through `builder.Net`."""

from nets.catalog import NETS, Entry, build
from nets.residual import resnet

__all__ = ["NETS", "Entry", "build", "resnet"]
