"""What an executable shares with whom, what it hands out, and what compile leaves alone."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer

import graphc
from graphc.driver import assemble, shape
from graphc.errors import GraphError
from graphc.floats import Floats, as_array
from graphc.ir.clone import clone
from graphc.ir.graph import Graph
from graphc.ir.text import print_graph

X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
NET = (
    feed(data=(2, 3)),
    fc("data", "a", 4),
    layer("ReLU", "a", "a", name="r"),
    layer("Dropout", "a", "d"),
    fc("d", "y", 2),
)


def test_params_of_graph_and_executable_are_apart():
    net = graph(*NET)
    net.params["a"][0][...] = 0.5
    exe = graphc.compile(net)
    assert (exe.params["a"][0] == 0.5).all() and list(exe.params) == list(net.params)
    net.params["a"][0][...] = 7
    assert (exe.params["a"][0] == 0.5).all()
    exe.params["a"][0][...] = 9
    assert (net.params["a"][0] == 7).all()


def test_params_are_float32_writable_and_shared_with_nothing_else():
    exe = graphc.compile(graph(*NET))
    for arrays in exe.params.values():
        assert all(a.dtype == np.float32 and a.flags.writeable for a in arrays)
    assert exe.params["a"][0] is not exe.params["a"][0]
    assert np.shares_memory(exe.params["a"][0], exe.params["a"][0])


def test_a_write_counts_from_the_next_run_on():
    exe = graphc.compile(graph(*NET))
    exe.params["y"][0][...] = 0
    exe.params["y"][1][...] = [1, 2]
    np.testing.assert_array_equal(exe.run({"data": X})["y"], [[1, 2], [1, 2]])


def test_all_layers_that_share_show_the_blob():
    named = 'param { name: "w" } param { name: "b" }'
    exe = graphc.compile(
        graph(feed(data=(2, 3)), fc("data", "a", 3, named), fc("a", "y", 3, named)), train=True
    )
    exe.params["y"][0][...] = np.eye(3)
    exe.params["a"][1][...] = 1
    np.testing.assert_allclose(exe.run({"data": X})["y"], X + 2, rtol=1e-6)
    grads = exe.backward({"y": np.ones((2, 3))}).params
    np.testing.assert_array_equal(grads["a"][0], grads["y"][0])
    np.testing.assert_array_equal(grads["a"][1], [4, 4, 4])


def test_statistics_and_weights_stand_in_caffe_order_carry_does_not_show():
    net = graph(
        feed(x=(3, 2, 4), cont=(3, 2)),
        layer("BatchNorm", "x", "n"),
        layer("LSTM", "n cont", "y", "recurrent_param { num_output: 2 }"),
    )
    exe = graphc.compile(net, train=True)
    assert {k: len(v) for k, v in exe.params.items()} == {"n": 3, "y": 3}
    exe.run({"x": np.ones((3, 2, 4)), "cont": np.ones((3, 2))})
    grads = exe.backward({"y": np.ones((3, 2, 2))})
    assert {k: [g.shape for g in v] for k, v in grads.params.items()} == {
        k: [a.shape for a in v] for k, v in exe.params.items()
    }
    assert not any(g.any() for g in grads.params["n"])


def test_what_is_handed_out_is_the_callers():
    exe = graphc.compile(graph(feed(data=(2, 3)), layer("Split", "data", "a b")), keep="all")
    given = X.copy()
    out = exe.run({"data": given})
    assert all(a.dtype == np.float32 and a.flags.writeable for a in out.values())
    assert not any(np.shares_memory(out["a"], other) for other in (given, out["b"], out["data"]))
    out["a"][...] = 0
    given[...] = 0
    np.testing.assert_array_equal(exe.run({"data": X})["a"], X)


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_runs_without_numpy_give_the_same(target):
    net = graph(
        feed(data=(2, 6)),
        layer("Slice", "data", "a b", "slice_param { axis: 1 }"),
        layer("ReLU", "a", "r"),
        layer("Reduction", "b", "sum"),
        fc("data", "y", 3),
    )
    exe = graphc.compile(net, target=target, keep="all")
    for shape_ in ((2, 6), (3, 6)):
        x = np.random.default_rng(3).normal(size=shape_).astype(np.float32)
        wanted = exe.run({"data": x})
        for given in (Floats.of(x), x, x.astype(float), x.tolist()):
            found = exe.run_held({"data": given})
            assert found.keys() == wanted.keys()
            for name, array in wanted.items():
                held = as_array(found[name])
                assert held.shape == array.shape and held.tobytes() == array.tobytes(), name
            assert exe.run({"data": given})["y"].tobytes() == wanted["y"].tobytes()
    for wrong in ({}, {"data": Floats.of(X[0])}, {"other": Floats.of(X)}, {"data": "x"}):
        with pytest.raises(GraphError, match="GC-R001"):
            exe.run_held(wrong)


def test_the_same_run_gives_the_same_bits():
    exe = graphc.compile(graph(feed(data=(2, 3, 9, 9)), conv("data", "c", 4), fc("c", "y", 5)))
    x = np.random.default_rng(1).normal(size=(2, 3, 9, 9))
    runs = [exe.run({"data": x})["y"].tobytes() for _ in range(3)]
    runs.append(graphc.compile(exe.graph).run({"data": x})["y"].tobytes())
    assert len(set(runs)) == 1


def test_inputs_and_outputs_have_the_names_of_blobs():
    net = graph(feed(data=(2, 3)), layer("ReLU", "data", "data", name="r"), fc("data", "y", 2))
    exe = graphc.compile(net)
    assert exe.inputs == {"data": (2, 3)} and exe.outputs == {"y": (2, 2)}
    exe.run({"data": X[:1]})
    assert exe.inputs == {"data": (1, 3)} and exe.outputs == {"y": (1, 2)}


def test_a_net_of_inputs_alone():
    exe = graphc.compile(graph(feed(data=(2, 3), b=(2,))), train=True)
    assert list(exe.run({"data": X, "b": [1, 2]})) == ["b", "data"]
    grads = exe.backward({"data": X})
    np.testing.assert_array_equal(grads.blobs["data"], X)
    assert grads.params == {} and not grads.blobs["b"].any()


def test_a_net_without_inputs():
    dummy = layer("DummyData", "", "d", "dummy_data_param { shape { dim: 2 dim: 3 } }")
    exe = graphc.compile(graph(dummy, fc("d", "y", 2)), train=True)
    assert exe.inputs == {} and exe.run()["y"].shape == (2, 2)
    assert exe.backward({"y": np.ones((2, 2))}).params["y"][1].tolist() == [2, 2]


def test_a_net_without_outputs():
    exe = graphc.compile(graph(*NET, layer("Silence", "y")), train=True)
    assert exe.run({"data": X}) == {} and exe.outputs == {}
    grads = exe.backward()
    assert exe.loss() == 0 and not grads.params["a"][0].any()
    assert grads.blobs["data"].shape == (2, 3) and not grads.blobs["data"].any()


def test_a_graph_without_layers():
    exe = graphc.compile(Graph(), train=True)
    assert exe.run() == {} and exe.backward().params == {} and exe.params == {}


def test_compile_changes_nothing():
    net = graph(*NET)
    before = print_graph(net), dict(net.weights), list(net.notes), list(net.history)
    for words in ({}, {"train": True, "passes": ["remove_dropout"]}, {"batch": 7, "keep": "all"}):
        exe = graphc.compile(net, **words)
        exe.run({"data": np.ones((5, 3))})
        assert (print_graph(net), dict(net.weights), net.notes, net.history) == before
    assert graphc.compile(net, batch=7).inputs == {"data": (7, 3)}


def test_not_even_when_shapes_were_unknown():
    data = layer("DummyData", "", "d", "dummy_data_param { shape { dim: 2 dim: 3 } }")
    net = graph(data, fc("d", "y", 2))
    assert not net.shaped
    exe = graphc.compile(net, batch=5)
    assert exe.run()["y"].shape == (5, 2) and not net.shaped
    out, _ = graphc.optimize(net)
    assert out.shaped and not net.shaped
    shape(net)
    assert net.shaped and net.params["y"]


def test_an_executables_graph_can_be_compiled_again():
    net = graph(*NET)
    exe = graphc.compile(net, train=True, passes=())
    again = graphc.compile(exe.graph, train=True, passes=())
    assert print_graph(exe.graph) == print_graph(again.graph)
    for each in (exe, again):
        each.run({"data": X})
    seeds = {"y": np.ones((2, 2))}
    a, b = (each.backward(seeds).params["a"][0] for each in (exe, again))
    np.testing.assert_array_equal(a, b)


def test_a_forward_keeps_no_activations_that_nobody_reads():
    text = [layer("TanH", f"b{i - 1}" if i else "data", f"b{i}") for i in range(20)]
    exe = graphc.compile(graph(feed(data=(1, 1 << 17)), *text))
    x = np.zeros((1, 1 << 17), np.float32)
    exe.run({"data": x})
    tracemalloc.start()
    exe.run({"data": x})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * (1 << 20)  # bytes; one activation is 2^20


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_running_an_artefact_imports_neither_protobuf_nor_front_nor_passes(tmp_path, target):
    graphc.compile(graph(*NET), target=target).save(tmp_path / "a.gcz")
    code = (
        "import sys, numpy, graphc\n"
        f"exe = graphc.open({str(tmp_path / 'a.gcz')!r})\n"
        "exe.run({'data': numpy.ones((2, 3))})\n"
        "exe.run({'data': numpy.ones((5, 3))})\n"  # planned anew
        f"assert exe.target == {target!r}\n"
        "rooms = ('google', 'graphc.front', 'graphc.passes')\n"
        "bad = [m for m in sys.modules if m.startswith(rooms)]\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("threads", [0, -1, 1025, 1 << 40, 2.5, True, "2"])
def test_impossible_numbers_of_threads(threads):
    with pytest.raises(GraphError, match=r"GC-R004.*1 to 1024"):
        graphc.compile(graph(*NET), target="cpu", threads=threads)


def test_assemble_takes_the_graph_over():
    net = graph(*NET)
    copy = clone(net)
    exe = assemble(copy, train=True)
    assert exe.graph is copy and copy.grads
