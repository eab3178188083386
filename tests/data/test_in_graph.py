"""Data layers within a graph: names of in-place tops, places in errors, live runs."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from data.makers import datum, pictures, write_lmdb

from graphc.errors import GraphError, Loc
from graphc.ir.graph import Graph, Node, Value
from graphc.ir.infer import infer
from graphc.ops.data import Data, DataAttrs
from graphc.ops.hdf5_data import HDF5Data, HDF5DataAttrs
from graphc.ops.hdf5_output import HDF5Output, HDF5OutputAttrs
from graphc.ops.relu import ReLU
from graphc.runtime.reference import ReferenceExecutor


def test_datasets_are_found_by_the_blob_not_by_the_version(tmp_path: Path) -> None:
    """A ReLU in place on top of HDF5Data: the source still reads the dataset "x"."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.array([[1.0, -2.0], [-3.0, 4.0]])
        file["y"] = np.array([5, 6])
    (tmp_path / "list").write_text("a.h5")
    first, last, label = Value("x@t"), Value("x"), Value("y")
    nodes = [
        Node(HDF5Data, "t", HDF5DataAttrs("list", 2), outs={"y0": first, "y1": label}),
        Node(ReLU, "relu", ReLU.Attrs(), ins={"x": first}, outs={"y": last}),
        Node(
            HDF5Output,
            "out",
            HDF5OutputAttrs(str(tmp_path / "out.h5")),
            ins={"data": last, "label": label},
        ),
    ]
    graph = Graph(nodes=nodes, outputs=[last, label], base=tmp_path)
    assert nodes[0].sig().top_names == ("x", "y")
    infer(graph)
    executor = ReferenceExecutor(graph, {last, label})
    executor.forward({})
    executor.close()
    assert executor.env[last].tolist() == [[1, 0], [0, 4]]
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["data"][:, :, 0, 0].tolist() == [[1, 0], [0, 4]]
        assert file["label"][:].ravel().tolist() == [5, 6]


def lmdb_graph(base: Path) -> Graph:
    data = Value("data")
    node = Node(
        Data, "t", DataAttrs("db", 2, backend="LMDB"), outs={"data": data}, loc=Loc("n.prototxt", 3)
    )
    return Graph(nodes=[node], outputs=[data], base=base)


def test_errors_name_file_line_and_layer(tmp_path: Path) -> None:
    with pytest.raises(GraphError) as caught:
        infer(lmdb_graph(tmp_path))
    assert caught.value.headline.startswith("n.prototxt:3: GC-F001: layer 't' (Data): ")
    assert "'db'" in caught.value.message


def test_given_shapes_stand_in_for_the_source(tmp_path: Path) -> None:
    graph = lmdb_graph(tmp_path)
    infer(graph, {"data": (5, 3, 4, 6)})  # there is no source yet
    images = pictures(3, 3, 4, 6)
    write_lmdb(tmp_path / "db", [datum(image) for image in images])
    executor = ReferenceExecutor(graph, set(graph.outputs))
    executor.forward({})
    executor.close()
    expected = np.stack([images[i % 3] for i in range(5)])
    assert np.array_equal(executor.env[graph.outputs[0]], expected)


def test_batch_is_replaced(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "db", [datum(image) for image in pictures(3, 3, 4, 6)])
    graph = lmdb_graph(tmp_path)
    infer(graph, batch=7)
    type_ = graph.outputs[0].type
    assert type_ is not None and type_.shape == (7, 3, 4, 6)
