"""write_onnx: a Network as an ONNX model of fixed batch, opset 17.

Layers stay what they are: LRN is the LRN operator, not the average pooling that exporters make of
it; a batch norm with its scale is one BatchNormalization. Rounding up is written as padding behind
the plane, since ceil_mode counts windows by another rule than Caffe. Source: onnx.proto3 and the
operator pages of the ONNX documentation.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.plain import Array, Layer, Network
from graphc.data import wire_writer as wire

IR_VERSION, OPSET = 8, 17
FLOAT = 1  # TensorProto.DataType
MOST_WEIGHTS = (1 << 31) - (16 << 20)  # bytes: protobuf's 2 GiB, less what names and shapes take

Pieces = list[Any]
"""Bytes and arrays' memory, in order: weights are never copied."""


def write_onnx(network: Network, batch: int, path: Path) -> None:
    """Raises ValueError over the 2 GiB that a protobuf message can have."""
    if network.weight_bytes() > MOST_WEIGHTS:
        raise ValueError(f"{network.name} takes over 2 GiB, which no ONNX file can hold")
    head: Pieces = [wire.number_field(1, IR_VERSION), wire.text(2, "graphc")]
    head.append(wire.chunk(8, wire.text(1, "") + wire.number_field(2, OPSET)))
    with path.open("wb") as file:
        file.writelines(head + _framed(7, _graph(network, batch)))


def _size(pieces: Pieces) -> int:
    return sum(memoryview(piece).nbytes for piece in pieces)


def _framed(number: int, pieces: Pieces) -> Pieces:
    return [wire.head(number, _size(pieces)), *pieces]


def _graph(network: Network, batch: int) -> Pieces:
    pieces: Pieces = []
    for layer in network.layers:
        pieces += [wire.chunk(1, node) for node in _nodes(layer)]
    pieces.append(wire.text(2, network.name))
    for layer in network.layers:
        for name, array in layer.arrays.items():
            pieces += _framed(5, _tensor(f"{layer.out}.{name}", _shaped(layer, array)))
    shape = (batch, *network.shape[1:])
    pieces.append(wire.chunk(11, _value(network.input, shape)))
    last = next(layer for layer in network.layers if layer.out == network.output)
    pieces.append(wire.chunk(12, _value(network.output, (batch, *last.shape[1:]))))
    return pieces


def _shaped(layer: Layer, array: Array) -> Array:
    """The factors of a scale broadcast along (N, C, H, W)."""
    if layer.kind != "scale":
        return array
    return array.reshape(1, -1, *(1,) * (len(layer.shape) - 2))


def _tensor(name: str, array: Array) -> Pieces:
    data = np.ascontiguousarray(array, np.float32).data.cast("B")
    head = b"".join(wire.number_field(1, size) for size in array.shape)
    head += wire.number_field(2, FLOAT) + wire.text(8, name)
    return [head + wire.head(9, data.nbytes), data]


def _value(name: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(wire.chunk(1, wire.number_field(1, size)) for size in shape)
    tensor = wire.number_field(1, FLOAT) + wire.chunk(2, dims)
    return wire.text(1, name) + wire.chunk(2, wire.chunk(1, tensor))


def _attribute(name: str, value: Any) -> bytes:
    """AttributeProto: a float, an int, or a list of ints."""
    if isinstance(value, float):
        kind, body = 1, wire.tag(2, wire.FIXED32) + struct.pack("<f", value)
    elif isinstance(value, int):
        kind, body = 2, wire.number_field(3, value)
    else:
        kind, body = 7, b"".join(wire.number_field(8, entry) for entry in value)
    return wire.text(1, name) + body + wire.number_field(20, kind)


def _node(op: str, name: str, ins: Sequence[str], out: str, **attributes: Any) -> bytes:
    body = b"".join(wire.text(1, one) for one in ins) + wire.text(2, out)
    body += wire.text(3, name) + wire.text(4, op)
    return body + b"".join(wire.chunk(5, _attribute(k, v)) for k, v in attributes.items())


def _nodes(layer: Layer) -> Iterator[bytes]:
    options, ins, name, out = layer.options, list(layer.ins), layer.name, layer.out
    params = {role: f"{out}.{role}" for role in layer.arrays}
    product = [params[role] for role in ("weight", "bias") if role in params]
    if layer.kind == "conv":
        yield _node(
            "Conv",
            name,
            ins + product,
            out,
            kernel_shape=options["kernel"],
            strides=options["stride"],
            pads=options["pad"] * 2,
            dilations=options["dilation"],
            group=options["group"],
        )
    elif layer.kind == "inner_product":
        yield _node("Flatten", f"{name}.flat", ins, f"{out}.flat", axis=1)
        yield _node("Gemm", name, [f"{out}.flat", *product], out, transB=1)
    elif layer.kind == "batch_norm":
        roles = [params[role] for role in ("weight", "bias", "mean", "variance")]
        yield _node("BatchNormalization", name, ins + roles, out, epsilon=float(options["eps"]))
    elif layer.kind == "scale":
        between = f"{out}.scaled" if "bias" in params else out
        yield _node("Mul", f"{name}.mul", [*ins, params["weight"]], between)
        if "bias" in params:
            yield _node("Add", f"{name}.add", [between, params["bias"]], out)
    elif layer.kind in ("max_pool", "mean_pool"):
        yield _pool(layer)
    elif layer.kind == "lrn":
        numbers = {"alpha": "alpha", "beta": "beta", "bias": "k"}
        floats = {theirs: float(options[ours]) for theirs, ours in numbers.items()}
        yield _node("LRN", name, ins, out, size=options["size"], **floats)
    elif layer.kind == "relu" and options["slope"]:
        yield _node("LeakyRelu", name, ins, out, alpha=float(options["slope"]))
    else:
        op = {"relu": "Relu", "add": "Add", "concat": "Concat", "softmax": "Softmax"}[layer.kind]
        axis = {"axis": 1} if layer.kind in ("concat", "softmax") else {}
        yield _node(op, name, ins, out, **axis)


def _pool(layer: Layer) -> bytes:
    options, is_mean = layer.options, layer.kind == "mean_pool"
    if options["whole"]:
        op = "GlobalAveragePool" if is_mean else "GlobalMaxPool"
        return _node(op, layer.name, layer.ins, layer.out)
    told: dict[str, Any] = {
        "kernel_shape": options["kernel"],
        "strides": options["stride"],
        "pads": options["begin"] + options["end"],
    }
    if not is_mean:
        return _node("MaxPool", layer.name, layer.ins, layer.out, **told)
    # without padding of its own, Caffe divides the last mean by what lies in the plane
    told["count_include_pad"] = int(any(options["begin"]))
    return _node("AveragePool", layer.name, layer.ins, layer.out, **told)
