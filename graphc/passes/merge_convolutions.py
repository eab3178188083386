"""merge_convolutions: parallel convolutions of one blob become one, and a Slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable
from dataclasses import replace
from itertools import accumulate
from typing import Literal

import numpy as np

from graphc.ir.clone import clone
from graphc.ir.edit import erase, needed_names, set_params, take_over
from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ir.names import Names
from graphc.ops._conv import conv_windows
from graphc.ops.convolution import Convolution
from graphc.ops.elementwise import Elementwise
from graphc.ops.slice import Slice, SliceAttrs
from graphc.passes._folding import OFF
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class MergeConvolutions(Pass):
    """Stack the filters of convolutions that read one blob alike, and cut their top in pieces.

    They must have one kernel, stride, padding, dilation and axis, and no groups, as the 1x1
    branches of GoogLeNet's inception modules. If one activation without parameters follows each,
    it is done once, before the cut. All of these are merged, or none: as it stands (when=faster) if
    the network then takes less measured time, by some percent at most; with when=always in any
    case.

    Conditions: unshared weights, no loss weights. Off with gradients. Source: Chen et al., TVM,
    arXiv 1802.04799 (CombineParallelConv2D).
    """

    name = "merge_convolutions"
    when: Literal["faster", "always"] = "faster"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        groups = _groups(graph)
        if not groups:
            return Report(self.name)
        timed: list[str] = []
        if self.when == "faster":
            other = clone(graph)
            _Merger(other, ctx.pinned).merge(_groups(other))
            now, then = ctx.time_us(graph), ctx.time_us(other)
            told = f"{now / 1000:.2f} ms before, {then / 1000:.2f} ms after"
            if then >= now:
                return Report(self.name, False, (f"each layer stays: it does not pay, {told}",))
            timed = [f"it pays: {told}"]
        detail = _Merger(graph, ctx.pinned).merge(groups)
        return Report(self.name, True, (*timed, *detail))


def _groups(graph: Graph) -> list[list[Node]]:
    """Convolutions of one bottom and one geometry, where there are several."""
    shares = Counter(v.storage for n in graph.nodes for v in n.params.values())
    found: dict[Hashable, list[Node]] = {}
    for node in graph.forward_nodes():
        a = node.attrs
        if node.op is not Convolution or node.phase != "TEST" or len(node.ins) != 1:
            continue
        is_alone = all(shares[v.storage] == 1 for v in node.params.values())
        if a.group != 1 or any(node.loss.values()) or not all(node.propagate) or not is_alone:
            continue
        x = node.ins["x0"]
        windows = conv_windows(a, typed(x))
        found.setdefault((x, typed(x).axis(a.axis), windows), []).append(node)
    return [nodes for nodes in found.values() if len(nodes) > 1]


class _Merger:
    def __init__(self, graph: Graph, pinned: Collection[str]) -> None:
        self.graph = graph
        self.needed = needed_names(graph, pinned)
        self.users = graph.users()
        self.names = Names.of(graph)

    def merge(self, groups: list[list[Node]]) -> list[str]:
        """Merge each group; says what became of it."""
        placed: dict[Node, list[Node]] = {}
        arrays: dict[Node, dict[str, Array]] = {}
        dead: set[Node] = set()
        detail: list[str] = []
        for group in groups:
            nodes = self._merged(group, self._activations(group))
            placed[group[0]], arrays[nodes[0]] = nodes, self._stacked(group)
            dead.update(group, self._activations(group))
            detail.append(f"{', '.join(n.name for n in group)} become {nodes[0].name}")
        graph = self.graph
        graph.nodes = [new for node in graph.nodes for new in placed.get(node, [node])]
        erase(graph, dead)
        for node, made in arrays.items():
            set_params(graph, self.names, node, made)
        return detail

    def _activations(self, group: list[Node]) -> list[Node]:
        """The activations that follow one layer each, if all are alike; else none."""
        found: list[Node] = []
        for node in group:
            top = node.outs["y0"]
            readers = self.users.get(top, [])
            if top.name in self.needed or len(readers) != 1:
                return []
            found.append(readers[0][0])
        first = found[0]
        plain = issubclass(first.op, Elementwise) and len(first.ins) == 1 and not first.params
        if not plain or any(any(n.loss.values()) or not all(n.propagate) for n in found):
            return []
        alike = all((n.op, n.attrs, n.phase) == (first.op, first.attrs, "TEST") for n in found)
        return found if alike and len(set(found)) == len(found) else []

    def _merged(self, group: list[Node], acts: list[Node]) -> list[Node]:
        """The one convolution, perhaps its activation, and the Slice that makes the old tops."""
        first, x = group[0], group[0].ins["x0"]
        name = "+".join(node.name for node in group)
        axis, counts = typed(x).axis(first.attrs.axis), [n.attrs.num_output for n in group]
        shape = typed(first.outs["y0"]).shape
        type_ = typed(x).with_shape(*shape[:axis], sum(counts), *shape[axis + 1 :])
        has_bias = any(n.attrs.bias_term for n in group)
        attrs = replace(first.attrs, num_output=sum(counts), bias_term=has_bias)
        blob = self.names.fresh(name)
        made = Value(self.names.fresh(f"{blob}@{name}") if acts else blob, type_)
        nodes = [Node(Convolution, name, attrs, {"x0": x}, {"y0": made}, loc=first.loc)]
        if acts:
            act, (role,), (top,) = acts[0], acts[0].ins, acts[0].tops
            made, before = Value(blob, type_), made
            joined = "+".join(node.name for node in acts)
            nodes.append(Node(act.op, joined, act.attrs, {role: before}, {top: made}, loc=act.loc))
        points = tuple(accumulate(counts[:-1]))
        cut = SliceAttrs(slice_point=points, axis=None if axis == 1 else axis)
        last = Node(Slice, f"{name}/slice", cut, {"x": made}, loc=first.loc)
        for count, end in enumerate(acts or group):
            value = end.outs[end.tops[0]]
            take_over(last, f"y{count}", value, self.needed, self.names.taken)
        last.tops = tuple(last.outs)
        return [*nodes, last]

    def _stacked(self, group: list[Node]) -> dict[str, Array]:
        """The parameters of the one convolution, by role; a bias that is missing is 0."""
        found: dict[str, list[Array]] = {"weight": [], "bias": []}
        for node in group:
            for role, value in node.params.items():
                found[role].append(self.graph.weight(value).reshape(typed(value).shape))
            if "bias" not in node.params:
                found["bias"].append(np.zeros(node.attrs.num_output, np.float32))
        if not any(node.attrs.bias_term for node in group):
            del found["bias"]
        return {role: np.concatenate(arrays) for role, arrays in found.items()}
