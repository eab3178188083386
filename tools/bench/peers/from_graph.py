"""network: a graphc Graph -> Network, geometry worked out from Caffe's rules here once more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.peers.plain import Layer, Network
from graphc.ir.graph import Graph, Node, typed
from graphc.ir.op import Trait
from graphc.ops.batch_norm import BatchNorm
from graphc.ops.concat import Concat
from graphc.ops.convolution import Convolution
from graphc.ops.dropout import Dropout
from graphc.ops.eltwise import Eltwise
from graphc.ops.inner_product import InnerProduct
from graphc.ops.lrn import LRN
from graphc.ops.pooling import Pooling
from graphc.ops.relu import ReLU
from graphc.ops.scale import Scale
from graphc.ops.softmax import Softmax

Told = tuple[str, dict[str, Any], dict[str, Any]]
"""kind, options, arrays"""


class Unsupported(Exception):
    """A layer or a use of one that the peers' formats are not written for."""


def network(graph: Graph) -> Network:
    """Every layer of a shaped deploy graph with its weights. Raises Unsupported."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        ends = f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs"
        raise Unsupported(f"the network has {ends}; the benchmark takes one of each")
    (data,), (output,) = graph.inputs, graph.outputs
    names = {value: value.name for value in graph.values()}
    layers = []
    for node in graph.forward_nodes():
        if node.has(Trait.FEED):
            continue
        if node.op is Dropout:
            names[node.outs["y"]] = names[node.ins["x"]]
            continue
        told = TOLD.get(node.op)
        if told is None or len(node.tops) != 1:
            raise Unsupported(f"layer {node.name!r} ({node.op.type}): the peers' writers lack it")
        kind, options, arrays = told(node, graph)
        ins = tuple(names[value] for value in node.ins.values())
        (top,) = (node.outs[role] for role in node.tops)
        layers.append(Layer(kind, node.name, ins, names[top], typed(top).shape, options, arrays))
    shape = typed(data).shape
    return Network(graph.name or "net", names[data], shape, names[output], tuple(layers))


def _arrays(node: Node, graph: Graph) -> dict[str, Any]:
    return {r: graph.weight(v).reshape(typed(v).shape) for r, v in node.params.items()}


def _need(fits: bool, node: Node, what: str) -> None:
    if not fits:
        raise Unsupported(f"layer {node.name!r} ({node.op.type}): {what} is not written for peers")


def _pair(attrs: Any, name: str, short: str, default: int) -> tuple[int, int]:
    """One option for rows and columns, from any of Caffe's forms of it."""
    if getattr(attrs, f"{short}_h", None) is not None:
        return getattr(attrs, f"{short}_h"), getattr(attrs, f"{short}_w")
    given = getattr(attrs, name)
    if isinstance(given, tuple):
        return (given * 2)[:2] if given else (default, default)
    return (default, default) if given is None else (given, given)


def _convolution(node: Node, graph: Graph) -> Told:
    a, rank = node.attrs, typed(next(iter(node.ins.values()))).rank
    _need(rank == 4 and a.axis == 1, node, "convolution of anything but (N, C, H, W)")
    options = {
        "kernel": _pair(a, "kernel_size", "kernel", 1),
        "stride": _pair(a, "stride", "stride", 1),
        "pad": _pair(a, "pad", "pad", 0),
        "dilation": _pair(a, "dilation", "dilation", 1),
        "group": a.group,
        "relu": False,
    }
    return "conv", options, _arrays(node, graph)


def _inner_product(node: Node, graph: Graph) -> Told:
    arrays = _arrays(node, graph)
    _need(node.attrs.axis == 1, node, f"axis {node.attrs.axis}")
    if node.attrs.transpose:
        arrays["weight"] = np.ascontiguousarray(arrays["weight"].T)
    return "inner_product", {"relu": False}, arrays


def _batch_norm(node: Node, graph: Graph) -> Told:
    given = _arrays(node, graph)
    factor = float(given["factor"][0])
    share = np.float32(1 / factor if factor else 0)
    mean, variance = given["mean"] * share, given["variance"] * share
    arrays = {"mean": mean, "variance": variance}
    arrays |= {"weight": np.ones_like(mean), "bias": np.zeros_like(mean)}
    return "batch_norm", {"eps": node.attrs.eps}, arrays


def _scale(node: Node, graph: Graph) -> Told:
    per_channel = (node.attrs.axis, node.attrs.num_axes) == (1, 1)
    _need(per_channel and len(node.ins) == 1, node, "scale but by learned channel factors")
    return "scale", {}, _arrays(node, graph)


def _pooling(node: Node, graph: Graph) -> Told:
    a, planes = node.attrs, typed(node.ins["x"]).shape[2:]
    outs = typed(node.outs["y"]).shape[2:]
    kernel = planes if a.global_pooling else _pair(a, "kernel_size", "kernel", 1)
    stride, pad = _pair(a, "stride", "stride", 1), _pair(a, "pad", "pad", 0)
    covered = ((out - 1) * s + k for out, s, k in zip(outs, stride, kernel, strict=True))
    ends = tuple(max(0, c - size - p) for c, size, p in zip(covered, planes, pad, strict=True))
    starts = ((out - 1) * s - p for out, s, p in zip(outs, stride, pad, strict=True))
    inside = all(start < size for start, size in zip(starts, planes, strict=True))
    _need(inside, node, "a window outside the plane")
    options = {
        "kernel": tuple(kernel),
        "stride": stride,
        "begin": pad,
        "end": ends,
        "ceil": a.round_mode == "CEIL",
        "whole": tuple(kernel) == planes and outs == (1, 1) and pad == (0, 0),
    }
    if a.pool == "AVE":
        beyond = any(end > begin for begin, end in zip(pad, ends, strict=True))
        _need(not (beyond and any(pad)), node, "a padded mean whose last window is cut off")
    return ("mean_pool" if a.pool == "AVE" else "max_pool"), options, {}


def _lrn(node: Node, graph: Graph) -> Told:
    a = node.attrs
    _need(a.norm_region == "ACROSS_CHANNELS", node, a.norm_region)
    return "lrn", {"size": a.local_size, "alpha": a.alpha, "beta": a.beta, "k": a.k}, {}


def _concat(node: Node, graph: Graph) -> Told:
    _need(typed(node.outs["y"]).shape[1] > typed(node.ins["x0"]).shape[1], node, "its axis")
    return "concat", {}, {}


def _eltwise(node: Node, graph: Graph) -> Told:
    a = node.attrs
    _need(a.operation == "SUM" and set(a.coeff) <= {1.0}, node, "an operation but the plain sum")
    _need(len(node.ins) == 2, node, f"a sum of {len(node.ins)}")
    return "add", {}, {}


def _softmax(node: Node, graph: Graph) -> Told:
    _need(node.attrs.axis == 1, node, f"axis {node.attrs.axis}")
    return "softmax", {}, {}


TOLD: dict[Any, Callable[[Node, Graph], Told]] = {
    BatchNorm: _batch_norm,
    Concat: _concat,
    Convolution: _convolution,
    Eltwise: _eltwise,
    InnerProduct: _inner_product,
    LRN: _lrn,
    Pooling: _pooling,
    ReLU: lambda node, graph: ("relu", {"slope": node.attrs.negative_slope}, {}),
    Scale: _scale,
    Softmax: _softmax,
}
