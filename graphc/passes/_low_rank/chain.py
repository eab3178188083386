"""Chains of layers in place of one, and one layer in place of a chain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.errors import fail
from graphc.factor.conv import Conv
from graphc.factor.decomposition import Paths
from graphc.ir.edit import erase, needed_names, set_params, take_over
from graphc.ir.graph import Array, Graph, Node, ParamSpec, Value, typed
from graphc.ir.names import Names
from graphc.ir.types import Type
from graphc.ops._conv import ConvolutionAttrs
from graphc.ops.eltwise import Eltwise, EltwiseAttrs
from graphc.ops.inner_product import InnerProduct
from graphc.passes._low_rank.families import SUM, Family
from graphc.passes._low_rank.layers import bottom, top
from graphc.records import record


def put_chains(
    graph: Graph, wanted: Mapping[Node, Paths], pinned: Collection[str] = ()
) -> dict[Node, list[Node]]:
    """Replace layers by what `wanted` says; returns the new layers of each.

    The last of them makes the old top, under its name and with its loss weight, and has the bias;
    tops in between are called as their layers. Fillers, multipliers, phase and propagate_down are
    the original's; names of parameters are not, for they share only what is of one shape.
    """
    editor = _Editor(graph, pinned)
    made = {node: editor.chain(node, paths) for node, paths in wanted.items()}
    editor.finish(made, set(wanted))
    return made


def put_layers(
    graph: Graph, wanted: Mapping[str, tuple[Family, Conv]], pinned: Collection[str] = ()
) -> None:
    """Replace families by one layer each, called as the key."""
    editor = _Editor(graph, pinned)
    placed: dict[Node, list[Node]] = {}
    for name, (family, conv) in wanted.items():
        last = family.paths[0][-1]
        node = editor.layer(last, name, conv, bottom(family.first), None)
        editor.take(family.last, node)
        placed[family.first] = [node]
    editor.finish(placed, {node for family, _ in wanted.values() for node in family.nodes})


def put_weights(graph: Graph, wanted: Mapping[Node, Conv]) -> None:
    """Give layers other weights, and with these other numbers of channels; types of tops follow."""
    for node, conv in wanted.items():
        node.attrs = _attrs(node, conv)
        value = top(node)
        shape, axis = typed(value).shape, _axis(node)
        value.type = typed(value).with_shape(*shape[:axis], conv.outputs, *shape[axis + 1 :])
    for node, conv in wanted.items():
        arrays = _arrays(node, conv)
        for param in node.op.params(node.attrs, node.sig(graph.env)):
            value = node.params[param.name]
            value.type, value.spec = Type(param.shape), param
            graph.weights[value.name] = arrays[param.name]


@record(frozen=True)
class _Weights:
    node: Node
    arrays: dict[str, Array]
    like: Node


class _Editor:
    def __init__(self, graph: Graph, pinned: Collection[str]) -> None:
        self.graph = graph
        self.needed = needed_names(graph, pinned)
        self.names = Names.of(graph)
        self.layers = Names(node.name for node in graph.forward_nodes())
        self.made: list[_Weights] = []

    def chain(self, node: Node, paths: Paths) -> list[Node]:
        """The layers for `node`, of which the last makes its top."""
        nodes: list[Node] = []
        ends: list[Value] = []
        for path in paths:
            x = bottom(node)
            for factor in path:
                is_last = factor is path[-1] and len(paths) == 1
                name = self.layers.fresh(f"{node.name}_{factor.suffix}")
                blob = None if is_last else self.names.fresh(name)
                made = self.layer(node, name, factor.conv, x, blob)
                made.propagate = node.propagate if factor is path[0] else ()
                nodes.append(made)
                x = x if is_last else top(made)
            ends.append(x)
        if len(paths) > 1:
            ins = {f"x{at}": value for at, value in enumerate(ends)}
            name = self.layers.fresh(f"{node.name}_{SUM}")
            adder = Node(Eltwise, name, EltwiseAttrs(), ins, phase=node.phase, loc=node.loc)
            nodes.append(adder)
        self.take(node, nodes[-1])
        return nodes

    def layer(self, like: Node, name: str, conv: Conv, x: Value, blob: str | None) -> Node:
        """A layer of the type of `like`; `blob`: the top it makes (None: one it takes over)."""
        (role,) = like.ins
        made = Node(
            like.op,
            name,
            _attrs(like, conv),
            {role: x},
            phase=like.phase,
            loc=like.loc,
            specs=_specs(like, conv),
        )
        if blob is not None:
            shape, axis = typed(x).shape, _axis(like)
            outs = conv.outs(shape[axis + 1 :]) if conv.kernel else ()
            type_ = typed(x).with_shape(*shape[:axis], conv.outputs, *outs)
            made.outs = {like.tops[0]: Value(blob, type_, producer=made)}
            made.tops = like.tops
        self.made.append(_Weights(made, _arrays(like, conv), like))
        return made

    def take(self, old: Node, new: Node) -> None:
        """Let `new` make the top of `old`."""
        role = new.op.tops[0].replace("*", "0") if new.op is not old.op else old.tops[0]
        new.loss = {role: old.loss[old.tops[0]]} if old.tops[0] in old.loss else {}
        take_over(new, role, top(old), self.needed, self.names.taken)
        new.tops = (role,)

    def finish(self, placed: Mapping[Node, list[Node]], dead: set[Node]) -> None:
        graph = self.graph
        old = {each.like: dict(each.like.params) for each in self.made}
        graph.nodes = [new for node in graph.nodes for new in placed.get(node, [node])]
        erase(graph, dead)
        for each in self.made:
            set_params(graph, self.names, each.node, each.arrays)
            for role, value in each.node.params.items():
                like = old[each.like].get(role, old[each.like]["weight"])
                value.lr_mult, value.decay_mult = like.lr_mult, like.decay_mult


def _specs(like: Node, conv: Conv) -> tuple[ParamSpec, ...]:
    """The param entries of `like` without names, one for each parameter at most."""
    specs = like.specs[: 1 if conv.bias is None else 2]
    return tuple(replace(spec, name="", share_mode="STRICT") for spec in specs)


def _attrs(like: Node, conv: Conv) -> Any:
    a = like.attrs
    if like.op is InnerProduct:
        axis = a.axis if a.axis >= 0 else _axis(like)
        return replace(a, num_output=conv.outputs, bias_term=conv.bias is not None, axis=axis)
    return ConvolutionAttrs(
        num_output=conv.outputs,
        bias_term=conv.bias is not None,
        group=conv.group,
        weight_filler=a.weight_filler,
        bias_filler=a.bias_filler,
        engine=a.engine,
        axis=a.axis,
        **_extents("kernel_size", "kernel", conv.kernel, None),
        **_extents("stride", "stride", conv.stride, 1),
        **_extents("pad", "pad", conv.pad, 0),
        dilation=_dilation(conv.dilation),
    )


def _axis(like: Node) -> int:
    return typed(bottom(like)).axis(like.attrs.axis)


def _extents(name: str, short: str, given: tuple[int, ...], usual: int | None) -> dict[str, Any]:
    """An option in its shortest form: nothing, one number, `_h` and `_w`, or one per axis."""
    if not given or set(given) == {usual}:
        return {}
    if len(set(given)) == 1:
        return {name: given[:1]}
    return {f"{short}_h": given[0], f"{short}_w": given[1]} if len(given) == 2 else {name: given}


def _dilation(given: tuple[int, ...]) -> tuple[int, ...]:
    if set(given) <= {1}:
        return ()
    return given[:1] if len(set(given)) == 1 else given


def _arrays(like: Node, conv: Conv) -> dict[str, Array]:
    """The parameters in the layer's own shapes, float32. Raises GC-T001 beyond its range."""
    weight = conv.weight.T if like.op is InnerProduct and like.attrs.transpose else conv.weight
    found = {"weight": weight} | ({} if conv.bias is None else {"bias": conv.bias})
    with np.errstate(over="ignore"):
        rounded = {role: np.ascontiguousarray(a, np.float32) for role, a in found.items()}
    if not all(np.isfinite(array).all() for array in rounded.values()):
        fail("GC-T001", f"the factors of {like.name!r} leave the range of float32")
    return rounded


__all__ = ["put_chains", "put_layers", "put_weights"]
