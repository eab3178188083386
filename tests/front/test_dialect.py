"""Binaries of forks: read in the right dialect, or refused; never misread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from graphc.errors import GraphError
from graphc.front import read_net, schema
from graphc.front.dialect import decode_binary
from graphc.limits import Limits

INPUT = 'layer { name: "i" type: "Input" top: "x" input_param { shape { dim: [1, 2, 9, 9] } } } '
POOL = 'layer { name: "p" type: "Pooling" bottom: "x" top: "y" pooling_param { %s } } '


def written(fork: str, text: str) -> bytes:
    """The binary that a fork makes of a text."""
    net = schema.dialect(fork).new("NetParameter")
    text_format.Parse(text, net)
    return bytes(net.SerializePartialToString())


def meant(text: str) -> Any:
    net = schema.union().new("NetParameter")
    text_format.Parse(text, net)
    return net


CASES = [
    ("force", 'layer { type: "Sparsify" sparsify_param { thre: 0.125 } }'),
    ("force", 'layer { type: "SymmetricRectify" symmetric_rectify_param { thre_decay: 1 } }'),
    ("bvlc", 'layer { type: "Swish" swish_param { beta: 0.125 } }'),
    ("bvlc", 'layer { type: "Clip" clip_param { min: -1 max: 1 } }'),
    ("bvlc", 'layer { type: "Input" input_param { shape { dim: 3 } } }'),
    ("bvlc", 'layer { type: "Embed" embed_param { num_output: 3 input_dim: 4 } }'),
    ("ssd", 'layer { type: "Permute" permute_param { order: 0 order: 2 } }'),
    ("ssd", 'layer { type: "PriorBox" prior_box_param { min_size: 3 offset: 0.25 } }'),
    ("intel", 'layer { type: "PSROIPooling" psroi_pooling_param { spatial_scale: 1 } }'),
    ("intel", 'layer { blobs { data: 1 } loss_param { normalization: NONE } engine: "MKLDNN" }'),
    ("nvidia", 'layer { type: "X" detectnet_groundtruth_param { stride: 3 } }'),
    ("deeplab", 'layer { type: "Interp" interp_param { height: 3 } }'),
    ("segnet", 'layer { type: "Upsample" upsample_param { scale: 2 upsample_h: 4 } }'),
    (
        "yolo",
        'layer { type: "Reorg" reorg_param { stride: 2 } } layer { type: "Region" '
        "region_loss_param { side: 3 } }",
    ),
    ("frcnn", 'layer { type: "ROIPooling" roi_pooling_param { pooled_w: 3 } }'),
    ("ssl", 'layer { type: "Convolution" convolution_param { conv_mode: DIRECT_DCONV } }'),
    ("skim", 'layer { type: "InnerProduct" inner_product_param { gemm_mode: SPMDM } }'),
]


@pytest.mark.parametrize(("fork", "text"), CASES)
def test_what_a_fork_wrote_is_what_is_read(fork: str, text: str) -> None:
    assert decode_binary(written(fork, text)) == meant(text)
    assert decode_binary(written(fork, text), fork) == meant(text)


AMBIGUOUS = [
    ("force", 'layer { type: "Mine" sparsify_param { thre: 1 } }'),
    ("ssl", 'layer { type: "Convolution" convolution_param { conv_mode: LOWERED_CSRMM } }'),
    ("skim", 'layer { type: "Convolution" convolution_param { conv_mode: LOWERED_CCNMM } }'),
    ("bvlc", POOL % "kernel_size: 2 stride: 3"),
    ("intel", POOL % "kernel_size: 3 stride: 2"),
    ("intel", 'layer { type: "SoftmaxWithLoss" loss_param { normalization: PRE_FIXED } }'),
    ("force", 'layer { type: "Power" param { force_mult: 1 } }'),
]


@pytest.mark.parametrize(("fork", "text"), AMBIGUOUS)
def test_ambiguity_is_an_error_and_never_a_guess(fork: str, text: str) -> None:
    data = written(fork, text)
    with pytest.raises(GraphError, match=r"GC-P003.* or ") as error:
        decode_binary(data)
    assert fork in error.value.message and "--dialect" in error.value.hint
    assert decode_binary(data, fork) == meant(text)


def test_readings_that_make_no_net_are_ruled_out(tmp_path: Path) -> None:
    path = tmp_path / "net"
    for fork in ("bvlc", "intel"):
        path.write_bytes(written(fork, INPUT + POOL % "kernel_size: 3 stride: 2"))
        attrs = read_net(path).nodes[1].attrs
        assert (attrs.kernel_size, attrs.stride, attrs.pad or 0) == (3, 2, 0)
    # Kernel 2 and stride 3 there are padding 2 and kernel 3 here: both are nets.
    path.write_bytes(written("bvlc", INPUT + POOL % "kernel_size: 2 stride: 3"))
    with pytest.raises(GraphError, match="GC-P003"):
        read_net(path)
    assert read_net(path, dialect="bvlc").nodes[1].attrs.stride == 3


def test_unknown_fields_are_refused() -> None:
    data = written("ssd", 'layer { type: "Permute" permute_param { order: 1 } }')
    with pytest.raises(GraphError, match=r"GC-P003.*field 202 of LayerParameter"):
        decode_binary(data, "bvlc")
    with pytest.raises(GraphError, match="GC-R002"):
        decode_binary(data, "sdd")


BROKEN = [
    (b"", "GC-P002"),
    (b"\xff\xff\xff", "GC-P002"),
    (b"\x08\x01", "GC-P002"),
    (b"\xa2\x06\x7f", "GC-P002"),
    (b"\xa2\x06\x04\x0a\x02\xff\xfe", "GC-P003"),  # a name that is not UTF-8
    (b"\x12\x02\x28\x63", "GC-P003"),  # a V1 type that is none
]


@pytest.mark.parametrize(("data", "code"), BROKEN)
def test_broken_files(data: bytes, code: str) -> None:
    with pytest.raises(GraphError) as error:
        decode_binary(data)
    assert error.value.code == code


def test_limits_count_before_parsing() -> None:
    data = written("bvlc", "layer { top: 'a' }" * 20)
    for limits in (Limits(layers=10), Limits(binary_fields=30), Limits(binary_bytes=30)):
        with pytest.raises(GraphError, match="GC-L001"):
            decode_binary(data, limits=limits)


def test_nested_groups_end_in_an_error() -> None:
    with pytest.raises(GraphError, match="GC-P002"):
        decode_binary(b"\x0b" * 100_000)


def test_a_weight_file_is_a_net(shared: Path) -> None:
    net = shared / "zoo" / "squeezenet" / "squeezenet_v1.0_pruned.caffemodel"
    graph = read_net(net)
    assert len(graph.nodes) == 66 and len(graph.pending) == 26
    assert graph.pending["conv1"][0].shape == (96, 3, 7, 7)


def test_binary_and_text_give_one_graph(shared: Path, tmp_path: Path) -> None:
    for path in sorted(shared.glob("golden/layers/net_*.prototxt")):
        text = path.read_text()
        if "phase: TRAIN" in text or "Data" in text:
            continue
        binary = tmp_path / "net.bin"
        binary.write_bytes(written("bvlc", text))
        ours, theirs = read_net(binary, dialect="bvlc"), read_net(path)
        assert [(n.name, n.op, n.attrs) for n in ours.nodes] == [
            (n.name, n.op, n.attrs) for n in theirs.nodes
        ]
        assert [v.name for v in ours.values()] == [v.name for v in theirs.values()]


def test_blobs_of_a_binary_net(tmp_path: Path) -> None:
    path = tmp_path / "net.bin"
    path.write_bytes(
        written(
            "bvlc",
            INPUT + 'layer { name: "f" type: "InnerProduct" bottom: "x" top: "y" '
            "inner_product_param { num_output: 1 } blobs { num: 1 channels: 1 height: 1 width: 2 "
            "data: [1, 2] } blobs { shape { dim: 1 } double_data: 3 } }",
        )
    )
    weight, bias = read_net(path).pending["f"]
    np.testing.assert_array_equal(weight, [[[[1, 2]]]])
    np.testing.assert_array_equal(bias, [3])
