"""merge_groups: convolutions of the pieces of one blob become one in groups."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ops._conv import conv_windows
from graphc.ops.concat import Concat
from graphc.ops.convolution import Convolution
from graphc.ops.slice import Slice
from graphc.passes._folding import OFF
from graphc.passes._placing import Placing
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class MergeGroups(Pass):
    """Make one convolution in groups of a Slice, a convolution of each piece, and their Concat.

    What split_groups made is found, and what others wrote so. The layer is called as the pieces
    are before `_group0`, `_group1`, ...; else by all their names.

    Conditions: as many equal pieces as convolutions, which are alike but for their weights, in one
    order; nothing else reads what lies between, nor is it an output or kept; unshared weights, no
    loss weights in between. Off with gradients.
    """

    name = "merge_groups"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        placing, detail = Placing(graph, ctx.pinned), []
        finder = _Finder(graph, placing)
        for join in graph.forward_nodes():
            convs = finder.pieces(join)
            if convs:
                made = _merged(graph, join, convs, placing)
                detail.append(f"{', '.join(n.name for n in convs)} become {made.name}")
        placing.finish()
        return Report(self.name, bool(detail), tuple(detail))


class _Finder:
    def __init__(self, graph: Graph, placing: Placing) -> None:
        self.users, self.needed = graph.users(), placing.needed
        self.shares = Counter(v.storage for n in graph.nodes for v in n.params.values())

    def pieces(self, join: Node) -> list[Node]:
        """The convolutions that `join` puts together, in order; none where they are no groups."""
        if join.op is not Concat or len(join.ins) < 2:
            return []
        convs: list[Node] = []
        for value in join.ins.values():
            node = value.producer
            if node is None or not self._is_plain(node) or not self._is_inner(value):
                return []
            convs.append(node)
        first = convs[0]
        cut = first.ins["x0"].producer
        axis = typed(first.ins["x0"]).axis(first.attrs.axis)
        if cut is None or cut.op is not Slice or any(cut.loss.values()):
            return []
        if len({_geometry(node) for node in convs}) > 1 or _axis(join, "y") != axis:
            return []
        pieces = [node.ins["x0"] for node in convs]
        is_whole = pieces == [cut.outs[role] for role in cut.tops] and _axis(cut, "x") == axis
        return convs if is_whole and all(map(self._is_inner, pieces)) else []

    def _is_plain(self, node: Node) -> bool:
        """An unshared convolution of one bottom that no loss and no gradient's stop is at."""
        shared = any(self.shares[v.storage] > 1 for v in node.params.values())
        is_one = node.op is Convolution and len(node.ins) == 1 and not shared
        return is_one and not any(node.loss.values()) and all(node.propagate)

    def _is_inner(self, value: Value) -> bool:
        return value.name not in self.needed and len(self.users.get(value, [])) == 1


def _geometry(node: Node) -> object:
    """What convolutions of one layer's groups have in common."""
    a, x = node.attrs, node.ins["x0"]
    return a.num_output, a.bias_term, a.group, typed(x), conv_windows(a, typed(x)), node.phase


def _axis(node: Node, role: str) -> int:
    """The axis along which a Slice or Concat works."""
    shape = typed(node.ins[role] if role in node.ins else node.outs[role])
    old = node.attrs.slice_dim if node.op is Slice else node.attrs.concat_dim
    return shape.axis(next((a for a in (old, node.attrs.axis) if a is not None), 1))


def _merged(graph: Graph, join: Node, convs: list[Node], placing: Placing) -> Node:
    first, count = convs[0], len(convs)
    cut = first.ins["x0"].producer
    assert cut is not None
    a = first.attrs
    attrs = replace(a, num_output=a.num_output * count, group=a.group * count)
    name, ins = _name(convs, placing), {"x0": cut.ins["x"]}
    told: dict[str, Any] = {"phase": first.phase, "loc": first.loc, "propagate": cut.propagate}
    made = Node(Convolution, name, attrs, ins, **told)
    arrays = {
        role: np.concatenate(
            [graph.weight(n.params[role]).reshape(typed(n.params[role]).shape) for n in convs]
        )
        for role in first.params
    }
    placing.fill(made, arrays, first)
    placing.last(made, "y0", join)
    placing.put(join, [made], [join, cut, *convs])
    return made


def _name(convs: list[Node], placing: Placing) -> str:
    stem = convs[0].name.removesuffix("_group0")
    if all(node.name == f"{stem}_group{at}" for at, node in enumerate(convs)):
        return placing.layers.fresh(stem)
    return placing.layers.fresh("+".join(node.name for node in convs))
