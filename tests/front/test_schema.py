"""The schema: committed descriptors, one union for text, one pool per dialect, derived fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.unknown_fields import UnknownFieldSet

from graphc.errors import GraphError
from graphc.front import schema
from graphc.front.derive import FIRST_NUMBER
from graphc.ir.op import Filler, Op


def test_committed_descriptors_are_those_of_proto() -> None:
    pytest.importorskip("grpc_tools")
    import schema as tool

    committed = FileDescriptorSet.FromString(tool.COMMITTED.read_bytes())
    assert committed == tool.compiled(), "proto/ has changed: run python tools/schema.py"


def test_bvlc_fields_keep_number_type_and_default_in_the_union() -> None:
    base, union = schema._files()["caffe"], schema.union()
    for message in base.message_type:
        merged = union.descriptor(message.name)
        for field in message.field:
            found = merged.fields_by_name[field.name]
            assert (found.number, found.type) == (field.number, field.type), field.name
            assert schema.is_repeated(found) == (field.label == 3)
        for enum in message.enum_type:
            values = merged.enum_types_by_name[enum.name].values_by_name
            assert all(values[v.name].number == v.number for v in enum.value)


def test_numbers_of_the_union_are_unique() -> None:
    for message in schema._union_file().message_type:
        numbers = [f.number for f in message.field]
        assert len(set(numbers)) == len(numbers), message.name


@pytest.mark.parametrize("name", schema.DIALECTS)
def test_union_has_every_field_of_every_dialect(name: str) -> None:
    union, fork = schema.union(), schema.dialect(name)
    for message in schema._union_file().message_type:
        known = union.descriptor(message.name).fields_by_name
        try:
            fields = fork.descriptor(message.name).fields
        except KeyError:
            continue
        assert {f.name for f in fields} <= set(known)


# (dialect, message, number) -> field; None: the dialect has no such field.
NUMBERS: list[tuple[str, str, int, str | None]] = [
    ("bvlc", "LayerParameter", 147, "swish_param"),
    ("bvlc", "LayerParameter", 148, "clip_param"),
    ("bvlc", "LayerParameter", 143, "input_param"),
    ("bvlc", "SolverParameter", 41, "layer_wise_reduce"),
    ("bvlc", "SolverParameter", 42, "weights"),
    ("bvlc", "SolverParameter", 43, None),
    ("force", "LayerParameter", 147, "sparsify_param"),
    ("force", "LayerParameter", 148, "symmetric_rectify_param"),
    ("force", "SolverParameter", 41, "force_type"),
    ("force", "SolverParameter", 42, "force_decay"),
    ("force", "SolverParameter", 43, "force_iter"),
    ("force", "ParamSpec", 6, "force_mult"),
    ("ssl", "LayerParameter", 147, None),
    ("ssl", "SolverParameter", 41, "breadth_decay"),
    ("ssl", "SolverParameter", 42, "kernel_shape_decay"),
    ("ssl", "ParamSpec", 6, "kernel_shape_decay_mult"),
    ("skim", "SolverParameter", 43, "block_group_decay"),
    ("skim", "InnerProductParameter", 7, "gemm_mode"),
    ("ssd", "LayerParameter", 206, "norm_param"),
    ("ssd", "SolverParameter", 43, "plateau_winsize"),
    ("intel", "SolverParameter", 43, "show_per_class_result"),
    ("intel", "SolverParameter", 44, "plateau_winsize"),
    ("intel", "LayerParameter", 148, "smooth_l1_loss_param"),
    ("intel", "LayerParameter", 203, "prior_box_param"),
    ("intel", "PoolingParameter", 2, "pad"),
    ("bvlc", "PoolingParameter", 2, "kernel_size"),
    ("nvidia", "LayerParameter", 151, "recurrent_param"),
    ("nvidia", "LayerParameter", 146, "backward_type"),
    ("deeplab", "LayerParameter", 143, "interp_param"),
    ("segnet", "LayerParameter", 137, "upsample_param"),
    ("segnet", "LossParameter", 3, "weight_by_label_freqs"),
    ("yolo", "LayerParameter", 150, "upsample_param"),
    ("yolo", "LayerParameter", 147, "swish_param"),
    ("frcnn", "LayerParameter", 8266711, "roi_pooling_param"),
]


@pytest.mark.parametrize(("fork", "message", "number", "name"), NUMBERS)
def test_numbers_of_the_forks(fork: str, message: str, number: int, name: str | None) -> None:
    field = schema.dialect(fork).descriptor(message).fields_by_number.get(number)
    assert (field.name if field else None) == name


def test_enum_values_that_forks_renumbered() -> None:
    def value(fork: str, message: str, enum: str, name: str) -> int:
        kinds = schema.dialect(fork).descriptor(message).enum_types_by_name[enum]
        return int(kinds.values_by_name[name].number)

    assert value("bvlc", "LossParameter", "NormalizationMode", "NONE") == 3
    assert value("intel", "LossParameter", "NormalizationMode", "NONE") == 4
    assert value("ssl", "ConvolutionParameter", "ConvMode", "LOWERED_CCNMM") == 2
    assert value("skim", "ConvolutionParameter", "ConvMode", "LOWERED_CCNMM") == 1


def test_text_of_every_fork_parses_by_name() -> None:
    net = schema.union().new("NetParameter")
    text_format.Parse(
        """
        layer { sparsify_param { thre: 0.1 } swish_param { beta: 2 } clip_param { min: 0 max: 1 } }
        layer { interp_param { height: 3 } input_param { shape { dim: 1 } } }
        layer { upsample_param { scale: 2 upsample_h: 4 } embed_param { num_output: 1 } }
        layer { bn_param { slope_filler { value: 1 } scale_filler { value: 2 } frozen: true } }
        layer { loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 2 } }
        layer { pooling_param { round_mode: FLOOR avg_include_pad: false torch_pooling: true } }
        layer { param { force_mult: 1 breadth_decay_mult: 2 block_group_lasso { xdimen: 3 } } }
        """,
        net,
    )
    assert len(net.layer) == 7
    assert net.layer[0].swish_param.beta == 2
    assert net.layer[0].sparsify_param.thre == pytest.approx(0.1)


def test_unknown_dialect() -> None:
    with pytest.raises(GraphError, match=r"GC-R002.*'intl'") as error:
        schema.dialect("intl")
    assert "intel" in error.value.hint


def test_pools_are_private() -> None:
    schema.union().new("NetParameter")
    default = descriptor_pool.Default()
    with pytest.raises(KeyError):
        default.FindMessageTypeByName("caffe.NetParameter")
    # Another package may still bring its own caffe.proto.
    foreign = FileDescriptorProto(name="caffe.proto", package="caffe")
    foreign.message_type.add(name="NetParameter")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(foreign.SerializeToString())
    assert len(pool.FindMessageTypeByName("caffe.NetParameter").fields) == 0


def test_every_golden_weight_file_is_known_to_the_last_field(caffe_files: list[Any]) -> None:
    for path in caffe_files:
        net = schema.dialect("bvlc").new("NetParameter")
        net.ParseFromString(path.read_bytes())
        todo = [net]
        while todo:
            message = todo.pop()
            assert len(UnknownFieldSet(message)) == 0, path
            for field, value in message.ListFields():
                if field.message_type is not None:
                    todo += list(value) if schema.is_repeated(field) else [value]


@pytest.fixture
def caffe_files(shared: Any) -> list[Any]:
    return sorted(shared.glob("golden/*/*.caffemodel"))


@dataclass(frozen=True)
class Corner:
    at: tuple[int, ...] = ()


@dataclass(frozen=True)
class FooAttrs:
    size: int = 3
    rate: float = 0.5
    on: bool = True
    label: str = "x"
    mode: Literal["FAST", "GOOD"] = "GOOD"
    filler: Filler = Filler()
    corner: Corner | None = None
    steps: tuple[float, ...] = ()
    limit: int | None = None


class Foo(Op):
    type, param_field, Attrs = "Foo", "foo_param", FooAttrs


def test_a_users_layer_brings_its_own_field() -> None:
    built = schema.schema_for([Foo])
    field = built.descriptor("LayerParameter").fields_by_name["foo_param"]
    assert field.number == FIRST_NUMBER
    layer = built.new("LayerParameter")
    text_format.Parse(
        "foo_param { size: 4 mode: FAST filler { value: 2 } corner { at: 1 at: 2 } steps: 0.5 }",
        layer,
    )
    assert layer.foo_param.rate == 0.5 and layer.foo_param.on and layer.foo_param.label == "x"
    assert list(layer.foo_param.corner.at) == [1, 2]
    assert not layer.foo_param.HasField("limit")


def test_schema_for_known_fields_is_the_union_and_cached() -> None:
    class Bar(Op):
        type, param_field, Attrs = "Bar", "relu_param", FooAttrs

    assert schema.schema_for([Bar]) is schema.union()
    assert schema.schema_for([Foo]) is schema.schema_for([Foo])


def test_one_field_with_two_meanings_is_refused() -> None:
    @dataclass(frozen=True)
    class OtherAttrs:
        size: int = 1

    class Other(Op):
        type, param_field, Attrs = "Other", "foo_param", OtherAttrs

    with pytest.raises(GraphError, match=r"GC-O001.*foo_param"):
        schema.schema_for([Foo, Other])


def test_attrs_that_no_message_can_hold() -> None:
    @dataclass(frozen=True)
    class BadAttrs:
        table: dict[str, int] | None = None

    class Bad(Op):
        type, param_field, Attrs = "Bad", "bad_param", BadAttrs

    with pytest.raises(GraphError, match=r"GC-O001.*BadAttrs\.table"):
        schema.schema_for([Bad])
