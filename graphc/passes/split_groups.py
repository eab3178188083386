"""split_groups: convolutions in groups become one convolution for each group."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ops.concat import Concat, ConcatAttrs
from graphc.ops.convolution import Convolution
from graphc.ops.slice import Slice, SliceAttrs
from graphc.passes._folding import OFF
from graphc.passes._low_rank.choosing import matching
from graphc.passes._low_rank.layers import bottom, why_not
from graphc.passes._placing import Placing
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class SplitGroups(Pass):
    """Write a convolution of G groups as a Slice, G convolutions without groups, and a Concat.

    conv2 becomes conv2_slice, conv2_group0, conv2_group1, ... and conv2_concat, which makes the old
    top; merge_groups takes that back. Each group is then a layer of its own to other passes:
    low_rank can give each its rank, and cp takes it. `layers`: patterns of names.

    Conditions: unshared weights, one bottom, not depthwise. Off with gradients.
    """

    name = "split_groups"
    layers: tuple[str, ...] = ()

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        nodes = [n for n in graph.forward_nodes() if n.op is Convolution and n.attrs.group > 1]
        names = [node.name for node in nodes]
        chosen = matching(self.layers, names, self.name) if self.layers else lambda name: True
        shares = Counter(v.storage for n in graph.nodes for v in n.params.values())
        placing, detail, changed = Placing(graph, ctx.pinned), [], False
        for node in nodes:
            if not chosen(node.name):
                continue
            if reason := why_not(node, shares):
                detail.append(f"{node.name} stays: {reason}")
                continue
            made = _split(graph, node, placing)
            changed = True
            detail.append(f"{node.name} becomes {', '.join(each.name for each in made)}")
        placing.finish()
        return Report(self.name, changed, tuple(detail))


def _split(graph: Graph, node: Node, placing: Placing) -> list[Node]:
    a, x = node.attrs, bottom(node)
    at = typed(x).axis(a.axis)
    axis = None if at == 1 else at
    told: dict[str, Any] = {"phase": node.phase, "loc": node.loc}
    attrs = SliceAttrs(axis=axis)
    cut = Node(Slice, f"{node.name}_slice", attrs, {"x": x}, propagate=node.propagate, **told)
    made, ends = [cut], []
    parts = _parts(graph, node)
    for index, piece in enumerate(placing.inner(cut, [f"y{k}" for k in range(a.group)])):
        own = replace(a, num_output=a.num_output // a.group, group=1)
        each = Node(Convolution, f"{node.name}_group{index}", own, {"x0": piece}, **told)
        placing.fill(each, {role: arrays[index] for role, arrays in parts.items()}, node)
        ends += placing.inner(each, ["y0"])
        made.append(each)
    ins = {f"x{index}": value for index, value in enumerate(ends)}
    name = placing.layers.fresh(f"{node.name}_concat")
    join = Node(Concat, name, ConcatAttrs(axis=axis), ins, **told)
    placing.last(join, "y", node)
    made.append(join)
    placing.put(node, made, [node])
    return made


def _parts(graph: Graph, node: Node) -> dict[str, list[Array]]:
    """Each group's share of the parameters, by role."""
    return {
        role: [part.copy() for part in np.split(_array(graph, value), node.attrs.group)]
        for role, value in node.params.items()
    }


def _array(graph: Graph, value: Value) -> Array:
    return graph.weight(value).reshape(typed(value).shape)
