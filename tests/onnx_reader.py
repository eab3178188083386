"""Reads and evaluates the ONNX that the CPU benchmark writes, by the operator pages alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from graphc.data.wire import FIXED32, fields, signed


@dataclass
class Node:
    op: str = ""
    ins: list[str] = field(default_factory=list)
    outs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Model:
    opset: int
    nodes: list[Node]
    tensors: dict[str, Any]
    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]


def read(path: Path) -> Model:
    model = list(fields(memoryview(path.read_bytes())))
    (graph,) = (value for number, _, value in model if number == 7)
    (opset,) = (dict((n, v) for n, _, v in fields(value)) for n, _, value in model if n == 8)
    found = Model(opset[2], [], {}, {}, {})
    for number, _, value in fields(graph):
        if number == 1:
            found.nodes.append(_node(value))
        elif number == 5:
            name, array = _tensor(value)
            found.tensors[name] = array
        elif number in (11, 12):
            name, shape = _value(value)
            (found.inputs if number == 11 else found.outputs)[name] = shape
    return found


def _node(data: memoryview) -> Node:
    made = Node()
    for number, _, value in fields(data):
        if number in (1, 2):
            (made.ins if number == 1 else made.outs).append(str(value, "utf-8"))
        elif number == 4:
            made.op = str(value, "utf-8")
        elif number == 5:
            name, told = _attribute(value)
            made.attributes[name] = told
    return made


def _attribute(data: memoryview) -> tuple[str, Any]:
    name, numbers, single, kind = "", [], None, 0
    for number, wire, value in fields(data):
        if number == 1:
            name = str(value, "utf-8")
        elif number == 2:
            assert wire == FIXED32
            (single,) = struct.unpack("<f", value)
        elif number == 3:
            single = signed(value, 64)
        elif number == 8:
            numbers.append(signed(value, 64))
        elif number == 20:
            kind = value
    assert kind == (7 if single is None else 1 if isinstance(single, float) else 2), name
    return name, numbers if single is None else single


def _tensor(data: memoryview) -> tuple[str, Any]:
    dims, name, raw = [], "", memoryview(b"")
    for number, _, value in fields(data):
        if number == 1:
            dims.append(value)
        elif number == 2:
            assert value == 1  # FLOAT
        elif number == 8:
            name = str(value, "utf-8")
        elif number == 9:
            raw = value
    return name, np.frombuffer(raw, "<f4").reshape(dims)


def _value(data: memoryview) -> tuple[str, list[int]]:
    told = {number: value for number, _, value in fields(data)}
    tensor = {n: v for n, _, v in fields(dict((n, v) for n, _, v in fields(told[2]))[1])}
    assert tensor[1] == 1
    shape = [next(v for _, _, v in fields(dim)) for _, _, dim in fields(tensor[2])]
    return str(told[1], "utf-8"), shape


def evaluate(model: Model, feeds: dict[str, Any]) -> dict[str, Any]:
    """The outputs in float64."""
    env = {name: np.asarray(a, np.float64) for name, a in (*model.tensors.items(), *feeds.items())}
    for node in model.nodes:
        (env[node.outs[0]],) = [OPS[node.op]([env[name] for name in node.ins], node.attributes)]
    return {name: env[name] for name in model.outputs}


def _windows(x: Any, a: dict[str, Any], fill: float) -> tuple[Any, list[int]]:
    """x padded by `fill`, and the number of windows along each axis, rounded down."""
    top, left, bottom, right = a["pads"]
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    reach = [
        d * (k - 1) + 1 for k, d in zip(a["kernel_shape"], a.get("dilations", [1, 1]), strict=True)
    ]
    sizes = zip(x.shape[2:], reach, a["strides"], strict=True)
    return x, [(size - r) // s + 1 for size, r, s in sizes]


def _conv(ins: list[Any], a: dict[str, Any]) -> Any:
    weight = ins[1]
    x, (rows, cols) = _windows(ins[0], a, 0.0)
    (sy, sx), (dy, dx), groups = a["strides"], a["dilations"], a["group"]
    y = np.zeros((x.shape[0], weight.shape[0], rows, cols))
    per, depth = weight.shape[0] // groups, weight.shape[1]
    for o, (i, j) in product(range(len(weight)), np.ndindex(*weight.shape[2:])):
        first = o // per * depth
        part = x[:, first : first + depth, i * dy :: sy, j * dx :: sx][:, :, :rows, :cols]
        y[:, o] += np.einsum("nchw,c->nhw", part, weight[o, :, i, j])
    return y + (ins[2].reshape(1, -1, 1, 1) if len(ins) > 2 else 0)


def _pooled(ins: list[Any], a: dict[str, Any], mean: bool) -> Any:
    x, (rows, cols) = _windows(ins[0], a, np.nan)
    kernel, (sy, sx) = a["kernel_shape"], a["strides"]
    y = np.zeros((*x.shape[:2], rows, cols))
    for p, q in np.ndindex(rows, cols):
        window = x[:, :, p * sy : p * sy + kernel[0], q * sx : q * sx + kernel[1]]
        if mean and a.get("count_include_pad"):
            y[:, :, p, q] = np.nan_to_num(window).mean((2, 3))
        else:
            y[:, :, p, q] = (np.nanmean if mean else np.nanmax)(window, (2, 3))
    return y


def _batch_norm(ins: list[Any], a: dict[str, Any]) -> Any:
    weight, bias, mean, variance = (one.reshape(1, -1, 1, 1) for one in ins[1:])
    return (ins[0] - mean) / np.sqrt(variance + a["epsilon"]) * weight + bias


def _lrn(ins: list[Any], a: dict[str, Any]) -> Any:
    (x,) = ins
    before, after = (a["size"] - 1) // 2, a["size"] // 2
    sums = np.zeros_like(x)
    for c in range(x.shape[1]):
        sums[:, c] = (x[:, max(0, c - before) : c + after + 1] ** 2).sum(1)
    return x / (a["bias"] + a["alpha"] / a["size"] * sums) ** a["beta"]


def _softmax(ins: list[Any], a: dict[str, Any]) -> Any:
    e = np.exp(ins[0] - ins[0].max(a["axis"], keepdims=True))
    return e / e.sum(a["axis"], keepdims=True)


def _gemm(ins: list[Any], a: dict[str, Any]) -> Any:
    assert a["transB"] == 1
    return ins[0] @ ins[1].T + (ins[2] if len(ins) > 2 else 0)


OPS: dict[str, Any] = {
    "Conv": _conv,
    "MaxPool": lambda ins, a: _pooled(ins, a, mean=False),
    "AveragePool": lambda ins, a: _pooled(ins, a, mean=True),
    "GlobalAveragePool": lambda ins, a: ins[0].mean((2, 3), keepdims=True),
    "GlobalMaxPool": lambda ins, a: ins[0].max((2, 3), keepdims=True),
    "BatchNormalization": _batch_norm,
    "LRN": _lrn,
    "Relu": lambda ins, a: np.maximum(ins[0], 0),
    "LeakyRelu": lambda ins, a: np.where(ins[0] > 0, ins[0], a["alpha"] * ins[0]),
    "Mul": lambda ins, a: ins[0] * ins[1],
    "Add": lambda ins, a: ins[0] + ins[1],
    "Concat": lambda ins, a: np.concatenate(ins, a["axis"]),
    "Softmax": _softmax,
    "Flatten": lambda ins, a: ins[0].reshape(len(ins[0]), -1),
    "Gemm": _gemm,
}
