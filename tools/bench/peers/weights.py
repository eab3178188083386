"""seed_weights: random weights under which activations neither vanish nor overflow.

The same rule as for the golden networks: normal with variance 2 / fan-in, batch norms near one.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np

import graphc
from graphc.ir.graph import Array, Graph, Node, Value, typed


def seed_weights(graph: Graph, seed: int) -> None:
    """Fill every parameter; then scale the last product to outputs of deviation 1.

    Without the latter a softmax is one-hot, and all engines agree on it whatever they compute.
    """
    graph.fill = _drawn(seed)
    graph.notes.clear()  # of fillers that were never used
    for value in graph.param_values():
        graph.weight(value)
    last = _last_product(graph)
    if last is None:
        return
    (top,) = (last.outs[role] for role in last.tops)
    rng = np.random.default_rng(seed)
    exe = graphc.compile(graph, target="cpu", keep=(top.name,))
    feeds = {n: rng.standard_normal(s, np.float32) for n, s in exe.inputs.items()}
    deviation = float(exe.run(feeds)[top.name].std())
    if not (math.isfinite(deviation) and deviation > 0):
        raise ValueError(f"{graph.name}: the outputs' deviation is {deviation}")
    for array in graph.params[last.name]:
        array /= deviation


def _drawn(seed: int) -> Callable[[Value], Array]:
    """Arrays by the parameter's name alone, so that no layer's place in the net matters."""

    def fill(value: Value) -> Array:
        shape, role = typed(value).shape, value.spec.name if value.spec else ""
        rng = np.random.default_rng([seed, zlib.crc32(value.name.encode())])
        if role == "weight" and len(shape) > 1:
            out_axis = (value.spec.out_axis if value.spec else None) or 0
            deviation = math.sqrt(2 * shape[out_axis] / math.prod(shape))
            return (deviation * rng.standard_normal(shape)).astype(np.float32)
        if role == "weight":
            return rng.uniform(0.4, 0.9, shape).astype(np.float32)
        if role == "variance":
            return rng.uniform(0.5, 1.5, shape).astype(np.float32)
        if role == "factor":
            return np.ones(shape, np.float32)
        return (0.05 * rng.standard_normal(shape)).astype(np.float32)

    return fill


def _last_product(graph: Graph) -> Node | None:
    """The last layer with a weight of more than one axis."""
    products = [
        node
        for node in graph.forward_nodes()
        if any(typed(value).rank > 1 for value in node.params.values())
    ]
    return products[-1] if products else None
