"""PyTorch eager, forward, backward and fused SGD; the same network and weights as ours."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from bench.peers.engines.base import Engine
from bench.peers.engines.torch_eager import Module, Step, Torch
from bench.peers.files import Files
from bench.peers.folding import merge_scales
from bench.peers.plain import Array, Layer, Network, load
from bench.peers.rates import DECAY, MOMENTUM, RATE


class TorchTraining(Torch):
    """`level`: places where a single blob is alive that a checkpointed segment goes over; 0: none
    is checkpointed."""

    def __init__(self, channels_last: bool, level: int) -> None:
        super().__init__(channels_last)
        self.level = level

    def load(self, files: Files, batch: int, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        network = merge_scales(load(files.folder))
        kind = partial(Checkpointed, self.level) if self.level else Learning
        module = kind(_without_softmax(network)).train().requires_grad_(True)
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


class Checkpointed(Learning):
    """The same, which keeps what segments begin with, and computes them once more in the backward
    (`torch.utils.checkpoint`)."""

    def __init__(self, cuts: int, network: Network) -> None:
        super().__init__(network)
        alive, ends = {network.input}, []
        for index, (_, layer, done) in enumerate(self.steps[:-1]):
            alive = (alive - set(done)) | {layer.out}
            if len(alive) == 1 and self.steps[index + 1][1].kind != "relu":  # it works in place
                ends.append(index + 1)
        bounds = [0, *ends[cuts - 1 :: cuts], len(self.steps)]
        self.segments = [self.steps[a:b] for a, b in pairwise(bounds) if a < b]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for steps in self.segments[:-1]:
            segment = partial(self._segment, steps)
            x = checkpoint(segment, x, use_reentrant=False, preserve_rng_state=False)
        return self._segment(self.segments[-1], x)

    @staticmethod
    def _segment(steps: list[Step], x: torch.Tensor) -> torch.Tensor:
        env = {steps[0][1].ins[0]: x}
        for part, layer, done in steps:
            y = part(*(env[name] for name in layer.ins))
            env[layer.out] = functional.relu(y, inplace=True) if layer.options.get("relu") else y
            for name in done:
                env.pop(name)
        return env[steps[-1][1].out]


def _without_softmax(network: Network) -> Network:
    last = network.layers[-1]
    if last.kind != "softmax":
        raise ValueError(f"the network ends in {last.kind}, not in a softmax")
    return replace(network, output=last.ins[0], layers=network.layers[:-1])


def make(layout: str = "", level: int = 0) -> Engine:
    return TorchTraining(layout == "channels_last", level)
