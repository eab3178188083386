"""write_caffe_net: the weights file of a net in training, as Caffe's own snapshot is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphc.front.blobs import saved_blobs
from graphc.front.caffemodel_writer import write_layers
from graphc.front.export import Exporter
from graphc.front.hdf5 import write_hdf5
from graphc.front.splits import CaffeLayer, caffe_layers
from graphc.ir.graph import Array, Graph
from graphc.ir.op import Kind


def write_caffe_net(graph: Graph, path: str | Path, *, hdf5: bool = False) -> None:
    """Write every layer of Caffe's net, its Splits too, with all parameters and the blobs that
    `graph.weights` holds now; or as HDF5 a group for each layer with the blobs it owns.

    `graph` is as loaded: shaped, but no pass, expansion included, has run. Raises GC-F002, GC-U001
    (over 2 GiB; a name that HDF5 cannot hold), GC-U002 (no h5py), GC-W002, GC-S004, GC-N008.
    """
    layers = caffe_layers(graph)
    if hdf5:
        write_hdf5(graph, path, more=[layer.name for layer in layers if layer.node is None])
        return
    exporter = Exporter(graph)
    written: list[tuple[bytes, list[Array]]] = []
    for layer in layers:
        blobs = saved_blobs(graph, layer.node) if layer.node is not None else []
        written.append((_message(exporter, layer).SerializePartialToString(), blobs))
    write_layers(path, graph.name, written)


def _message(exporter: Exporter, layer: CaffeLayer) -> Any:
    if layer.node is not None:
        message, phase = exporter.layer(layer.node), layer.node.phase
        values = [v for v in layer.node.params.values() if v.kind is not Kind.CARRY]
        for index, value in enumerate(values):  # as its BatchNorm does
            if value.kind is Kind.STATE and index >= len(message.param):
                message.param.add().lr_mult = 0
    else:
        message, phase = exporter.schema.new("LayerParameter"), exporter.graph.phase
        message.name, message.type = layer.name, layer.type
    for field in ("bottom", "top", "loss_weight"):
        message.ClearField(field)
    message.bottom.extend(layer.bottoms)
    message.top.extend(layer.tops)
    message.loss_weight.extend(layer.loss_weights)
    phases = message.DESCRIPTOR.fields_by_name["phase"].enum_type.values_by_name
    message.phase = phases[phase].number
    return message


__all__ = ["write_caffe_net"]
