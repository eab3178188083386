"""Bring a net definition of any age to the present form, in the order of Caffe's own upgrades.

V0 -> V1 -> present layers, moved transform fields, net inputs to an Input layer, BatchNorm specs.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError, Loc, fail
from graphc.front.definition import Definition
from graphc.front.v0 import is_v0, upgrade_v0

V1_TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
}
_DATA_PARAMS = {"DATA": "data_param", "IMAGE_DATA": "image_data_param"}
_DATA_PARAMS["WINDOW_DATA"] = "window_data_param"
MOVED = ("scale", "mean_file", "crop_size", "mirror")
# V1 list -> field of ParamSpec
_SPECS = {
    "param": "name",
    "blob_share_mode": "share_mode",
    "blobs_lr": "lr_mult",
    "weight_decay": "decay_mult",
}
BATCH_NORM, BATCH_NORM_BLOBS = "BatchNorm", 3


def upgrade(source: Definition) -> None:
    """Upgrade `source` in place; a net in present form is left as it is. Raises GC-P004."""
    if is_v0(source.net):
        upgrade_v0(source)
    if source.net.layers:
        _upgrade_v1(source)
    _input_layer(source)
    for layer in source.net.layer:
        if layer.type == BATCH_NORM and len(layer.param) == BATCH_NORM_BLOBS:
            for spec in layer.param:
                spec.lr_mult = spec.decay_mult = 0.0


def _upgrade_v1(source: Definition) -> None:
    net = source.net
    if net.layer:
        error = GraphError(
            "GC-P004",
            f"the net has {len(net.layer)} `layer` and {len(net.layers)} `layers` blocks",
            "turn the old `layers` into `layer` blocks, or the other way round",
        )
        raise error.at(loc=Loc(source.file))
    for index, old in enumerate(net.layers):
        try:
            _upgrade_layer(old, net.layer.add())
        except GraphError as error:
            raise error.at(loc=source.loc(index), layer=old.name) from None
    net.ClearField("layers")


def _upgrade_layer(old: Any, new: Any) -> None:
    kind = old.DESCRIPTOR.enum_types_by_name["LayerType"].values_by_number[old.type].name
    if kind in _DATA_PARAMS and old.HasField(_DATA_PARAMS[kind]):
        _move_transform(getattr(old, _DATA_PARAMS[kind]), old)
    for field, value in old.ListFields():
        if field.name == "type":
            new.type = V1_TYPES[kind]
        elif field.name in _SPECS:
            _to_specs(new.param, _SPECS[field.name], value)
        elif field.name not in new.DESCRIPTOR.fields_by_name:
            fail("GC-P004", f"field {field.name!r} has no place in a present layer")
        elif hasattr(value, "CopyFrom"):
            getattr(new, field.name).CopyFrom(value)
        elif hasattr(value, "extend"):
            getattr(new, field.name).extend(value)
        else:
            setattr(new, field.name, value)


def _move_transform(param: Any, layer: Any) -> None:
    for name in MOVED:
        if param.HasField(name):
            setattr(layer.transform_param, name, getattr(param, name))
            param.ClearField(name)


def _to_specs(specs: Any, name: str, values: Any) -> None:
    for index, value in enumerate(values):
        spec = specs[index] if index < len(specs) else specs.add()
        setattr(spec, name, value)


def _input_layer(source: Definition) -> None:
    """Make net-level inputs one Input layer in front; without any shape they are dropped."""
    net = source.net
    names, shapes, dims = list(net.input), list(net.input_shape), list(net.input_dim)
    if not names:
        return
    if shapes or dims:
        given, needed = (len(shapes), len(names)) if shapes else (len(dims), 4 * len(names))
        if given < needed:
            what = "input_shape blocks" if shapes else "input_dim values"
            error = GraphError(
                "GC-P004",
                f"{len(names)} net inputs need {needed} {what}, but there are {given}",
                "give each input one input_shape, or four input_dim",
            )
            raise error.at(loc=Loc(source.file))
        net.layer.insert(0, net.layer.add(name="input", type="Input", top=names))
        del net.layer[-1]
        for index in range(len(names)):
            shape = net.layer[0].input_param.shape.add()
            shape.dim.extend(shapes[index].dim if shapes else dims[4 * index : 4 * index + 4])
        source.lines.insert(0, 0)
    else:
        source.dropped = names
    for name in ("input", "input_shape", "input_dim"):
        net.ClearField(name)


__all__ = ["MOVED", "V1_TYPES", "upgrade"]
