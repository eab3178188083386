"""Written weights read back, by us and by protobuf; binding them to a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_graphs import Builder, attrs, same_weights, shape, small_graph

from graphc.errors import GraphError
from graphc.front import parse_net, read_net
from graphc.front.caffemodel import read_caffemodel
from graphc.front.caffemodel_writer import write_caffemodel
from graphc.front.export import to_prototxt
from graphc.front.schema import union
from graphc.front.weights import load_weights, read_weights, write_weights
from graphc.ir.bind import bind
from graphc.ir.infer import infer


def test_round_trip(tmp_path: Path) -> None:
    graph = small_graph()
    write_caffemodel(graph, tmp_path / "w.caffemodel")
    other = small_graph()
    for array in other.weights.values():
        array[...] = 0
    report = load_weights(other, tmp_path / "w.caffemodel")
    assert same_weights(graph, other)
    assert report.loaded == ["block/conv", "bn", "fc", "fc2"] and not report.missing


def test_what_is_written_is_what_protobuf_reads(tmp_path: Path) -> None:
    graph = small_graph()
    write_caffemodel(graph, tmp_path / "w")
    message = union().new("NetParameter")
    message.ParseFromString((tmp_path / "w").read_bytes())
    assert message.name == "small"
    assert [(m.name, m.type) for m in message.layer] == [(n.name, n.op.type) for n in graph.nodes]
    bn = message.layer[2]
    assert (list(bn.bottom), list(bn.top)) == (["conv"], ["conv"])
    assert [list(b.shape.dim) for b in bn.blobs] == [[4], [4], [1]]
    weight = message.layer[1].blobs[0]
    expected = graph.weights["block/conv:weight"]
    assert np.array(weight.data, np.float32).tobytes() == expected.tobytes()
    assert len(message.layer[5].blobs) == 2  # a shared blob stands under each of its layers


def test_carried_state_is_not_written(tmp_path: Path) -> None:
    b = Builder()
    both = attrs("Input", shape=(shape(2, 1, 3), shape(2, 1)))
    b.add("Input", "in", [], ["x", "cont"], attrs=both)
    b.add("LSTM", "lstm", ["x", "cont"], ["h"], attrs=attrs("LSTM", num_output=2))
    write_caffemodel(b.done(), tmp_path / "w")
    assert len(read_caffemodel(tmp_path / "w")["lstm"]) == 3


def test_full_disk(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="GC-F002"):
        write_caffemodel(small_graph(), "/dev/full")


def test_sharers_may_come_without_the_shared_blob() -> None:
    """As HDF5 files have it: fc owns W, so fc2 has its bias alone."""
    graph, other = small_graph(), small_graph(seed=1)
    blobs = {name: list(arrays) for name, arrays in graph.params.items()}
    blobs["fc2"] = blobs["fc2"][1:]
    bind(other, blobs)
    assert same_weights(graph, other)


def test_what_waits_for_shapes_is_loaded_as_strictly(tmp_path: Path) -> None:
    graph = small_graph()
    write_caffemodel(graph, tmp_path / "w")
    text = to_prototxt(graph)
    late = parse_net(text, phase="TRAIN")
    load_weights(late, tmp_path / "w")
    assert all(a.flags.owndata for blobs in late.pending.values() for a in blobs)
    infer(late)
    assert same_weights(late, graph)
    late = parse_net(text.replace('name: "fc2"', 'name: "other"'), phase="TRAIN")
    load_weights(late, tmp_path / "w")
    with pytest.raises(GraphError, match=r"GC-W002.*other"):
        infer(late)
    late = parse_net(text.replace('name: "fc2"', 'name: "other"'), phase="TRAIN")
    load_weights(late, tmp_path / "w", strict=False)
    infer(late)


def test_the_file_is_named_where_weights_do_not_fit(tmp_path: Path) -> None:
    graph = small_graph()
    write_caffemodel(graph, tmp_path / "w.caffemodel")
    graph.node("fc").params["bias"].type = graph.node("bn").params["factor"].type
    with pytest.raises(GraphError, match=r"GC-W001.*'fc'.*w\.caffemodel"):
        load_weights(graph, tmp_path / "w.caffemodel")


@pytest.mark.parametrize(
    ("net", "weights"),
    [
        ("mtcnn/det1.prototxt", "mtcnn/det1.caffemodel"),
        ("mtcnn/det3.prototxt", "mtcnn/det3.caffemodel"),
        ("squeezenet/squeezenet_v1.0_pruned_deploy.prototxt",) * 2,
    ],
)
def test_real_weights_come_back_byte_for_byte(
    shared: Path, tmp_path: Path, net: str, weights: str
) -> None:
    source = shared / "zoo" / weights.replace("_deploy.prototxt", ".caffemodel")
    graph = read_net(shared / "zoo" / net)
    infer(graph)
    load_weights(graph, source)
    for suffix in (".caffemodel", ".h5", ".safetensors"):
        write_weights(graph, tmp_path / f"w{suffix}")
        again, given = read_weights(tmp_path / f"w{suffix}"), read_weights(source)
        names = [n.name for n in graph.forward_nodes() if n.params]
        assert len(names) > 3
        for name in names:
            assert [b.tobytes() for b in again[name]] == [b.tobytes() for b in given[name]]
