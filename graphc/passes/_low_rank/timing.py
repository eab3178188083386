"""Times of one layer alone, and of what may stand in its place."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.factor.decomposition import Paths
from graphc.ir.edit import set_params
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.names import Names
from graphc.ops._blob_shape import BlobShape
from graphc.ops.input import Input, InputAttrs
from graphc.passes._low_rank.chain import put_chains
from graphc.passes._low_rank.layers import bottom, top
from graphc.passes.base import PassContext

ROUNDS = 7
"""Each is timed this often, in turns, and the least counts: others use the machine, too."""


def fastest_us(ctx: PassContext, graphs: Sequence[Graph]) -> list[float]:
    """The least of `ROUNDS` times of each graph, microseconds."""
    rounds = [[ctx.time_us(graph) for graph in graphs] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def alone(graph: Graph, node: Node, paths: Paths | None = None) -> Graph:
    """A graph of one layer, or of `paths` in its place, and an input."""
    x = Value("x", typed(bottom(node)))
    feed = Node(Input, "input", InputAttrs((BlobShape(typed(x).shape),)), {}, {"y0": x})
    y = Value("y", typed(top(node)))
    (role,) = node.ins
    layer = Node(node.op, node.name, node.attrs, {role: x}, {node.tops[0]: y}, phase=node.phase)
    found = Graph(graph.name, graph.phase, [feed, layer], [y], limits=graph.limits)
    arrays = {
        role: graph.weight(value).reshape(typed(value).shape) for role, value in node.params.items()
    }
    set_params(found, Names.of(found), layer, arrays)
    if paths is not None:
        put_chains(found, {layer: paths})
    return found


__all__ = ["alone", "fastest_us"]
