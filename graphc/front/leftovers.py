"""What a file says and no declaration reads: refused, unless it cannot change a result."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from graphc.errors import fail
from graphc.front.derive import FIRST_NUMBER
from graphc.front.merge import PRIVATE
from graphc.front.schema import dialect, is_repeated
from graphc.front.upgrade import MOVED
from graphc.ir.op import Op

# Read by the builder itself.
NET_FIELDS = {"name", "layer", "force_backward", "state"}
LAYER_FIELDS = {"name", "type", "bottom", "top", "phase", "loss_weight", "param", "blobs"}
LAYER_FIELDS |= {"propagate_down", "include", "exclude"}
SPEC_FIELDS = {"name", "share_mode", "lr_mult", "decay_mult"}
# How, where or how fast something is computed, printed or dumped; never what.
HARMLESS = {"engine", "conv_algorithm", "use_gpu_transform"}
HARMLESS |= {"spmdm_transpose_in", "spmdm_transpose_out", "compile_net_state", "cache"}
HARMLESS |= {"cudnn_convolution_algo_seeker", "cudnn_math_override", "threads", "parser_threads"}
HARMLESS |= {"debug", "debug_info", "display", "visualize", "visualize_threshold"}
HARMLESS |= {"dump_parameter", "dump_activation", "parameter_sparsity_pattern_histogram"}
HARMLESS |= {"forward_type", "backward_type", "forward_math", "backward_math"}
HARMLESS |= {
    f"default_{name}_{what}" for name in ("forward", "backward") for what in ("type", "math")
}
HARMLESS |= {"global_grad_scale", "global_grad_scale_adaptive"}
HARMLESS |= {"multinode", "mn_activation_param", "mn_grad_compress_param"}
HARMLESS |= {"input_shape", "input_dim"}  # of a net that names no input
_REMOVE = "remove it if the net is right without it"


@lru_cache(maxsize=1)
def _bvlc_layer_fields() -> frozenset[str]:
    return frozenset(dialect("bvlc").descriptor("LayerParameter").fields_by_name)


def check_net(net: Any, notes: list[str]) -> None:
    """Look at what stands beside the layers. Raises GC-U001."""
    for field, value in net.ListFields():
        if field.name not in NET_FIELDS:
            _unread(field, value, f"net field {field.name!r}", "", notes)


def check_layer(op: type[Op], layer: Any, notes: list[str]) -> None:
    """Look at a layer's own fields and at the parameters of other types. Raises GC-U001."""
    read = {op.param_field, *op.extra_fields}
    for field, value in layer.ListFields():
        if field.name in LAYER_FIELDS or field.name in read:
            continue
        if FIRST_NUMBER <= field.number < PRIVATE or field.name in _bvlc_layer_fields():
            notes.append(f"{field.name} means nothing to a {op.type} layer, as in Caffe")
        else:
            _unread(field, value, f"field {field.name!r}", f" for {op.type}", notes)
    unread = {f.name for spec in layer.param for f, _ in spec.ListFields()} - SPEC_FIELDS
    notes.extend(f"param.{name} has no effect" for name in sorted(unread))


def check_param(
    op: type[Op], path: str, message: Any, known: frozenset[str], notes: list[str]
) -> None:
    """Look at what is set inside a layer's parameters beyond `known`. Raises GC-U001."""
    moved = path == op.param_field and "transform_param" in op.extra_fields
    for field, value in message.ListFields():
        if moved and field.name in MOVED:
            notes.append(
                f"{path}.{field.name} has no effect, as in Caffe; it belongs in transform_param"
            )
        elif field.name not in known:
            _unread(field, value, f"field {path}.{field.name}", f" for {op.type}", notes)


def _unread(field: FieldDescriptor, value: Any, what: str, where: str, notes: list[str]) -> None:
    if not is_repeated(field) and field.has_default_value and value == field.default_value:
        return
    if field.name not in HARMLESS:
        fail("GC-U001", f"{what} is not supported{where}", _REMOVE)
    notes.append(f"{what} is ignored")


__all__ = ["HARMLESS", "check_layer", "check_net", "check_param"]
