"""What a file says and no declaration reads: refused, unless it cannot change a result."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from graphc.errors import fail
from graphc.front.derive import FIRST_NUMBER
from graphc.front.merge import PRIVATE
from graphc.front.schema import dialect
from graphc.front.upgrade import MOVED
from graphc.ir.op import Op

# Read by the builder itself.
LAYER_FIELDS = frozenset(
    "name type bottom top phase loss_weight param blobs propagate_down include exclude".split()
)
NET_FIELDS = frozenset("name layer force_backward state".split())
# How, where or how fast something is computed, printed or dumped; never what.
HARMLESS = frozenset(
    "engine conv_algorithm cudnn_convolution_algo_seeker cudnn_math_override debug debug_info "
    "display dump_parameter dump_activation parameter_sparsity_pattern_histogram "
    "conv_mode gemm_mode spmdm_transpose_in spmdm_transpose_out "
    "threads parser_threads cache use_gpu_transform visualize visualize_threshold "
    "forward_type backward_type forward_math backward_math default_forward_type "
    "default_backward_type default_forward_math default_backward_math global_grad_scale "
    "global_grad_scale_adaptive multinode mn_activation_param mn_grad_compress_param "
    "compile_net_state".split()
)
TRAINING_SPECS = frozenset("name share_mode lr_mult decay_mult".split())


@lru_cache(maxsize=1)
def _bvlc_layer_fields() -> frozenset[str]:
    return frozenset(dialect("bvlc").descriptor("LayerParameter").fields_by_name)


def check_net(net: Any, notes: list[str]) -> None:
    """Look at the fields beside the layers. Raises GC-U001."""
    for field, _ in net.ListFields():
        if field.name in HARMLESS:
            notes.append(f"net: {field.name} is ignored")
        elif field.name not in NET_FIELDS:
            fail("GC-U001", f"net-level field {field.name!r} is not supported", _WITHOUT)


def check_layer(op: type[Op], layer: Any, notes: list[str]) -> None:
    """Look at a layer's own fields and at the parameters of other types. Raises GC-U001."""
    read = {op.param_field, *op.extra_fields}
    for field, _ in layer.ListFields():
        if field.name in LAYER_FIELDS or field.name in read:
            continue
        foreign = FIRST_NUMBER <= field.number < PRIVATE
        if foreign or field.name in _bvlc_layer_fields():
            _note(notes, layer, f"{field.name} means nothing to a {op.type} layer, as in Caffe")
        elif field.name in HARMLESS:
            _note(notes, layer, f"{field.name} is ignored")
        else:
            fail("GC-U001", f"field {field.name!r} is not supported for {op.type}", _WITHOUT)
    for spec in layer.param:
        for field, _ in spec.ListFields():
            if field.name not in TRAINING_SPECS:
                _note(notes, layer, f"param.{field.name} has no effect")


def check_field(op: type[Op], path: str, name: str, known: bool, notes: list[str]) -> None:
    """Look at a field that is set inside a layer's parameters. Raises GC-U001."""
    if name in MOVED and path == op.param_field and "transform_param" in op.extra_fields:
        notes.append(f"{path}.{name} has no effect, as in Caffe: write transform_param.{name}")
    elif known:
        return
    elif name in HARMLESS:
        notes.append(f"{path}.{name} is ignored")
    else:
        fail("GC-U001", f"field {path}.{name} is not supported for {op.type}", _WITHOUT)


def _note(notes: list[str], layer: Any, text: str) -> None:
    if text not in notes:
        notes.append(text)


_WITHOUT = "remove it if the net is right without it"

__all__ = ["HARMLESS", "check_field", "check_layer", "check_net"]
