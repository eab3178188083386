"""Known networks with the weights they were published with, or weights made by rule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from golden.netweights import fill_weights, net_input

import graphc
from graphc.ops.softmax import Softmax


@dataclass
class Network:
    """A network ready to run, and one sample for it."""

    graph: graphc.Graph
    feeds: dict[str, np.ndarray]

    @property
    def logits(self) -> list[str]:
        """What a last Softmax reads; else the outputs."""
        found = []
        for value in self.graph.outputs:
            maker = value.producer
            is_softmax = maker is not None and maker.op is Softmax
            found.append(maker.ins["x"].name if is_softmax else value.name)
        return found


def read(path: Path, weights: Path | None = None, seed: int = 5) -> Network:
    """The network with one sample per batch, and inputs as large as an image's."""
    shapes = {}
    for value in graphc.load(path).inputs:
        shapes[value.name.partition("@")[0]] = (1, *value.type.shape[1:])
    graph = graphc.load(path, weights, shapes=shapes)
    if weights is None:
        types = {node.name: node.op.type for node in graph.forward_nodes()}
        layers = [(name, types[name], blobs) for name, blobs in graph.params.items()]
        fill_weights(seed, layers, 1.0)
    feeds = {name: net_input(seed, shape, 1.0) for name, shape in shapes.items()}
    return Network(graph, feeds)
