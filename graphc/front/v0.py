"""Upgrade V0 nets (`layers { layer { } }`, 2013) to V1. Source: behaviour of Caffe's own upgrade.

Padding layers vanish into the convolution or pooling that follows; the flat fields are sorted into
the message of the layer's type. A field on a type it does not belong to is dropped with a note, as
Caffe drops it.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError, fail
from graphc.front.definition import Definition
from graphc.front.schema import union
from graphc.ir.graph import near

PADDING = "padding"
TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}
_FAMILIES = {
    "conv": "convolution_param",
    "innerproduct": "inner_product_param",
    "pool": "pooling_param",
    "dropout": "dropout_param",
    "lrn": "lrn_param",
    "concat": "concat_param",
    "data": "data_param",
    "hdf5_data": "hdf5_data_param",
    "images": "image_data_param",
    "window_data": "window_data_param",
    "infogain_loss": "infogain_loss_param",
    "hdf5_output": "hdf5_output_param",
}
_WEIGHTED, _WINDOWED = ("conv", "innerproduct"), ("conv", "pool")
_READERS = ("data", "hdf5_data", "images", "window_data")
# Old field -> (new field, types it belongs to). No types: into transform_param, whatever the type.
_ROUTES: dict[str, tuple[str, tuple[str, ...]]] = {
    "num_output": ("num_output", _WEIGHTED),
    "biasterm": ("bias_term", _WEIGHTED),
    "weight_filler": ("weight_filler", _WEIGHTED),
    "bias_filler": ("bias_filler", _WEIGHTED),
    "pad": ("pad", _WINDOWED),
    "kernelsize": ("kernel_size", _WINDOWED),
    "stride": ("stride", _WINDOWED),
    "group": ("group", ("conv",)),
    "pool": ("pool", ("pool",)),
    "dropout_ratio": ("dropout_ratio", ("dropout",)),
    "local_size": ("local_size", ("lrn",)),
    "alpha": ("alpha", ("lrn",)),
    "beta": ("beta", ("lrn",)),
    "k": ("k", ("lrn",)),
    "source": ("source", (*_READERS, "infogain_loss")),
    "batchsize": ("batch_size", _READERS),
    "rand_skip": ("rand_skip", ("data", "images")),
    "shuffle_images": ("shuffle", ("images",)),
    "new_height": ("new_height", ("images",)),
    "new_width": ("new_width", ("images",)),
    "concat_dim": ("concat_dim", ("concat",)),
    "det_fg_threshold": ("fg_threshold", ("window_data",)),
    "det_bg_threshold": ("bg_threshold", ("window_data",)),
    "det_fg_fraction": ("fg_fraction", ("window_data",)),
    "det_context_pad": ("context_pad", ("window_data",)),
    "det_crop_mode": ("crop_mode", ("window_data",)),
    "scale": ("scale", ()),
    "meanfile": ("mean_file", ()),
    "cropsize": ("crop_size", ()),
    "mirror": ("mirror", ()),
}


def is_v0(net: Any) -> bool:
    return any(layer.HasField("layer") for layer in net.layers)


def upgrade_v0(source: Definition) -> None:
    """Turn the V0 layers of `source.net` into V1 layers, in place.

    Raises GC-P004 for what Caffe refuses: an unknown type, a blob nobody makes, padding before
    anything but one convolution or pooling.
    """
    old, new = source.net, union().new("NetParameter")
    for name in ("name", "force_backward"):
        if old.HasField(name):
            setattr(new, name, getattr(old, name))
    new.input.extend(old.input)
    new.input_dim.extend(old.input_dim)
    maker: dict[str, int] = dict.fromkeys(old.input, -1)
    lines: list[int] = []
    for index, layer in enumerate(old.layers):
        try:
            if not layer.HasField("layer"):
                fail("GC-P004", "V0 and V1 layers are mixed", "this one has no inner `layer`")
            moved = _upgraded(layer, source)
            _bypass_padding(old, layer, moved, maker)
        except GraphError as error:
            raise source.located(error, index, layer.layer) from None
        maker.update(dict.fromkeys(layer.top, index))
        if layer.layer.type != PADDING:
            new.layers.append(moved)
            lines.append(source.loc(index).line)
    source.net, source.lines = new, lines


def _bypass_padding(net: Any, layer: Any, moved: Any, maker: dict[str, int]) -> None:
    """Wire `moved` round the padding layers among its bottoms, and give it their pad."""
    for position, blob in enumerate(layer.bottom):
        if blob not in maker:
            fail("GC-P004", f"no layer before this one makes blob {blob!r}", near(blob, maker))
        above = net.layers[maker[blob]] if maker[blob] >= 0 else None
        if above is None or above.layer.type != PADDING or layer.layer.type == PADDING:
            continue
        if layer.layer.type not in _WINDOWED:
            fail("GC-P004", f"padding feeds a {layer.layer.type!r} layer, not conv or pool")
        if (len(layer.bottom), len(above.bottom), len(above.top)) != (1, 1, 1):
            fail(
                "GC-P004",
                f"padding has {len(above.bottom)} bottoms and {len(above.top)} tops, and the "
                f"layer after it {len(layer.bottom)} bottoms; all must be one",
            )
        window = getattr(moved, _FAMILIES[layer.layer.type])
        _put(window, "pad", above.layer.pad)
        moved.bottom[position] = above.bottom[0]


def _upgraded(layer: Any, source: Definition) -> Any:
    """The V1 layer that one V0 layer means."""
    old, new = layer.layer, union().new("V1LayerParameter")
    new.bottom.extend(layer.bottom)
    new.top.extend(layer.top)
    new.blobs.extend(old.blobs)
    new.blobs_lr.extend(old.blobs_lr)
    new.weight_decay.extend(old.weight_decay)
    if old.HasField("name"):
        new.name = old.name
    if old.HasField("type") and old.type != PADDING:
        if old.type not in TYPES:
            fail("GC-P004", f"unknown V0 layer type {old.type!r}", near(old.type, TYPES))
        new.type = (
            new.DESCRIPTOR.enum_types_by_name["LayerType"].values_by_name[TYPES[old.type]].number
        )
    for field, value in old.ListFields():
        if field.name == "hdf5_output_param" and old.type == "hdf5_output":
            new.hdf5_output_param.CopyFrom(value)
            continue
        if field.name not in _ROUTES:
            continue
        target, types = _ROUTES[field.name]
        if not types:
            _put(new.transform_param, target, value)
        elif old.type in types:
            _put(getattr(new, _FAMILIES[old.type]), target, value)
        elif old.type != PADDING:
            source.notes.append(f"layer {old.name!r}: {field.name} means nothing to {old.type!r}")
    return new


def _put(message: Any, name: str, value: Any) -> None:
    """Set a field, whether it is a scalar, a message or takes several values."""
    old = getattr(message, name)
    if hasattr(old, "CopyFrom"):
        old.CopyFrom(value)
    elif hasattr(old, "append"):
        del old[:]
        old.append(value)
    else:
        setattr(message, name, value)


__all__ = ["PADDING", "TYPES", "is_v0", "upgrade_v0"]
