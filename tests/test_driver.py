"""load, compile and open: arguments of every kind."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from driver_nets import refused, write
from texts import conv, fc, feed, graph, layer

import graphc
from graphc.driver import check_target, prepare, shape
from graphc.front import parse_net
from graphc.front.weights import write_weights
from graphc.ir.provenance import format_record


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Arguments.


def small(**words):
    return graphc.load(write(feed(data=(2, 3)) + fc("data", "y", 4)), **words)


def test_ways_to_name_a_file(here):
    write(feed(data=(2, 3)))
    for name in ("net.prototxt", Path("net.prototxt"), here / "net.prototxt"):
        assert graphc.load(name).file and graphc.compile(name).inputs == {"data": (2, 3)}


@pytest.mark.parametrize("net", [None, 5, b"net.prototxt", ["net.prototxt"], {}])
def test_what_names_no_file(here, net):
    for call in (graphc.load, graphc.compile, graphc.open):
        refused(lambda call=call: call(net), "GC-R002")
    refused(lambda: small(weights=5), "GC-R002")
    refused(lambda: graphc.optimize(net), "GC-R002")


def test_missing_files(here):
    for call in (graphc.load, graphc.compile, graphc.open):
        for name in ("no.file", ".", "", "a\0b"):
            refused(lambda call=call, name=name: call(name), "GC-F001")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"phase": "train"}, "GC-R002"),
        ({"phase": None}, "GC-R002"),
        ({"shapes": {"dat": (1, 3)}}, "GC-R002"),
        ({"shapes": {"data": (1, 3, -1)}}, "GC-S001"),
        ({"shapes": ["data"]}, "GC-R002"),
        ({"batch": "4"}, "GC-S001"),
        ({"batch": -4}, "GC-S001"),
        ({"batch": 1.0}, "GC-S001"),
    ],
)
def test_wrong_arguments_of_load(here, words, code):
    refused(lambda: small(**words), code)


def test_one_stage_may_come_as_it_is(here):
    rule = 'include { stage: "deploy" }'
    write(feed(data=(2, 3)) + layer("TanH", "data", "y", rule))
    for stages in ("deploy", ["deploy"], ("deploy", "other")):
        assert len(graphc.load("net.prototxt", stages=stages).nodes) == 2
    assert len(graphc.load("net.prototxt").nodes) == 1


def test_shapes_and_batch(here):
    net = small(shapes={"data": (7, 3)})
    assert net.inputs[0].type.shape == (7, 3)
    assert small(shapes={"data": (7, 3)}, batch=5).inputs[0].type.shape == (5, 3)
    assert graphc.compile(net).inputs == {"data": (7, 3)}
    assert graphc.compile(net, batch=1).inputs == {"data": (1, 3)}
    assert graphc.compile(net, batch=0).run({"data": np.zeros((0, 3))})["y"].shape == (0, 4)


def test_fillers_by_seed_and_by_name(here):
    one, same, other = small(), small(), small(seed=2)
    np.testing.assert_array_equal(one.params["y"][0], same.params["y"][0])
    assert not np.array_equal(one.params["y"][0], other.params["y"][0])
    twins = graph(feed(data=(2, 3)), fc("data", "a", 3), fc("data", "b", 3))
    assert not np.array_equal(twins.params["a"][0], twins.params["b"][0])
    # filled by the graph or, later, by its executable: the same numbers
    fresh = graphc.compile(small())
    np.testing.assert_array_equal(fresh.params["y"][0], one.params["y"][0])


def test_a_wrong_filler_names_its_layer(here):
    wrong = 'inner_product_param { num_output: 2 weight_filler { type: "x" } }'
    net = graphc.load(write(feed(data=(2, 3)) + layer("InnerProduct", "data", "y", wrong)))
    error = refused(lambda: graphc.compile(net), "GC-N008")
    assert error.layer == "y" and error.loc.line == 2


def test_notes_on_weights(here):
    assert small().notes == ["no weights given: parameters come from the fillers, seed 1"]
    write(feed(data=(2, 3)))
    assert graphc.load("net.prototxt").notes == []
    net = small()
    write_weights(net, "w.caffemodel")
    assert small(weights="w.caffemodel").notes == ["weights: 1 layers loaded"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"target": "gpu"}, "GC-R002"),
        ({"target": ""}, "GC-R002"),
        ({"target": "cuda"}, "GC-X001"),
        ({"target": "cpu:1"}, "GC-R002"),
        ({"memory": "1GiB", "target": "reference"}, "GC-U001"),
        ({"memory": 5}, "GC-M001"),
        ({"passes": "remove_dropout"}, "GC-T001"),
        ({"passes": None}, "GC-T001"),
        ({"passes": ["no"]}, "GC-T001"),
        ({"passes": [5]}, "GC-T001"),
        ({"keep": "no"}, "GC-R002"),
        ({"batch": "x"}, "GC-S001"),
        ({"calibration": {"no": 1}, "measure": True, "passes": ["remove_dropout"]}, "GC-R001"),
    ],
)
def test_wrong_arguments_of_compile(here, words, code):
    net = small()
    refused(lambda: graphc.compile(net, **words), code)
    assert graphc.compile(net).run({"data": np.ones((2, 3))})


def test_arguments_without_effect_on_the_reference(here):
    net = small()
    exe = graphc.compile(net, threads=3, deterministic=True, pin_variants=True)
    plain = graphc.compile(net)
    x = {"data": np.ones((2, 3))}
    np.testing.assert_array_equal(exe.run(x)["y"], plain.run(x)["y"])
    check_target("reference")


def test_default_passes_are_off_for_training(here):
    write(feed(data=(2, 3)) + layer("Dropout", "data", "d") + fc("d", "y", 2))
    assert len(graphc.compile("net.prototxt").graph.nodes) == 2
    trained = graphc.compile("net.prototxt", train=True)
    assert [n.op.type for n in trained.graph.forward_nodes()][1] == "Dropout"
    asked = graphc.compile("net.prototxt", train=True, passes=["remove_dropout"])
    assert len(list(asked.graph.forward_nodes())) == 2


def test_an_artefact_keeps_what_was_kept(here):
    write(feed(data=(2, 3)) + fc("data", "a", 2) + layer("Dropout", "a", "b") + fc("b", "y", 2))
    graphc.compile("net.prototxt", keep=["a"], train=True, seed=3).save("a.gcz")
    x = {"data": np.ones((2, 3))}
    assert list(graphc.open("a.gcz").run(x)) == ["y", "a"]
    both = graphc.open("a.gcz", keep="b", batch=1)
    assert list(both.run({"data": np.ones((1, 3))})) == ["y", "a", "b"]
    assert both.train and both.seed == 3
    assert set(both.backward({"b": np.ones((1, 2))}).blobs) == {"data", "a", "b"}
    assert set(graphc.open("a.gcz", keep="all").run(x)) == {"data", "a", "b", "y"}
    refused(lambda: graphc.open("a.gcz", keep="c"), "GC-R002")
    refused(lambda: graphc.open("a.gcz", shapes={"data": (1, 4)}), "GC-W001")


def test_records_as_text():
    from graphc.passes.base import Report

    assert format_record(Report("p")) == "p: nothing to do"
    assert format_record(Report("p", True)) == "p: done"
    assert format_record(Report("p", False, ("a", "b"), 0.0)) == "p: a; b"
    told = "p: a (largest output change: 0.00123)"
    assert format_record(Report("p", True, ("a",), 0.00123456)) == told


def test_prepare_and_shape_return_the_graph():
    net = parse_net(feed(data=(2, 3)))
    assert prepare(net) is net and shape(net) is net and net.shaped


# The package itself.


def test_names_come_on_first_use():
    code = (
        "import sys, graphc\n"
        "assert 'numpy' not in sys.modules\n"
        "assert {'load', 'compile', 'Executable'} <= set(dir(graphc))\n"
        "graphc.Graph, graphc.Pass, graphc.Report, graphc.Limits\n"
        "graphc.ops.registry.load_file\n"
        "try: graphc.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
        "from graphc import *\n"
        "assert load is graphc.load\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_images_through_a_small_convolution_net(here):
    """The example of the README, in small."""
    text = feed(data=(1, 3, 8, 8)) + conv("data", "conv1", 4) + fc("conv1", "ip1", 5)
    write(text + layer("Softmax", "ip1", "prob"))
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8))
    exe = graphc.compile(graphc.load("net.prototxt"), keep=["conv1"])
    out = exe.run({"data": x})
    assert out["prob"].sum() == pytest.approx(1) and out["conv1"].shape == (1, 4, 6, 6)
    exe = graphc.compile("net.prototxt", train=True)
    exe.forward({"data": x})
    grads = exe.backward({"prob": np.eye(1, 5)})
    assert grads.params["conv1"][0].shape == (4, 3, 3, 3) and grads.blobs["data"].shape == x.shape
