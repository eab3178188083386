"""compile and run of nets whose shapes only their data tells."""

from pathlib import Path

import numpy as np
import pytest
from driver_nets import SHAPES, STORED, refused, write

import graphc
from graphc.driver import shape
from graphc.front.weights import write_weights


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def store(samples=8, width=5):
    h5py = pytest.importorskip("h5py")
    with h5py.File("a.h5", "w") as file:
        file["data"] = np.arange(samples * width, dtype=np.float32).reshape(samples, width) / 40
        file["label"] = np.arange(samples, dtype=np.float32) % 3
    Path("list.txt").write_text("a.h5\n")


def test_loading_opens_no_source(here):
    net = graphc.load(write(STORED))
    assert not net.shaped and [v.name for v in net.outputs] == ["loss"]
    assert refused(lambda: net.params, "GC-S004").hint
    for given in ({"shapes": {"data": (4, 5)}}, {"batch": 2}, {"shapes": SHAPES, "batch": 2}):
        graphc.load("net.prototxt", **given)


def test_compiling_opens_it(here):
    net = graphc.load(write(STORED))
    error = refused(lambda: graphc.compile(net), "GC-F001")
    assert error.layer == "data" and "list.txt" in str(error) and error.exit_code == 7
    store()
    exe = graphc.compile(net, train=True, keep=["label"])
    assert not net.shaped and exe.inputs == {}
    runs = [exe.run()["label"].tolist() for _ in range(3)]
    assert runs == [[0, 1, 2, 0], [1, 2, 0, 1], [0, 1, 2, 0]]
    assert exe.backward().params["y"][0].any()
    exe.reset()
    assert exe.run()["label"].tolist() == runs[0]
    exe.close()
    assert exe.run()["label"].tolist() == runs[0]


def test_shapes_stand_in_for_the_source(here):
    net = graphc.load(write(STORED), shapes=SHAPES)
    assert net.shaped and net.params["y"][0].shape == (3, 5)
    exe = graphc.compile(net)
    error = refused(exe.run, "GC-F001")
    assert error.layer == "data"
    store()
    assert exe.run()["loss"].shape == ()


def test_a_source_that_gives_other_shapes_than_told(here):
    store(width=6)
    exe = graphc.compile(graphc.load(write(STORED), shapes=SHAPES))
    error = refused(exe.run, "GC-D002")
    assert error.layer == "data" and "(4, 6)" in error.message and "(4, 5)" in error.message


def test_batch_of_a_data_layer(here):
    store()
    net = graphc.load(write(STORED), batch=2)
    assert graphc.compile(net, keep=["label"]).run()["label"].shape == (2,)
    assert graphc.compile(net, batch=8, keep=["label"]).run()["label"].shape == (8,)
    given = graphc.load("net.prototxt", shapes=SHAPES)
    assert graphc.compile(given, batch=1, keep=["label"]).run()["label"].shape == (1,)


def test_weights_wait_until_the_shapes_are_known(here):
    store()
    net = graphc.load(write(STORED), shapes=SHAPES, seed=7)
    write_weights(net, "w.safetensors")
    late = graphc.load("net.prototxt", "w.safetensors")
    assert late.notes[-1] == "weights: 1 layers read, bound when the shapes are known"
    for made in (graphc.compile(late), graphc.compile(late, batch=2)):
        np.testing.assert_array_equal(made.params["y"][0], net.params["y"][0])
        assert "weights: 1 layers loaded" in made.graph.notes
    assert late.pending and not late.shaped
    shape(late)
    np.testing.assert_array_equal(late.params["y"][0], net.params["y"][0])
    assert not late.pending


def test_weights_that_turn_out_not_to_fit(here):
    store(width=6)
    write_weights(graphc.load(write(STORED), shapes=SHAPES), "w.safetensors")
    late = graphc.load("net.prototxt", "w.safetensors")
    for _ in range(2):
        assert refused(lambda: graphc.compile(late), "GC-W001").layer == "y"
