"""sparse_layout: layers compute with the weights alone that are not zero, where that is faster."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any, Literal

import numpy as np

from graphc.errors import fail
from graphc.ir.clone import clone
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.provenance import LayerChange
from graphc.ops import _sparse
from graphc.ops._blob_shape import BlobShape
from graphc.ops.convolution import Convolution
from graphc.ops.inner_product import InnerProduct
from graphc.ops.input import Input, InputAttrs
from graphc.passes._folding import OFF
from graphc.passes._weights import Weighted, chosen_layers
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record

LEAST_ZEROS = 0.3
"""Below this share of zeros no layout was ever seen to be faster."""
GAIN = 0.97
"""The share of its time that a network must come down to, for measured times waver; by how much two
of the same network differ is taken from it."""
CONV = {"direct": "DIRECT_SCONV", "csr": "LOWERED_CSRMM", "compact": "LOWERED_CCNMM"}
PRODUCT = {"csr": "SPMDM", "compact": "PANELS"}
"""Layout -> mode of convolutions and of inner products."""


@record(frozen=True)
class SparseLayout(Pass):
    """Choose for convolutions and inner products how their weights are laid out: `conv_mode` and
    `gemm_mode`, in the meaning of the forks that have them.

    direct: convolution by non-zero weights alone, over a padded copy of its bottom; csr: products
    with them alone; compact: dense products of what is left without zero filters and, for 8 filters
    (16 outputs of an inner product) at a time, without zero columns; dense: what there was; auto:
    for each layer, whatever takes least measured time on its own. Of the layers that gain, those
    are taken with which the whole network is fastest (when=faster), or all (when=always).

    Results stay within rounding, but a zero times what is not finite no longer makes NaN. Off with
    gradients. Source: Park et al., arXiv 1608.01409; Wen et al., arXiv 1608.03665.
    """

    name = "sparse_layout"
    layout: Literal["auto", "direct", "csr", "compact", "dense"] = "auto"
    when: Literal["faster", "always"] = "faster"
    layers: tuple[str, ...] = field(default_factory=tuple)
    skip: tuple[str, ...] = field(default_factory=tuple)

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        chosen = chosen_layers(self, graph, self.layers, self.skip)
        found = [self._judge(layer, graph, ctx) for layer in chosen]
        if self.when == "faster" and self.layout != "dense":
            found = self._faster_together(found, graph, ctx)
        changed = False
        for verdict in found:
            if verdict.attrs is not None and verdict.attrs != verdict.layer.node.attrs:
                verdict.layer.node.attrs, changed = verdict.attrs, True
        done = [v for v in found if v.attrs is not None]
        told = f"{len(done)} of {len(found)} layers"
        return Report(self.name, changed, (told,), layers=tuple(v.row() for v in found))

    def _judge(self, layer: Weighted, graph: Graph, ctx: PassContext) -> Verdict:
        """What becomes of a layer by itself."""
        node = layer.node
        if self.layout == "dense":
            return Verdict(layer, "dense", _with_mode(node, ""), "asked for")
        options = _options(node, self.layout)
        if not options:
            if self.layout != "auto" and self.layers:
                told = f"pass {self.name!r}: layer {layer.name!r} has no layout {self.layout!r}"
                fail("GC-T001", told, "auto takes what each layer can have")
            return Verdict(layer, "stays", None, "no sparse layout for such a layer")
        weight = layer.array(graph)
        zeros = 1 - np.count_nonzero(weight) / max(1, weight.size)
        if self.when == "always" and len(options) == 1:
            ((name, attrs),) = options.items()
            return Verdict(layer, name, attrs, f"{zeros:.0%} zeros")
        if self.when == "faster" and zeros < LEAST_ZEROS:
            return Verdict(layer, "stays", None, f"{zeros:.0%} zeros")
        tried = {"dense": _with_mode(node, ""), **options}
        alone = [_alone(graph, node, attrs) for attrs in tried.values()]
        times = dict(zip(tried, ctx.times_us(alone), strict=True))
        told = f"{zeros:.0%} zeros; " + ", ".join(f"{n} {t / 1e3:.3f} ms" for n, t in times.items())
        able = times if self.when == "faster" else {n: times[n] for n in options}
        best = min(able, key=lambda name: able[name])
        pair = times["dense"], times[best]
        if best == "dense":
            return Verdict(layer, "stays", None, told, pair)
        return Verdict(layer, best, tried[best], told, pair)

    def _faster_together(
        self, found: list[Verdict], graph: Graph, ctx: PassContext
    ) -> list[Verdict]:
        """The verdicts of which those are left that make the network faster: with formats of images
        and what neighbours fuse, more is at stake than each layer's own time."""
        gains = sorted({v.gain for v in found if v.attrs is not None})
        if not gains:
            return found
        least = sorted({gains[0], gains[len(gains) // 2], gains[-1]})
        trials = [[v for v in found if v.attrs is not None and v.gain >= g] for g in least]
        graphs = [clone(graph)]
        for trial in trials:
            other = clone(graph)
            places = {node: at for at, node in enumerate(graph.nodes)}
            for verdict in trial:
                other.nodes[places[verdict.layer.node]].attrs = verdict.attrs
            graphs.append(other)
        first, *after, again = ctx.times_us([*graphs, clone(graph)])
        before, apart = min(first, again), abs(first - again)
        best = min(range(len(after)), key=lambda at: after[at])
        told = f"the network {before / 1e3:.3f} ms, with it {after[best] / 1e3:.3f} ms"
        pays = after[best] <= GAIN * before - apart
        kept = trials[best] if pays else []
        return [
            v
            if v.attrs is None or v in kept
            else replace(
                v,
                decision="stays",
                attrs=None,
                reason=(
                    f"{v.reason}; {told}"
                    if not pays
                    else f"{v.reason}; others gain more without it"
                ),
            )
            for v in found
        ]


@record(frozen=True)
class Verdict:
    """What becomes of a layer: its new attributes (None: as it is), and why; `us`: dense, then so,
    by itself."""

    layer: Weighted
    decision: str
    attrs: Any
    reason: str
    us: tuple[float, float] | None = None

    @property
    def gain(self) -> float:
        return self.us[0] / self.us[1] if self.us else float("inf")

    def row(self) -> LayerChange:
        return LayerChange(self.layer.name, self.decision, self.reason, us=self.us)


def _options(node: Node, layout: str) -> dict[str, Any]:
    """The layer's attributes by the name of each layout that is asked for and can be."""
    if node.op is Convolution:
        x = typed(node.ins["x0"])
        if len(node.ins) > 1 or x.rank != 4 or x.axis(node.attrs.axis) != 1:
            return {}
        modes = CONV
    elif node.op is InnerProduct:
        modes = PRODUCT
    else:
        return {}
    if layout == "auto":
        # a csr product of a convolution is computed as a direct one
        names = [name for name in modes if node.op is InnerProduct or name != "csr"]
        return {name: _with_mode(node, modes[name]) for name in names}
    return {layout: _with_mode(node, modes[layout])} if layout in modes else {}


def _with_mode(node: Node, mode: str) -> Any:
    """The layer's attributes with another mode ("": dense)."""
    if node.op is InnerProduct:
        return replace(node.attrs, gemm_mode=mode or _sparse.DENSE_PRODUCT)
    return replace(node.attrs, conv_mode=mode or _sparse.DENSE_CONV)


def _alone(graph: Graph, node: Node, attrs: Any) -> Graph:
    """A network of nothing but the layer."""
    ((role, x),) = node.ins.items()
    feed = Value("x", typed(x))
    shape = InputAttrs(shape=(BlobShape(dim=typed(x).shape),))
    top = node.tops[0]
    made = Value("y", typed(node.outs[top]))
    params = {r: Value(v.name, typed(v), kind=v.kind, spec=v.spec) for r, v in node.params.items()}
    layer = Node(node.op, node.name, attrs, {role: feed}, {top: made}, params=params)
    source = Node(Input, "in", shape, {}, {"y0": feed})
    found = Graph(nodes=[source, layer], outputs=[made])
    for r, value in node.params.items():
        found.weights[params[r].name] = graph.weight(value).reshape(typed(value).shape)
    return found
