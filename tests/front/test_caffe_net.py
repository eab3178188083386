"""Weight files as a snapshot of real Caffe has them: every layer, with Splits and parameters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.caffe_cases import members, names, read_case, unpack

import graphc
from graphc.driver import shape
from graphc.front import parse_net
from graphc.front.caffe_net import write_caffe_net
from graphc.front.schema import union
from graphc.front.splits import caffe_layers
from graphc.front.weights import load_weights, read_weights
from graphc.ir.graph import Graph
from graphc.ir.infer import infer

SNAPSHOTS = sorted(name for name in members() if re.search(r"_iter_\d0\.caffemodel", name))


@pytest.fixture(scope="session")
def caffe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("caffe"))


def message(path: Path) -> Any:
    net = union().new("NetParameter")
    net.ParseFromString(path.read_bytes())
    return net


def loaded(caffe: Path, name: str) -> Graph:
    """The net of a snapshot, with the snapshot's weights."""
    run = Path(name).name.partition("_iter_")[0]
    solver = (caffe / f"solvers/{run}.solver.prototxt").read_text()
    found = re.search(r'net: "(.*?)"', solver)
    assert found is not None
    return shape(graphc.load(caffe / "solvers" / found[1], caffe / name, phase="TRAIN"))


@pytest.mark.parametrize("name", names("layers"))
def test_layers_are_caffes(name: str, caffe: Path) -> None:
    """Names, types, bottoms and tops, in order, as Caffe told them after it had inserted Splits."""
    case = read_case(caffe / f"layers/{name}.npz")
    meta = case.meta
    state = {"phase": meta["phase"], "level": meta["level"], "stages": tuple(meta["stages"])}
    graph = graphc.load(caffe / f"layers/{name}.prototxt", **state)
    ours = [
        {"name": x.name, "type": x.type, "bottoms": x.bottoms, "tops": x.tops}
        for x in caffe_layers(graph)
    ]
    assert ours == meta["layers"]


@pytest.mark.parametrize("name", [n for n in SNAPSHOTS if not n.endswith(".h5")])
def test_snapshots_of_caffe(name: str, caffe: Path, tmp_path: Path) -> None:
    """The message is Caffe's, but for rules that have been applied and defaults written out."""
    write_caffe_net(loaded(caffe, name), tmp_path / "w.caffemodel")
    ours, theirs = message(tmp_path / "w.caffemodel"), message(caffe / name)
    for layer in theirs.layer:
        layer.ClearField("include")
        if layer.pooling_param.HasField("pool"):
            assert layer.pooling_param.pool == 0
            layer.pooling_param.ClearField("pool")
        if not layer.pooling_param.ByteSize():
            layer.ClearField("pooling_param")
    for layer in ours.layer:
        if not layer.pooling_param.ByteSize():
            layer.ClearField("pooling_param")
    assert [x.name for x in ours.layer] == [x.name for x in theirs.layer]
    assert ours == theirs


@pytest.mark.parametrize("name", [n for n in SNAPSHOTS if n.endswith(".h5")])
def test_hdf5_snapshots_of_caffe(name: str, caffe: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    write_caffe_net(loaded(caffe, name), tmp_path / "w.h5", hdf5=True)
    assert hdf5_content(h5py, tmp_path / "w.h5") == hdf5_content(h5py, caffe / name)


def hdf5_content(h5py: Any, path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        is_group = isinstance(item, h5py.Group)
        found[name] = "group" if is_group else (item.shape, item.dtype, item[()].tobytes())

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


TWICE = """
name: "twice"
layer { name: "in/data" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "in2" type: "Input" top: "t" input_param { shape { dim: 2 dim: 4 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "h" loss_weight: 0.5
        param { name: "w" } inner_product_param { num_output: 4 } }
layer { name: "relu" type: "ReLU" bottom: "h" top: "r" }
layer { name: "b/1x1" type: "InnerProduct" bottom: "x" top: "y"
        param { name: "w" } inner_product_param { num_output: 4 bias_term: false } }
layer { name: "sum" type: "Eltwise" bottom: "r" bottom: "y" bottom: "y" top: "s" }
layer { name: "loss" type: "EuclideanLoss" bottom: "s" bottom: "t" }
"""


def twice(seed: int = 0) -> Graph:
    graph = parse_net(TWICE, phase="TRAIN")
    infer(graph)
    rng = np.random.default_rng(seed)
    for value in graph.param_values():
        assert value.type is not None
        graph.weights[value.name] = rng.standard_normal(value.type.shape, np.float32)
    return graph


def test_splits_loss_weights_and_shares(tmp_path: Path) -> None:
    write_caffe_net(twice(), tmp_path / "w")
    told = [
        (x.name, list(x.bottom), list(x.top), list(x.loss_weight), len(x.blobs))
        for x in message(tmp_path / "w").layer
    ]
    x, h, y = (f"{name}_split" for name in ("x_in/data_0", "h_a_0", "y_b/1x1_0"))
    assert told == [
        ("in/data", [], ["x"], [], 0),
        (x, ["x"], [f"{x}_0", f"{x}_1"], [], 0),
        ("in2", [], ["t"], [], 0),
        ("a", [f"{x}_0"], ["h"], [], 2),
        (h, ["h"], [f"{h}_0", f"{h}_1"], [0.5, 0.0], 0),
        ("relu", [f"{h}_1"], ["r"], [], 0),
        ("b/1x1", [f"{x}_1"], ["y"], [], 1),
        (y, ["y"], [f"{y}_0", f"{y}_1"], [], 0),
        ("sum", ["r", f"{y}_0", f"{y}_1"], ["s"], [], 0),
        ("loss", ["s", "t"], [], [1.0], 0),
    ]


@pytest.mark.parametrize("hdf5", [False, True])
def test_written_nets_load_again(hdf5: bool, tmp_path: Path) -> None:
    """Names with slashes too, with which Caffe's own HDF5 writer stops."""
    if hdf5:
        pytest.importorskip("h5py")
    first, second = twice(), twice(1)
    write_caffe_net(first, tmp_path / "w", hdf5=hdf5)
    load_weights(second, tmp_path / "w")
    assert all(np.array_equal(first.weights[n], second.weights[n]) for n in first.weights)
    found = read_weights(tmp_path / "w")
    assert "x_in/data_0_split" in found and len(found["b/1x1"]) == (0 if hdf5 else 1)


def test_names_that_hdf5_cannot_hold(tmp_path: Path) -> None:
    graph = parse_net(TWICE.replace("b/1x1", "b/1"), phase="TRAIN")
    infer(graph)
    with pytest.raises(graphc.GraphError, match="GC-U001: HDF5 cannot hold a layer called 'b/1'"):
        write_caffe_net(graph, tmp_path / "w", hdf5=True)
    assert not list(tmp_path.iterdir())
