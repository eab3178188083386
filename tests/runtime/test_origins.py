"""A label out of range: source, record and both layers are named, and nothing has changed."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from data.makers import datum, pictures, png, write_lmdb

import graphc
from graphc.errors import GraphError

IMAGES = pictures(5, 1, 4, 4)
LABELS = [0, 1, 2, 7, 1]

NET = """
layer {{ name: "read" {source} top: "data" top: "label" }}
layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "{loss}" bottom: "ip" bottom: "label" top: "loss" }}
"""
SOURCES = {
    "lmdb": 'type: "Data" data_param { source: "db" batch_size: 2 backend: LMDB }',
    "list": 'type: "ImageData" image_data_param { source: "list.txt" batch_size: 2 '
    "is_color: false }",
    "hdf5": 'type: "HDF5Data" hdf5_data_param { source: "h5.txt" batch_size: 2 }',
}
RECORDS = {
    "lmdb": "db', record 3 (key '00000003')",
    "list": "image 'im3.png'",
    "hdf5": "'x.h5', row 3",
}
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" random_seed: 1'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same five images as LMDB, files and HDF5; the label of the fourth is 7."""
    write_lmdb(tmp_path / "db", [datum(p, n) for p, n in zip(IMAGES, LABELS, strict=True)])
    for i, image in enumerate(IMAGES):
        (tmp_path / f"im{i}.png").write_bytes(png(image[0]))
    lines = [f"im{i}.png {n}\n" for i, n in enumerate(LABELS)]
    (tmp_path / "list.txt").write_text("".join(lines))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"], file["label"] = np.stack(IMAGES), LABELS
    (tmp_path / "h5.txt").write_text("x.h5\n")
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path


def write_net(folder: Path, kind: str, loss: str) -> None:
    (folder / "net.prototxt").write_text(NET.format(source=SOURCES[kind], loss=loss))


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("loss", ["SoftmaxWithLoss", "HingeLoss"])
@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_training_stops_before_the_weights_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, loss: str, target: str
) -> None:
    monkeypatch.chdir(folder)
    write_net(folder, kind, loss)
    solver = graphc.Solver("solver.prototxt", target=target)
    solver.step(1)
    before = [p.copy() for p in solver.net.params["ip"]]
    for _ in range(2):
        with pytest.raises(GraphError) as caught:
            solver.step(1)
        assert caught.value.code == "GC-D003" and caught.value.layer == "loss"
        for part in ("label 7", "of the 3 classes", "layer 'read'", RECORDS[kind]):
            assert part in caught.value.message, caught.value.message
        after = solver.net.params["ip"]
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        solver.net.reset()
        solver.step(1)
        before = [p.copy() for p in solver.net.params["ip"]]
    solver.close()


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_ids_and_fed_labels(folder: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.chdir(folder)
    embed = """
layer { name: "read" type: "HDF5Data" top: "label" hdf5_data_param { source: "h5.txt"
  batch_size: 5 } }
layer { name: "e" type: "Embed" bottom: "label" top: "y"
  embed_param { num_output: 2 input_dim: 4 weight_filler { type: "xavier" } } }
"""
    (folder / "net.prototxt").write_text(embed)
    net = graphc.load("net.prototxt")
    with (
        graphc.compile(net, target=target) as exe,
        pytest.raises(GraphError, match=r"GC-D003.*id 7 .*layer 'read'.*'x\.h5', row 3"),
    ):
        exe.run()
    source = 'type: "Input" input_param { shape { dim: 2 dim: 4 } shape { dim: 2 } }'
    fed = NET.format(source=source, loss="SoftmaxWithLoss")
    (folder / "net.prototxt").write_text(fed)
    with graphc.compile(graphc.load("net.prototxt"), target=target) as exe:
        with pytest.raises(GraphError, match=r"GC-D003.*label 9") as caught:
            exe.run({"data": np.zeros((2, 4)), "label": [0, 9]})
        assert "read it from" not in caught.value.message
