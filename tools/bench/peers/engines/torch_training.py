"""PyTorch eager, forward, backward and fused SGD; the same network and weights as ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.peers.engines.base import Engine
from bench.peers.engines.torch_eager import Module, Torch
from bench.peers.files import Files
from bench.peers.folding import merge_scales
from bench.peers.plain import Array, Layer, Network, load
from bench.peers.rates import DECAY, MOMENTUM, RATE


class TorchTraining(Torch):
    def load(self, files: Files, batch: int, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        network = merge_scales(load(files.folder))
        module = Learning(_without_softmax(network)).train().requires_grad_(True)
        self.module = module.to(memory_format=self.layout)
        self.label = torch.from_numpy(np.load(files.labels(batch))).long()
        self.loss = nn.CrossEntropyLoss()
        groups = {"lr": RATE, "momentum": MOMENTUM, "weight_decay": DECAY, "fused": True}
        self.update = torch.optim.SGD(self.module.parameters(), **groups)

    def run(self, x: Array) -> Array:
        self.update.zero_grad()
        given = torch.from_numpy(x).contiguous(memory_format=self.layout)
        loss = self.loss(self.module(given).flatten(1), self.label)
        loss.backward()
        self.update.step()
        return np.array([loss.item()], np.float32)


class Learning(Module):
    """The network with batch norms that look at the batch."""

    def part(self, layer: Layer, in_place: bool) -> Any:
        if layer.kind != "batch_norm":
            return super().part(layer, in_place)
        weight = layer.arrays["weight"]
        norm = nn.BatchNorm2d(len(weight), eps=layer.options["eps"])
        norm.weight = nn.Parameter(torch.from_numpy(weight))
        norm.bias = nn.Parameter(torch.from_numpy(layer.arrays["bias"]))
        return norm


def _without_softmax(network: Network) -> Network:
    last = network.layers[-1]
    if last.kind != "softmax":
        raise ValueError(f"the network ends in {last.kind}, not in a softmax")
    return replace(network, output=last.ins[0], layers=network.layers[:-1])


def make(layout: str = "") -> Engine:
    return TorchTraining(layout == "channels_last")
