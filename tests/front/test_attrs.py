"""Attributes from and to messages, and the Attrs of all layers against the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
from google.protobuf import text_format

from graphc.errors import GraphError
from graphc.front import schema
from graphc.front.attrs import canonical, decode, encode
from graphc.front.derive import layer_fields
from graphc.front.fields import plans
from graphc.ir.op import Filler, Op
from graphc.ops import registry

OPS = registry.all_ops()


@dataclass(frozen=True)
class LossParam:
    ignore_label: int | None = None
    normalization: str | None = None


@dataclass(frozen=True)
class ToyAttrs:
    num_output: int = 0
    bias_term: bool = True
    kernel_size: tuple[int, ...] = ()
    kernel_h: int | None = None
    weight_filler: Filler = Filler()
    bias_filler: Filler | None = None
    engine: str = "DEFAULT"
    loss_param: LossParam = LossParam()


class Toy(Op):
    type, param_field, extra_fields, Attrs = "Toy", "convolution_param", ("loss_param",), ToyAttrs


@dataclass(frozen=True)
class MineAttrs:
    rate: float = 0.1
    mode: Literal["FAST", "GOOD"] = "GOOD"
    needed: int = 0


class Mine(Op):
    type, param_field, Attrs = "Mine", "mine_param", MineAttrs


def message(text: str, *ops: type[Op]) -> Any:
    layer = schema.schema_for(ops).new("LayerParameter")
    text_format.Parse(text, layer)
    return layer


def refused(op: type[Op], text: str) -> GraphError:
    with pytest.raises(GraphError) as error:
        decode(op, message(text))
    return error.value


def test_nothing_set_gives_the_defaults() -> None:
    assert decode(Toy, message("")) == ToyAttrs()
    assert decode(Toy, message("convolution_param { } loss_param { }")) == ToyAttrs()


def test_every_kind_of_field() -> None:
    got = decode(
        Toy,
        message(
            "convolution_param { num_output: 4 bias_term: false kernel_size: 3 kernel_size: 5 "
            "kernel_h: 0 engine: CUDNN weight_filler { type: 'xavier' variance_norm: AVERAGE } "
            "bias_filler { } } loss_param { ignore_label: 0 normalization: BATCH_SIZE }"
        ),
    )
    assert got == ToyAttrs(
        4,
        False,
        (3, 5),
        0,
        Filler("xavier", variance_norm="AVERAGE"),
        Filler(),
        "CUDNN",
        LossParam(0, "BATCH_SIZE"),
    )


def test_encode_is_the_inverse_and_writes_no_defaults() -> None:
    attrs = ToyAttrs(
        4, False, (3,), 0, Filler("xavier"), Filler(), "CAFFE", LossParam(normalization="NONE")
    )
    layer = message("")
    encode(Toy, attrs, layer)
    assert decode(Toy, layer) == attrs
    assert {f.name for f, _ in layer.convolution_param.weight_filler.ListFields()} == {"type"}
    empty = message("")
    encode(Toy, ToyAttrs(), empty)
    assert empty.ByteSize() == 0


def test_floats_are_those_of_caffe() -> None:
    layer = message("mine_param { rate: 0.1 }", Mine)
    assert decode(Mine, layer).rate == float(np.float32(0.1)) != 0.1
    assert decode(Mine, layer) == decode(Mine, message("", Mine)) == canonical(MineAttrs())
    again = message("", Mine)
    encode(Mine, decode(Mine, layer), again)
    assert again.ByteSize() == 0


def test_a_users_enum() -> None:
    layer = message("mine_param { mode: FAST }", Mine)
    assert decode(Mine, layer).mode == "FAST"
    again = message("", Mine)
    encode(Mine, MineAttrs(mode="FAST"), again)
    assert again.mine_param.mode == 0 and again.mine_param.HasField("mode")


def test_unread_fields_are_refused() -> None:
    error = refused(Toy, "convolution_param { dilation: 2 }")
    assert error.code == "GC-U001" and "convolution_param.dilation" in error.message
    error = refused(Toy, "loss_param { label_smoothing: 0.1 }")
    assert error.code == "GC-U001" and "loss_param.label_smoothing" in error.message
    error = refused(Toy, "convolution_param { weight_filler { scale: 2 } }")
    assert "convolution_param.weight_filler.scale" in error.message
    assert refused(Toy, "quantization_param { bw_params: 8 }").code == "GC-U001"


def test_harmless_fields_are_noted() -> None:
    notes: list[str] = []
    text = """engine: 'MKLDNN' convolution_param { conv_algorithm: 'winograd' hole: 2 }
    pooling_param { pool: AVE } param { force_mult: 1 } forward_type: FLOAT16"""
    decode(Toy, message(text.replace("hole: 2", "")), notes)
    assert len(notes) == 5
    for name in ("engine", "conv_algorithm", "pooling_param", "force_mult", "forward_type"):
        assert any(name in note for note in notes), name


def test_foreign_fields_at_their_default_are_silent() -> None:
    notes: list[str] = []
    decode(Toy, message("convolution_param { relu: false } connectivity_mode: CONNECTED"), notes)
    assert not notes
    assert refused(Toy, "convolution_param { relu: true }").code == "GC-U001"


def test_moved_transform_fields_are_noted() -> None:
    notes: list[str] = []
    decode(OPS["Data"], message("data_param { scale: 2 mirror: true batch_size: 3 }"), notes)
    assert len(notes) == 2 and "data_param.scale" in notes[0] and "transform_param" in notes[0]


def test_required_fields() -> None:
    error = refused(OPS["Clip"], "clip_param { min: 1 }")
    assert error.code == "GC-P001" and "clip_param.max" in error.message


@pytest.mark.parametrize(
    ("attrs", "what"),
    [
        (ToyAttrs(num_output=-1), "num_output"),
        (ToyAttrs(num_output=1 << 40), "num_output"),
        (ToyAttrs(engine="CUDN"), "engine"),
        (ToyAttrs(kernel_size=(-1,)), "kernel_size"),
        (ToyAttrs(num_output="x"), "num_output"),  # type: ignore[arg-type]
    ],
)
def test_values_that_do_not_fit(attrs: ToyAttrs, what: str) -> None:
    with pytest.raises(GraphError, match=f"GC-N008.*{what}"):
        encode(Toy, attrs, message(""))


def test_a_field_the_schema_lacks() -> None:
    @dataclass(frozen=True)
    class TypoAttrs:
        num_outputs: int = 1

    class Typo(Op):
        type, param_field, Attrs = "Typo", "convolution_param", TypoAttrs

    assert refused(Typo, "convolution_param { num_output: 1 }").code == "GC-O001"


def compare(cls: type, descriptor: Any, skip: tuple[str, ...], path: str) -> list[str]:
    """Where a dataclass and a message disagree in names, kinds or defaults."""
    wrong, names = [], set()
    for plan in plans(cls):
        if plan.name in skip:
            continue
        names.add(plan.name)
        field, where = descriptor.fields_by_name.get(plan.name), f"{path}.{plan.name}"
        if field is None:
            wrong.append(f"{where} is in no schema")
            continue
        if schema.is_repeated(field) != plan.repeated:
            wrong.append(f"{where}: repeated differs")
        if plan.is_message != (field.message_type is not None):
            wrong.append(f"{where}: one is a message")
        elif plan.is_message:
            wrong += compare(plan.base, field.message_type, (), where)
        elif not plan.optional and not plan.repeated:
            default = field.default_value
            if field.enum_type is not None:
                default = field.enum_type.values_by_number[default].name
            if canonical(plan.default) != default:
                wrong.append(f"{where}: default {plan.default!r}, but {default!r} in the schema")
    try:
        bvlc = {f.name for f in schema.dialect("bvlc").descriptor(descriptor.name).fields}
    except KeyError:
        return wrong
    return wrong + [f"{path}.{name} is missing" for name in sorted(bvlc - names)]


@pytest.mark.parametrize("name", OPS)
def test_attrs_of_all_layers_fit_the_schema(name: str) -> None:
    op = OPS[name]
    layer = schema.schema_for([op]).descriptor("LayerParameter")
    for field, cls in layer_fields(op):
        own = field == op.param_field
        skip = op.extra_fields if own else ()
        message_type = layer.fields_by_name[field].message_type
        assert compare(cls, message_type, skip, f"{name}: {field}") == []


@pytest.mark.parametrize("name", OPS)
def test_samples_survive_the_round_trip(name: str) -> None:
    op = OPS[name]
    for sample in op.samples:
        attrs = op.Attrs() if sample.attrs is None else sample.attrs
        layer = schema.schema_for([op]).new("LayerParameter")
        encode(op, attrs, layer)
        assert decode(op, layer) == canonical(attrs)
