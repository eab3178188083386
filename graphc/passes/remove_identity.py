"""remove_identity: drop layers that pass their input on as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

from graphc.errors import GraphError
from graphc.ir.edit import Replacement
from graphc.ir.graph import Graph, Node, Value
from graphc.ir.op import Env, Trait
from graphc.ir.types import Type
from graphc.ops.pooling import Pooling
from graphc.ops.spec import OpSpec
from graphc.passes._affine import NORMS, SCALES, affine_of, changing_states
from graphc.passes._ranges import ranges, tops
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class RemoveIdentity(Pass):
    """Drop layers whose tops always equal a bottom; readers take that instead.

    Which these are follows from declarations: tops that are views of the whole bottom, in its shape
    (Reshape, Flatten, Split, a Concat of one, Power of nothing, a sum with one coefficient 1);
    expressions that are x wherever x can lie, given the layers before (ReLU or AbsVal after ReLU);
    coefficients that are all 1 and shifts that are all 0; 1x1 pooling. NaN are not considered.

    Conditions: it must hold for every size that the input may have, not just for this one; the
    names of outputs and kept blobs survive. With gradients only views go, and layers with
    parameters stay.
    """

    name = "remove_identity"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        found = Replacement(graph, ctx.pinned)
        detail: list[str] = []
        for node, equals in _identities(graph, ctx.train):
            if found.drop(node, equals):
                detail.append(f"removed {node.name} ({node.op.type})")
            else:
                detail.append(f"{node.name} stays: a name, a loss or a gradient needs it")
        found.apply()
        return Report(self.name, bool(found.dropped), tuple(detail))


def _identities(graph: Graph, train: bool) -> Iterator[tuple[Node, dict[Value, Value]]]:
    """Layers that pass their input on, and to which bottom each top is equal."""
    known = {} if train else ranges(graph)
    changing = changing_states(graph)
    for node in graph.forward_nodes():
        roles = _views(node, graph.env)
        if not roles and not train:
            roles = {r: x.of for r, x in tops(node, known).items() if x.of in node.ins}
            if not roles and (_has_no_effect(graph, node, changing) or _is_unit_pool(node)):
                roles = {node.tops[0]: next(iter(node.ins))}
        if set(roles) == set(node.outs) and roles and not (train and node.params):
            yield node, {node.outs[top]: node.ins[bottom] for top, bottom in roles.items()}


def _views(node: Node, env: Env) -> dict[str, str]:
    """The bottom that each top is in all respects, at any size; empty if they are not."""
    sig = node.sig(env)
    views = cast("type[OpSpec]", node.op).views(node.attrs, sig)
    if any(v.of not in sig.ins or v.axis is not None for v in views.values()):
        return {}
    if not views or any(sig[role] != sig.ins[v.of] for role, v in views.items()):
        return {}
    if len(sig.ins) > 1 and Trait.ELEMENTWISE not in node.op.traits:
        return {}  # the other bottoms' shapes count
    for ins in _other_sizes(sig.ins):
        try:
            types = node.op.infer(node.attrs, replace(sig, ins=ins, outs={}, params={}))
        except GraphError:
            return {}
        if any(types[role] != ins[v.of] for role, v in views.items()):
            return {}
    return {role: v.of for role, v in views.items()}


def _other_sizes(ins: Mapping[str, Type]) -> Iterator[dict[str, Type]]:
    """The bottoms, all of one shape, with one axis after the other made longer."""
    first = next(iter(ins.values()))
    for axis, extent in enumerate(first.shape):
        shape = (*first.shape[:axis], 2 * extent or 2, *first.shape[axis + 1 :])
        yield {role: type_.with_shape(*shape) for role, type_ in ins.items()}


def _has_no_effect(graph: Graph, node: Node, changing: frozenset[Value]) -> bool:
    """Are a layer's coefficients all 1, and its shifts all 0?"""
    if node.op not in NORMS | SCALES:
        return False
    map_ = affine_of(graph, node, changing)
    return not isinstance(map_, str) and map_.is_identity


def _is_unit_pool(node: Node) -> bool:
    """Does each window hold one element, and each element lie in one?"""
    if node.op is not Pooling or len(node.tops) != 1 or node.attrs.global_pooling:
        return False
    a = node.attrs
    ones = (a.kernel_size, a.kernel_h, a.kernel_w, a.stride, a.stride_h, a.stride_w)
    return set(ones) <= {None, 1} and {a.pad, a.pad_h, a.pad_w} <= {None, 0}
