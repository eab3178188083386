"""compensate: channels go, and the weights that read them make up for it, without training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from graphc.channels import Channels, Group, channel_groups
from graphc.errors import fail
from graphc.ir.clone import clone
from graphc.ir.edit import set_params
from graphc.ir.graph import Array, Graph, Node, typed
from graphc.ir.names import Names
from graphc.ir.provenance import STAYS, LayerChange
from graphc.ir.versions import blob_of
from graphc.ops.convolution import Convolution
from graphc.ops.inner_product import InnerProduct
from graphc.ops.spec import F64
from graphc.passes._folding import OFF
from graphc.passes._importance import check_finite
from graphc.passes._removing import Removing
from graphc.passes._scoring import accuracy
from graphc.passes._statistics import statistics
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class Compensate(Pass):
    """Remove the inputs of a layer that the others explain best, and fit its weights anew.

    Mean and covariance of a layer's inputs on the calibration inputs say which weights and bias
    come nearest to its outputs when channels are missing. `ranking`: which are missed least then
    (`aware`, greedily), or by the size of the weights (`l1`). `ratio` of each group goes; or as
    much as leaves the accuracy within `drop` (a share, 0.01 is a point) of what it was, found for
    each layer by bisection in `steps`, at most `max_ratio` of it. The loss allowed grows from layer
    to layer. That needs an array `label` with the calibration inputs.

    Conditions: one layer without groups reads the channels. Off with gradients. Source: Xie et al.,
    arXiv 2108.13728.
    """

    name = "compensate"
    exact = False
    ratio: float | None = None
    drop: float | None = None
    ranking: Literal["aware", "l1"] = "aware"
    steps: int = 6
    max_ratio: float = 0.9
    layers: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.ratio is None) == (self.drop is None):
            fail("GC-T001", "compensate takes a ratio, or a drop of accuracy", "ratio=0.25")
        for key in ("ratio", "drop", "max_ratio"):
            share = getattr(self, key)
            if share is not None and not 0 <= share < 1:
                fail("GC-T001", f"{key} is {share}, but 0 <= {key} < 1 is needed")
        if self.steps < 1:
            fail("GC-T001", f"steps is {self.steps}, but must be at least 1")

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        if ctx.calibration is None:
            fail("GC-T001", "compensate needs calibration inputs", "--calibration FILE.npz")
        check_finite(graph)
        feeds = {blob_of(v): ctx.calibration.get(blob_of(v)) for v in graph.inputs}
        for name, array in feeds.items():
            if array is None:
                fail("GC-T001", f"the calibration inputs lack {name!r}")
        work = _Work(self, ctx, {k: v for k, v in feeds.items() if v is not None})
        rows = work.done(graph)
        detail = tuple(
            f"{r.layer}{STAYS}{r.reason}" if r.decision == "stays" else f"{r.layer}: {r.decision}"
            for r in rows
        )
        return Report(self.name, any(r.decision != "stays" for r in rows), detail, layers=rows)


class _Work:
    """One run of the pass; `feeds`: inputs to measure on."""

    def __init__(self, options: Compensate, ctx: PassContext, feeds: dict[str, Array]) -> None:
        self.options, self.ctx, self.feeds = options, ctx, feeds

    def done(self, graph: Graph) -> tuple[LayerChange, ...]:
        """Cut the layers one by one, from the first to the last; what became of each."""
        names = [node.name for _, node, why in readers(graph, self._channels(graph)) if not why]
        rows = [
            LayerChange(node.name, "stays", why)
            for _, node, why in readers(graph, self._channels(graph))
            if why
        ]
        first = self._accuracy(graph) if self.options.drop is not None else 0.0
        for at, name in enumerate(names, 1):
            least = first - (self.options.drop or 0.0) * at / len(names)
            rows.append(self._cut(graph, name, least))
        return tuple(rows)

    def _channels(self, graph: Graph) -> Channels:
        return channel_groups(graph, self.ctx.pinned)

    def _cut(self, graph: Graph, name: str, least: float) -> LayerChange:
        o = self.options
        if (o.layers and name not in o.layers) or name in o.skip:
            return LayerChange(name, "stays", "it is to be skipped")
        trial = _Trial(graph, self.ctx, self.feeds, name, o.ranking)
        count = int((o.ratio or 0.0) * trial.size)
        if o.drop is not None:
            count = self._bisected(graph, trial, least)
        if count < 1:
            return LayerChange(name, "stays", "no channel can be spared")
        error = trial.apply(graph, count)
        told = f"reads {trial.size - count} of {trial.size} channels"
        return LayerChange(name, told, f"of {trial.group.name}", response_error=error)

    def _bisected(self, graph: Graph, trial: _Trial, least: float) -> int:
        """The most channels that may go with an accuracy of at least `least`."""
        low, high = 0, int(self.options.max_ratio * trial.size)
        for _ in range(self.options.steps):
            middle = (low + high + 1) // 2
            if middle == low:
                break
            other = clone(graph)
            trial.apply(other, middle)
            if self._accuracy(other) >= least:
                low = middle
            else:
                high = middle - 1
        return low

    def _accuracy(self, graph: Graph) -> float:
        """The share of calibration inputs whose largest output is that of their label."""
        if self.ctx.labels is None:
            told = "compensate: drop needs the right classes: there is no array 'label'"
            fail("GC-T001", told, "put one with a number for each sample in --calibration FILE.npz")
        return accuracy(self.ctx.run(graph, self.feeds), self.ctx.labels)


class _Trial:
    """What may be cut at the layer called `name`: `size` channels of `group`, least needed last."""

    def __init__(
        self, graph: Graph, ctx: PassContext, feeds: dict[str, Array], name: str, ranking: str
    ) -> None:
        channels = channel_groups(graph, ctx.pinned)
        self.group, node = next((g, n) for g, n, _ in readers(graph, channels) if n.name == name)
        self.name, self.ctx = name, ctx
        value = next(iter(node.ins.values()))
        other = clone(graph)
        other.outputs = [other.value(value.name)]
        x = ctx.run(other, feeds)[value.name].astype(np.float64)
        axis = typed(value).axis(node.attrs.axis)
        labels = channels.labels[value, axis]
        self.index = [int(np.flatnonzero(labels == c)[0]) for c in self.group.classes]
        weight, self.bias = _numbers(graph, node)
        self.statistics = statistics(node, x, int(np.prod(typed(node.params["weight"]).shape[2:])))
        self.weight = weight
        if ranking == "aware":
            whole, _ = self.statistics.ranked(weight)
        else:
            sizes = np.abs(weight).reshape(len(weight), self.statistics.channels, -1).sum((0, 2))
            whole = np.argsort(-sizes, kind="stable")
        own = set(self.index)
        self.order = [int(i) for i in whole if int(i) in own]
        self.rest = [i for i in range(self.statistics.channels) if i not in own]

    @property
    def size(self) -> int:
        return len(self.order)

    def apply(self, graph: Graph, count: int) -> float:
        """Remove the last `count` channels; returns |y - y'| / |y|, as the statistics have it."""
        node = graph.node(self.name)
        kept = np.array(sorted([*self.order[: self.size - count], *self.rest]), np.int64)
        made, shift, apart = self.statistics.compensated(self.weight, self.bias, kept)
        fitted = np.zeros_like(self.weight)
        fitted[:, self.statistics.columns(kept)] = made
        _set(graph, node, fitted, shift)
        channels = channel_groups(graph, self.ctx.pinned)
        value = next(iter(node.ins.values()))
        labels = channels.labels[value, typed(value).axis(node.attrs.axis)]
        mask = np.zeros(channels.count, bool)
        mask[labels[self.order[self.size - count :]]] = True
        Removing(channels, mask, mask).apply(graph)
        whole = self.statistics.variance(self.weight)
        return float(np.sqrt(apart / whole)) if whole > 0 else 0.0


def readers(graph: Graph, channels: Channels) -> Iterator[tuple[Group, Node, str]]:
    """Groups that a layer of weights reads, the layer, and why it cannot make up for them."""
    balanced = {axis for _, axis, _ in channels.balances}
    ordered = {axis for _, axis in channels.ordered}
    for group in channels.groups:
        for name in group.readers:
            node = graph.node(name)
            axes = {axis for axis, _ in group.axes}
            why = group.why
            if node.op not in (Convolution, InnerProduct) or len(node.ins) != 1:
                why = why or "it is no convolution or inner product of one blob"
            elif len(group.readers) > 1:
                why = why or f"{', '.join(group.readers)} read the same channels"
            elif axes & balanced or axes & ordered:
                why = why or "the channels' places matter to a layer"
            elif any(len(channels.uses[v.storage]) > 1 for v in node.params.values()):
                why = why or "it shares its weights"
            yield group, node, why


def _numbers(graph: Graph, node: Node) -> tuple[F64, F64]:
    """Weights as (outputs, columns), and the bias."""
    array = graph.weight(node.params["weight"]).reshape(typed(node.params["weight"]).shape)
    if node.op is InnerProduct and node.attrs.transpose:
        array = array.T
    weight: F64 = array.reshape(node.attrs.num_output, -1).astype(np.float64)
    held = node.params.get("bias")
    bias = np.zeros(len(weight)) if held is None else graph.weight(held).reshape(-1)
    return weight, bias.astype(np.float64)


def _set(graph: Graph, node: Node, weight: F64, bias: F64) -> None:
    """Give a layer other numbers; one without a bias gets one."""
    shape = typed(node.params["weight"]).shape
    is_turned = node.op is InnerProduct and node.attrs.transpose
    array = (weight.T if is_turned else weight).reshape(shape).astype(np.float32)
    if not node.attrs.bias_term:
        node.attrs = replace(node.attrs, bias_term=True)
    found = {"weight": np.ascontiguousarray(array), "bias": bias.astype(np.float32)}
    set_params(graph, Names.of(graph), node, found)
