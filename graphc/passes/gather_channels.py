"""gather_channels: 1x1 convolutions that only copy channels become a Slice and a Concat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from graphc.ir.clone import clone
from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ops._conv import conv_windows
from graphc.ops.bias import Bias, BiasAttrs
from graphc.ops.concat import Concat, ConcatAttrs
from graphc.ops.convolution import Convolution
from graphc.ops.slice import Slice, SliceAttrs
from graphc.passes._folding import OFF
from graphc.passes._placing import Placing
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class GatherChannels(Pass):
    """Replace 1x1 convolutions of which each filter is one 1 among zeros.

    So are those that low_rank makes by k-means, conv_linear: y[n] = x[i(n)] + bias[n] needs no
    multiply-add. A Slice cuts x where the i(n) are not consecutive, a Concat puts the pieces
    together, and a Bias follows where the layer has one. All of these are replaced, or none: as it
    stands (when=faster) if the network then takes less measured time; with when=always in any case.

    Conditions: stride 1, no padding, one bottom, unshared weights; each channel is read (else
    `remove_filters:criterion=dead` comes first); there are several. Off with gradients.
    """

    name = "gather_channels"
    when: Literal["faster", "always"] = "faster"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        wanted, stays = _gathers(graph)
        if not wanted:
            return Report(self.name, False, tuple(stays))
        timed: list[str] = []
        if self.when == "faster":
            other = clone(graph)
            _put(other, ctx, _gathers(other)[0])
            now, then = ctx.time_us(graph), ctx.time_us(other)
            told = f"{now / 1000:.2f} ms before, {then / 1000:.2f} ms after"
            if then >= now:
                return Report(self.name, False, (f"each layer stays: it does not pay, {told}",))
            timed = [f"it pays: {told}"]
        return Report(self.name, True, (*timed, *_put(graph, ctx, wanted), *stays))


def _gathers(graph: Graph) -> tuple[dict[Node, Array], list[str]]:
    """The source channel of each output of layers that only copy; and of others what to say."""
    shares = Counter(v.storage for n in graph.nodes for v in n.params.values())
    found: dict[Node, Array] = {}
    stays: list[str] = []
    for node in graph.forward_nodes():
        if node.op is not Convolution or len(node.ins) != 1:
            continue
        a, x = node.attrs, typed(node.ins["x0"])
        windows = conv_windows(a, x)
        if any((w.kernel, w.stride, w.pad) != (1, 1, 0) for w in windows):
            continue
        if any(shares[v.storage] > 1 for v in node.params.values()):
            continue
        weight = graph.weight(node.params["weight"]).reshape(a.num_output, -1)
        if not ((weight == 1).sum(1) == 1).all() or (weight != 0).sum() != len(weight):
            continue
        depth = weight.shape[1]
        group = np.arange(a.num_output) // (a.num_output // a.group)
        source = weight.argmax(1) + group * depth
        channels = x.shape[x.axis(a.axis)]
        unread = np.setdiff1d(np.arange(channels), source)
        if unread.size:
            stays.append(f"{node.name} stays: nothing reads channel {unread[0]} of its bottom")
        elif channels > 1:
            found[node] = source
    return found, stays


def _put(graph: Graph, ctx: PassContext, wanted: Mapping[Node, Array]) -> list[str]:
    placing, detail = Placing(graph, ctx.pinned), []
    for node, source in wanted.items():
        made = _gathered(graph, node, source, placing)
        detail.append(f"{node.name} becomes {', '.join(each.name for each in made)}")
    placing.finish()
    return detail


def _gathered(graph: Graph, node: Node, source: Array, placing: Placing) -> list[Node]:
    x = node.ins["x0"]
    at = typed(x).axis(node.attrs.axis)
    axis = None if at == 1 else at
    runs = np.split(source, np.flatnonzero(np.diff(source) != 1) + 1)
    channels = typed(x).shape[at]
    points = sorted({int(run[0]) for run in runs} | {int(run[-1]) + 1 for run in runs})
    starts = sorted({0, *points} - {channels})
    told: dict[str, Any] = {"phase": node.phase, "loc": node.loc}
    made: list[Node] = []
    pieces: dict[int, Value] = {0: x}
    if len(starts) > 1:
        attrs = SliceAttrs(slice_point=tuple(starts[1:]), axis=axis)
        cut = Node(Slice, f"{node.name}_slice", attrs, {"x": x}, propagate=node.propagate, **told)
        tops = placing.inner(cut, [f"y{k}" for k in range(len(starts))])
        pieces = dict(zip(starts, tops, strict=True))
        made.append(cut)
    order = [start for run in runs for start in starts if run[0] <= start <= run[-1]]
    ins = {f"x{k}": pieces[start] for k, start in enumerate(order)}
    join = Node(Concat, f"{node.name}_gather", ConcatAttrs(axis=axis), ins, **told)
    join.propagate = () if made else node.propagate
    made.append(join)
    if "bias" in node.params:
        (whole,) = placing.inner(join, ["y"])
        name = placing.layers.fresh(f"{node.name}_bias")
        add = Node(Bias, name, BiasAttrs(axis=at), {"x": whole}, **told)
        placing.fill(add, {"bias": graph.weight(node.params["bias"]).copy()}, node)
        made.append(add)
    else:
        join.name = placing.layers.fresh(join.name)
    placing.last(made[-1], "y", node)
    placing.put(node, made, [node])
    return made
