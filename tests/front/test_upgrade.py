"""Legacy nets and solvers become what Caffe's own upgrades make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from graphc.errors import GraphError
from graphc.front.definition import Definition
from graphc.front.net import definition
from graphc.front.schema import union
from graphc.front.solver_upgrade import upgrade_solver
from graphc.front.upgrade import V1_TYPES, upgrade
from graphc.front.v0 import TYPES as V0_TYPES
from graphc.ops import registry


def upgraded(text: str) -> Definition:
    source = definition(text, file="old.prototxt")
    upgrade(source)
    return source


def refused(text: str) -> GraphError:
    with pytest.raises(GraphError) as error:
        upgraded(text)
    assert error.value.code == "GC-P004"
    return error.value


@pytest.mark.parametrize(
    "case", ["net_v0", "net_v1", "net_input_dim_legacy", "net_bn_three_params_legacy"]
)
def test_real_caffe_upgrades_alike(shared: Path, case: str) -> None:
    ours = upgraded((shared / f"golden/layers/{case}.prototxt").read_text())
    theirs = definition((shared / f"golden/extras/{case}.upgraded.prototxt").read_text())
    assert ours.net == theirs.net


def test_present_nets_stay_as_they_are(shared: Path) -> None:
    for path in sorted(shared.glob("golden/layers/*.prototxt")):
        text = path.read_text()
        if "layers {" not in text and "input_dim" not in text and "bn_three" not in path.name:
            assert upgraded(text).net == definition(text).net, path


def test_lines_follow_their_layers() -> None:
    source = upgraded(
        """input: "d" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4
layers { layer { name: "p" type: "padding" pad: 2 } bottom: "d" top: "p" }
layers { layer { name: "c" type: "conv" kernelsize: 3 } bottom: "p" top: "c" }

layers { layer { name: "r" type: "relu" } bottom: "c" top: "c" }"""
    )
    assert [layer.name for layer in source.net.layer] == ["input", "c", "r"]
    assert source.lines == [0, 3, 5]
    conv = source.net.layer[1]
    assert list(conv.bottom) == ["d"] and list(conv.convolution_param.pad) == [2]


def test_v0_fields_go_where_their_type_wants_them() -> None:
    source = upgraded(
        """
layers { layer { name: "d" type: "images" source: "l" batchsize: 4 scale: 0.5 meanfile: "m"
  cropsize: 7 mirror: true rand_skip: 2 shuffle_images: true new_height: 8 new_width: 9 } top: "d" }
layers { layer { name: "w" type: "window_data" source: "w" det_fg_threshold: 0.1
  det_context_pad: 3 det_crop_mode: "square" } top: "w" }
layers { layer { name: "i" type: "infogain_loss" source: "h" } bottom: "d" bottom: "w" top: "l" }
layers { layer { name: "c" type: "concat" concat_dim: 0 } bottom: "d" bottom: "w" top: "c" }
layers { layer { name: "o" type: "hdf5_output" hdf5_output_param { file_name: "f" } } bottom: "d" }
layers { layer { name: "k" type: "relu" num_output: 7 pad: 1 } bottom: "d" top: "k" }
"""
    )
    images, window, infogain, concat, output, relu = source.net.layer
    param, transform = images.image_data_param, images.transform_param
    assert (param.source, param.batch_size, param.rand_skip, param.shuffle) == ("l", 4, 2, True)
    assert (param.new_height, param.new_width) == (8, 9)
    assert (transform.scale, transform.mean_file, transform.crop_size) == (0.5, "m", 7)
    assert transform.mirror and not param.HasField("scale")
    assert window.window_data_param.crop_mode == "square"
    assert window.window_data_param.context_pad == 3
    assert infogain.infogain_loss_param.source == "h" and infogain.type == "InfogainLoss"
    assert concat.concat_param.concat_dim == 0
    assert output.hdf5_output_param.file_name == "f"
    assert {f.name for f, _ in relu.ListFields()} == {"name", "type", "bottom", "top"}
    assert [note for note in source.notes if "num_output" in note]


def test_v0_keeps_only_what_caffe_keeps_of_the_net() -> None:
    source = upgraded(
        'name: "n" force_backward: true debug_info: true state { level: 3 } '
        'layers { layer { name: "x" type: "split" } top: "y" }'
    )
    assert {f.name for f, _ in source.net.ListFields()} == {"name", "force_backward", "layer"}


def test_v1_training_options_become_specs() -> None:
    (layer,) = upgraded(
        """layers { name: "c" type: CONVOLUTION top: "c" param: "w" param: "b"
        blob_share_mode: STRICT blob_share_mode: PERMISSIVE
        blobs_lr: 1 blobs_lr: 2 weight_decay: 3 loss_weight: 0.5
        include { phase: TEST } blobs { data: 1 } }"""
    ).net.layer
    assert [spec.name for spec in layer.param] == ["w", "b"]
    assert [spec.share_mode for spec in layer.param] == [0, 1]
    assert [spec.lr_mult for spec in layer.param] == [1, 2]
    assert layer.param[0].decay_mult == 3 and not layer.param[1].HasField("decay_mult")
    assert list(layer.loss_weight) == [0.5] and layer.include[0].phase == 1
    assert list(layer.blobs[0].data) == [1]


@pytest.mark.parametrize(
    ("kind", "param"),
    [("DATA", "data"), ("IMAGE_DATA", "image_data"), ("WINDOW_DATA", "window_data")],
)
def test_v1_transform_fields_move(kind: str, param: str) -> None:
    (layer,) = upgraded(
        f"layers {{ type: {kind} top: 'd' {param}_param {{ batch_size: 2 scale: 3 mean_file: 'm' "
        "crop_size: 4 mirror: true } transform_param { scale: 9 force_gray: true } }"
    ).net.layer
    assert layer.transform_param.scale == 3 and layer.transform_param.crop_size == 4
    assert layer.transform_param.force_gray and layer.transform_param.mean_file == "m"
    inner = getattr(layer, f"{param}_param")
    assert {f.name for f, _ in inner.ListFields()} == {"batch_size"}


def test_transform_fields_of_present_layers_stay() -> None:
    (layer,) = upgraded("layer { type: 'Data' data_param { scale: 3 } }").net.layer
    assert layer.data_param.scale == 3 and not layer.HasField("transform_param")


def test_input_shapes() -> None:
    source = upgraded(
        'input: "a" input: "b" input_shape { dim: 1 } input_shape { dim: 2 dim: 3 } '
        'layer { name: "z" }'
    )
    first = source.net.layer[0]
    assert (first.name, first.type, list(first.top)) == ("input", "Input", ["a", "b"])
    assert [list(shape.dim) for shape in first.input_param.shape] == [[1], [2, 3]]
    assert not source.net.input and not source.net.input_shape


def test_inputs_without_shape_vanish() -> None:
    source = upgraded('input: "a" layer { name: "z" }')
    assert [layer.name for layer in source.net.layer] == ["z"] and source.dropped == ["a"]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_only_three_batch_norm_specs_are_changed(count: int) -> None:
    (layer,) = upgraded(
        "layer { type: 'BatchNorm' " + "param { lr_mult: 1 } " * count + "}"
    ).net.layer
    assert [spec.lr_mult for spec in layer.param] == [1] * count


REFUSED = [
    ('layers { name: "a" } layer { name: "b" }', "`layers`"),
    ('layers { layer { name: "a" type: "conf" } }', "'conf'"),
    ('layers { layer { name: "a" type: "conv" } bottom: "x" }', "'x'"),
    ('layers { layer { name: "a" type: "relu" } } layers { name: "b" }', "mixed"),
    ('input: "a" input: "b" input_dim: 1 input_dim: 1 layer { }', "8 input_dim"),
    ('input: "a" input: "b" input_shape { dim: 1 } layer { }', "2 input_shape"),
    (
        'input: "d" layers { layer { name: "p" type: "padding" } bottom: "d" top: "p" } '
        'layers { layer { name: "r" type: "relu" } bottom: "p" top: "r" }',
        "'relu'",
    ),
    (
        'input: "d" input: "e" layers { layer { name: "p" type: "padding" } bottom: "d" top: "p" } '
        'layers { layer { name: "r" type: "conv" } bottom: "p" bottom: "e" top: "r" }',
        "2 bottoms",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_caffe_refuses(text: str, message: str) -> None:
    error = refused(text)
    assert message in error.message
    assert error.loc is not None and error.loc.file == "old.prototxt"


def test_tables_name_every_old_type_and_only_real_ones() -> None:
    enum = union().descriptor("V1LayerParameter").enum_types_by_name["LayerType"]
    assert set(V1_TYPES) == set(enum.values_by_name)
    assert set(V0_TYPES.values()) <= set(V1_TYPES)
    known = set(registry.all_ops()) | {"", "WindowData"}
    assert set(V1_TYPES.values()) <= known


def solver(text: str) -> Any:
    message = union().new("SolverParameter")
    text_format.Parse(text, message)
    return message


SOLVERS = "SGD Nesterov AdaGrad RMSProp AdaDelta Adam"


@pytest.mark.parametrize(
    ("old", "new"),
    list(zip(SOLVERS.upper().split(), SOLVERS.split(), strict=True)),
)
def test_solver_type(old: str, new: str) -> None:
    message = solver(f"solver_type: {old}")
    upgrade_solver(message, "s.prototxt")
    assert message.type == new and not message.HasField("solver_type")


def test_solver_with_both_types() -> None:
    with pytest.raises(GraphError, match=r"s\.prototxt: GC-P004.*ADAM"):
        upgrade_solver(solver('solver_type: ADAM type: "SGD"'), "s.prototxt")


def test_snapshot_prefix(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    folder.mkdir()
    for given, expected in [
        ("", "dir/my.solver"),
        ('snapshot_prefix: "a/b"', "a/b"),
        (f'snapshot_prefix: "{folder}"', str(folder / "my.solver")),
    ]:
        message = solver(given)
        upgrade_solver(message, "dir/my.solver.prototxt")
        assert message.snapshot_prefix == expected
