"""Layers that can be decomposed, as a `Conv`; and why one cannot be."""

from __future__ import annotations

import numpy as np

from graphc.errors import fail
from graphc.factor.conv import Conv, Ints
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.op import Op
from graphc.ops._conv import conv_windows
from graphc.ops.convolution import Convolution
from graphc.ops.inner_product import InnerProduct
from graphc.ops.spec import F64

LAYERS: frozenset[type[Op]] = frozenset({Convolution, InnerProduct})


def conv_of(graph: Graph, node: Node) -> Conv:
    """The weights of a Convolution or InnerProduct in float64, with its geometry.

    Raises GC-T001 for weights that are not finite.
    """
    weight, bias = _array(graph, node, "weight"), None
    assert weight is not None
    if "bias" in node.params:
        bias = _array(graph, node, "bias")
    if node.op is InnerProduct:
        return Conv(weight.T if node.attrs.transpose else weight, bias)
    windows = conv_windows(node.attrs, typed(bottom(node)))
    return Conv(
        weight,
        bias,
        node.attrs.group,
        tuple(w.stride for w in windows),
        tuple(w.pad for w in windows),
        tuple(w.dilation for w in windows),
    )


def _array(graph: Graph, node: Node, role: str) -> F64:
    value = node.params[role]
    array = graph.weight(value).reshape(typed(value).shape)
    if not np.isfinite(array).all():
        told = f"the {role} of {node.name!r} has elements that are not finite"
        fail("GC-T001", told, "leave the layer out with skip=, if the pass has that option")
    return array.astype(np.float64)


def sizes_of(node: Node) -> Ints:
    """Extents of the bottom's spatial axes."""
    if node.op is InnerProduct:
        return ()
    x = typed(bottom(node))
    return x.shape[x.axis(node.attrs.axis) + 1 :]


def samples_of(node: Node) -> int:
    """How many samples one forward computes."""
    x = typed(bottom(node))
    found = 1
    for extent in x.shape[: x.axis(node.attrs.axis)]:
        found *= extent
    return found


def why_not(node: Node, shares: dict[Value, int]) -> str:
    """Why a layer cannot be decomposed by any method; empty if it can.

    `shares`: how many layers use each parameter's storage.
    """
    if len(node.ins) != 1:
        return "it has several bottoms"
    if any(shares[v.storage] > 1 for v in node.params.values()):
        return "it shares its weights"
    x = typed(bottom(node))
    if node.op is Convolution and node.attrs.group == x.shape[x.axis(node.attrs.axis)] > 1:
        return "it is depthwise"
    if not x.size:
        return "it computes nothing"
    return ""


def bottom(node: Node) -> Value:
    return next(iter(node.ins.values()))


def top(node: Node) -> Value:
    return node.outs[node.tops[0]]


__all__ = ["LAYERS", "bottom", "conv_of", "samples_of", "sizes_of", "top", "why_not"]
