"""project_bilinear: inner products become sums of a few bilinear maps, in stock layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal

import numpy as np

from graphc.errors import fail
from graphc.factor.kronecker import Kronecker, balanced_pair
from graphc.factor.spectrum import least_rank
from graphc.ir.edit import erase, needed_names, set_params, take_over
from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ir.names import Names
from graphc.ir.provenance import LayerChange
from graphc.ops.bilinear_projection import BilinearProjectionAttrs, bilinear_layers
from graphc.ops.inner_product import InnerProduct
from graphc.ops.spec import F64
from graphc.passes._folding import OFF
from graphc.passes._low_rank.choosing import FLOAT, matching, staying
from graphc.passes._low_rank.layers import bottom, conv_of, top, why_not
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class ProjectBilinear(Pass):
    """Write the weights of inner products as sum_r kron(A_r, B_r), and compute A_r X B_r^T.

    X is the bottom as a matrix: channels by what is left of each, or, of a vector, the two factors
    of its length that are nearest to each other; likewise the top. As many terms as `error` asks
    for, ||W - W'||^2 / ||W||^2, or `terms`. Each layer becomes Reshape, InnerProduct, Reshape,
    Convolution, Reshape and Bias, which is what a BilinearProjection stands for.

    Conditions: the layer sums over all axes but the batch; its weights are not shared; with
    when=smaller there are fewer multiply-adds and parameters. Off with gradients. Source: Van Loan
    and Pitsianis, 1993; Yu et al., arXiv 2011.01391.
    """

    name = "project_bilinear"
    exact = False
    error: float = 0.05
    terms: int | None = None
    layers: tuple[str, ...] = ()
    when: Literal["smaller", "always"] = "smaller"

    def __post_init__(self) -> None:
        if not 0 <= self.error <= 1:
            fail("GC-T001", f"project_bilinear: error is {self.error:g}, expected 0 to 1")
        if self.terms is not None and self.terms < 1:
            fail("GC-T001", f"project_bilinear: terms is {self.terms}, expected 1 or more")

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        nodes = [node for node in graph.forward_nodes() if node.op is InnerProduct]
        names = [node.name for node in nodes]
        chosen = matching(self.layers, names, self.name) if self.layers else lambda name: True
        shares = Counter(v.storage for n in graph.nodes for v in n.params.values())
        changes: list[LayerChange] = []
        wanted: dict[Node, tuple[BilinearProjectionAttrs, dict[str, F64]]] = {}
        for node in nodes:
            if not chosen(node.name):
                continue
            reason = why_not(node, shares)
            if not reason and typed(bottom(node)).axis(node.attrs.axis) != 1:
                reason = "it keeps an axis beside the batch"
            if reason:
                changes.append(staying(node, reason))
                continue
            attrs, arrays, change = self._projected(graph, node)
            changes.append(change)
            if attrs is not None:
                wanted[node] = attrs, arrays
        detail = tuple(f"{node.name} becomes bilinear" for node in wanted)
        _put(graph, wanted, ctx)
        return Report(self.name, bool(wanted), detail, layers=tuple(changes))

    def _projected(
        self, graph: Graph, node: Node
    ) -> tuple[BilinearProjectionAttrs | None, dict[str, F64], LayerChange]:
        """The projection (None: the layer stays), its weights, and what is told of it."""
        conv, x = conv_of(graph, node), typed(bottom(node))
        rest = x.count(2)
        inn = (x.shape[1], rest) if x.rank > 2 and rest > 1 else balanced_pair(x.shape[1])
        found = Kronecker(conv.weight, balanced_pair(conv.outputs), inn)
        count = least_rank(found.left, self.error) if self.terms is None else self.terms
        if count > found.full:
            told = f"project_bilinear: {count} terms of {node.name!r}"
            fail("GC-T001", f"{told} are more than its {found.full}")
        (m1, m2), (n1, n2) = found.out, found.inn
        bias = 0 if conv.bias is None else conv.bias.size
        macs = x.shape[0] * count * (n1 * n2 * m2 + n1 * m1 * m2)
        now = conv.weight.size * x.shape[0], conv.params
        then = macs, found.params(count) + bias
        told = f"{count} of {found.full} terms, {m1}x{m2} by {n1}x{n2}"
        if self.when == "smaller" and (then[0] >= now[0] or then[1] >= now[1]):
            reason = f"{told} take {then[0]:,} multiply-adds, {then[1]:,} parameters, no fewer"
            return None, {}, staying(node, reason)
        a, b = found.terms(count)
        arrays = {"a": a.transpose(1, 2, 0)[..., None], "b": b.reshape(count * m2, n2)}
        arrays |= {} if conv.bias is None else {"bias": conv.bias}
        attrs = BilinearProjectionAttrs(
            n1, n2, m1, m2, count, conv.bias is not None,
            node.attrs.weight_filler, node.attrs.bias_filler,
        )  # fmt: skip
        change = LayerChange(
            node.name,
            told,
            macs=(now[0], then[0]),
            params=(now[1], then[1]),
            nbytes=(FLOAT * now[1], FLOAT * then[1]),
            weight_error=float(np.sqrt(max(found.left[count], 0.0))),
        )
        return attrs, arrays, change


def _put(
    graph: Graph,
    wanted: dict[Node, tuple[BilinearProjectionAttrs, dict[str, F64]]],
    ctx: PassContext,
) -> None:
    """Put the layers of each projection in place of its node."""
    needed, names = needed_names(graph, ctx.pinned), Names.of(graph)
    layers = Names(node.name for node in graph.forward_nodes())
    placed: dict[Node, list[Node]] = {}
    weights: list[tuple[Node, dict[str, Array]]] = []
    for old, (attrs, arrays) in wanted.items():
        known: dict[str, Value] = {"x": bottom(old)}
        placed[old] = []
        for layer in bilinear_layers(attrs):
            is_last = layer.outs == ("y",)
            ins, outs = layer.op.roles(layer.attrs, 1, 1)
            name = layers.fresh(f"{old.name}_{layer.name}")
            node = Node(
                layer.op, name, layer.attrs, {ins[0]: known[layer.ins[0]]},
                phase=old.phase, loc=old.loc,
            )  # fmt: skip
            if is_last:
                take_over(node, outs[0], top(old), needed, names.taken)
                node.loss = dict(zip(outs, old.loss.values(), strict=False))
            else:
                value = Value(names.fresh(name), producer=node)
                node.outs = {outs[0]: value}
                sig = replace(node.sig(graph.env), tops=outs)
                value.type = layer.op.infer(layer.attrs, sig)[outs[0]]
                known[layer.outs[0]] = value
            node.tops = outs
            placed[old].append(node)
            if layer.params:
                role = layer.op.params(layer.attrs, node.sig(graph.env))[0].name
                weights.append((node, {role: arrays[layer.params[0]].astype(np.float32)}))
        placed[old][0].propagate = old.propagate
    graph.nodes = [new for node in graph.nodes for new in placed.get(node, [node])]
    erase(graph, set(wanted))
    for node, made in weights:
        set_params(graph, names, node, made)
