"""PyTorch eager: the network as a Module, in either memory layout."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from bench.peers.engines.base import Engine
from bench.peers.files import Files
from bench.peers.folding import affine, fold
from bench.peers.plain import Array, Layer, Network, load

Step = tuple[Any, Layer, list[str]]
"""What does a layer, the layer, and the blobs that nobody reads afterwards."""


class Torch(Engine):
    def __init__(self, channels_last: bool) -> None:
        last = torch.channels_last if channels_last else torch.contiguous_format
        self.layout: torch.memory_format = last

    def version(self) -> str:
        return str(torch.__version__)

    def load(self, files: Files, batch: int, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        module = Module(fold(load(files.folder))).eval().requires_grad_(False)
        self.module = module.to(memory_format=self.layout)

    def run(self, x: Array) -> Array:
        with torch.inference_mode():
            y = self.module(torch.from_numpy(x).contiguous(memory_format=self.layout))
            found: Array = y.contiguous().numpy()
            return found


class Module(nn.Module):
    """Layers in order; a ReLU works in place where nothing else reads its input."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.input, self.output = network.input, network.output
        readers = Counter(name for layer in network.layers for name in layer.ins)
        last = {name: i for i, layer in enumerate(network.layers) for name in layer.ins}
        self.steps: list[Step] = []
        self.parts = nn.ModuleList()
        for index, layer in enumerate(network.layers):
            alone = readers[layer.ins[0]] == 1 and layer.ins[0] != network.input
            part = self.part(layer, alone)
            if isinstance(part, nn.Module):
                self.parts.append(part)
            done = [name for name in set(layer.ins) if last[name] == index]
            self.steps.append((part, layer, done))

    def part(self, layer: Layer, in_place: bool) -> Any:
        """What does a layer."""
        return _part(layer, in_place)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        env = {self.input: x}
        for part, layer, done in self.steps:
            y = part(*(env[name] for name in layer.ins))
            if layer.options.get("relu"):
                y = functional.relu(y, inplace=True)
            env[layer.out] = y
            for name in done:
                del env[name]
        return env[self.output]


def _part(layer: Layer, in_place: bool) -> Any:
    o, arrays = layer.options, layer.arrays
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if layer.kind == "conv":
        weight = tensors["weight"]
        shape = (weight.shape[1] * o["group"], weight.shape[0])
        kept = (o["kernel"], o["stride"], o["pad"], o["dilation"], o["group"], "bias" in arrays)
        return _filled(nn.utils.skip_init(nn.Conv2d, *shape, *kept), tensors)
    if layer.kind == "inner_product":
        outputs, inputs = arrays["weight"].shape
        linear = nn.utils.skip_init(nn.Linear, inputs, outputs, "bias" in arrays)
        return nn.Sequential(nn.Flatten(), _filled(linear, tensors))
    if layer.kind in ("batch_norm", "scale"):
        factor, shift = (torch.from_numpy(a).reshape(1, -1, 1, 1) for a in affine(layer))
        return lambda x: torch.addcmul(shift, x, factor)
    if layer.kind in ("max_pool", "mean_pool"):
        return _pool(layer)
    if layer.kind == "lrn":
        return lambda x: functional.local_response_norm(x, o["size"], o["alpha"], o["beta"], o["k"])
    if layer.kind == "relu":
        return lambda x: (
            functional.leaky_relu(x, o["slope"], in_place)
            if o["slope"]
            else (functional.relu(x, in_place))
        )
    return {
        "concat": lambda *xs: torch.cat(xs, 1),
        "add": torch.add,
        "softmax": lambda x: functional.softmax(x, 1),
    }[layer.kind]


def _filled(part: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The arrays as they are mapped, without a copy."""
    for name, tensor in tensors.items():
        setattr(part, name, nn.Parameter(tensor, requires_grad=False))
    return part


def _pool(layer: Layer) -> Any:
    o = layer.options
    if o["whole"]:
        return nn.AdaptiveAvgPool2d(1) if layer.kind == "mean_pool" else nn.AdaptiveMaxPool2d(1)
    kind = nn.AvgPool2d if layer.kind == "mean_pool" else nn.MaxPool2d
    return kind(o["kernel"], o["stride"], o["begin"], ceil_mode=o["ceil"])


def make(layout: str = "") -> Engine:
    return Torch(layout == "channels_last")
