"""A pass that does what a test tells it, and optimize() when it refuses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from texts import fc, feed, graph, layer

from graphc.driver import optimize
from graphc.errors import GraphError
from graphc.ir.text import print_graph
from graphc.passes.base import Pass, Report

NET = (feed(data=(2, 3)), fc("data", "a", 4), layer("TanH", "a", "t"), fc("t", "y", 2))


@dataclass(frozen=True)
class Do(Pass):
    """Calls a function on the graph."""

    what: object = None
    exact_: bool = True
    name = "do"

    @property
    def exact(self):
        return self.exact_

    def run(self, graph, ctx):
        self.what(graph)
        return Report(self.name, True, ("done",))


def refused(passes, net=None, **words):
    net = graph(*NET) if net is None else net
    before = print_graph(net), {k: v.copy() for k, v in net.weights.items()}
    with pytest.raises(GraphError) as caught:
        optimize(net, passes, **words)
    assert print_graph(net) == before[0]
    for name, array in before[1].items():
        np.testing.assert_array_equal(net.weights[name], array)
    return f"{caught.value.code}: {caught.value.message}"


def scale(factor, which="a:weight"):
    def act(graph):
        graph.weights[which] *= np.float32(factor)

    return act
