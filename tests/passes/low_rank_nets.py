"""A small network for low_rank, its weights, and what it computes."""

from __future__ import annotations

import numpy as np
from texts import feed, graph, layer

import graphc
from graphc.passes.low_rank import LowRank

NET = (
    feed(data=(2, 4, 9, 8)),
    layer(
        "Convolution",
        "data",
        "a",
        'param { name: "wa" lr_mult: 3 decay_mult: 0.5 } param { lr_mult: 2 decay_mult: 0 } '
        "convolution_param { num_output: 12 kernel_size: 3 pad: 1 stride: 2 "
        'weight_filler { type: "msra" } bias_filler { type: "gaussian" } }',
    ),
    layer("ReLU", "a", "a", name="relu"),
    layer(
        "Convolution",
        "a",
        "b",
        "convolution_param { num_output: 16 kernel_h: 3 kernel_w: 2 group: 2 dilation: 2 pad: 2 "
        'bias_term: false weight_filler { type: "msra" } }',
    ),
    layer(
        "InnerProduct",
        "b",
        "y",
        'loss_weight: 0.5 inner_product_param { num_output: 10 weight_filler { type: "xavier" } }',
    ),
)
X = np.random.default_rng(5).standard_normal((2, 4, 9, 8)).astype(np.float32)


def net(*layers: str) -> graphc.Graph:
    return graph(*(layers or NET))


def outputs(net: graphc.Graph, keep=()) -> dict[str, np.ndarray]:
    return graphc.compile(net, passes=(), target="reference", keep=keep).run({"data": X})


def cut(net: graphc.Graph, words=None, **options):
    """The network after LowRank(**options), always taken unless they say when; and its record."""
    each = LowRank(**{"when": "always", **options})
    made, report = graphc.optimize(net, [each], **{"measure": False, **(words or {})})
    return made, report.passes[-1]


def layers_of(net: graphc.Graph) -> list[str]:
    return [node.name for node in net.nodes]
