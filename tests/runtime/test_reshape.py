"""Inputs of other shapes than before, empty ones, and runs at once."""

import threading

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer, softmax_loss

import graphc
from graphc.errors import GraphError
from graphc.ir.text import print_graph
from graphc.ir.verify import verify

IMAGES = (
    feed(data=(2, 3, 8, 8)),
    conv("data", "c", 4),
    layer("BatchNorm", "c", "c", name="bn"),
    layer("ReLU", "c", "c", name="r"),
)


def images(*shape):
    return np.random.default_rng(0).normal(size=shape)


def test_batch_and_size_may_change():
    net = graph(*IMAGES, phase="TRAIN")
    exe = graphc.compile(net, train=True, passes=())
    for shape in ((2, 3, 8, 8), (5, 3, 8, 8), (1, 3, 11, 6), (2, 3, 8, 8)):
        out = exe.run({"data": images(*shape)})["c"]
        assert out.shape == (shape[0], 4, shape[2] - 2, shape[3] - 2)
        assert exe.inputs == {"data": shape} and exe.outputs == {"c": out.shape}
        grads = exe.backward({"c": np.ones_like(out)})
        assert grads.blobs["data"].shape == shape
        assert grads.params["c"][0].shape == (4, 3, 3, 3)
        verify(exe.graph, 2)  # gradients, seeds and aux values have followed
    fresh = graphc.compile(graph(*IMAGES), batch=5, passes=())
    np.testing.assert_array_equal(fresh.params["c"][0], exe.params["c"][0])


def test_sums_of_gradients_follow():
    net = graph(
        feed(data=(2, 3, 8, 8)),
        conv("data", "c", 4),
        layer("TanH", "c", "t"),
        layer("Eltwise", "c t t", "y"),
    )
    exe = graphc.compile(net, train=True)
    exe.run({"data": images(3, 3, 9, 9)})
    verify(exe.graph, 2)
    assert exe.backward({"y": np.ones((3, 4, 7, 7))}).blobs["data"].shape == (3, 3, 9, 9)


def test_a_layer_with_inner_gradients_follows():
    text = layer("LSTM", "x cont", "y", "recurrent_param { num_output: 2 }")
    exe = graphc.compile(graph(feed(x=(3, 2, 4), cont=(3, 2)), text), train=True)
    for t, n in ((3, 2), (5, 4), (1, 1), (4, 3)):
        out = exe.run({"x": np.ones((t, n, 4)), "cont": np.ones((t, n))})["y"]
        assert exe.backward({"y": out}).blobs["x"].shape == (t, n, 4)
        verify(exe.graph, 2)


@pytest.mark.parametrize(
    "shape", [(2, 3, 9, 9), (2, 4, 8, 8), (2, 3, 2, 2), (2, 3, 8), (3, 8, 8), (2, 3, 8, 8, 1)]
)
def test_a_shape_that_does_not_fit_changes_nothing(shape):
    exe = graphc.compile(graph(*IMAGES, fc("c", "y", 5)), train=True)
    x = images(2, 3, 8, 8)
    before = exe.run({"data": x})["y"], print_graph(exe.graph)
    with pytest.raises(GraphError, match="GC-R001") as caught:
        exe.run({"data": np.zeros(shape)})
    assert str(shape) in str(caught.value) and "(2, 3, 8, 8)" in str(caught.value)
    assert exe.inputs == {"data": (2, 3, 8, 8)} and print_graph(exe.graph) == before[1]
    assert exe.backward({"y": np.ones((2, 5))}).blobs["data"].any()  # of the run before
    np.testing.assert_array_equal(exe.run({"data": x})["y"], before[0])


def test_one_of_two_inputs_may_not_change_alone():
    net = graph(feed(data=(2, 3), label=(2,)), fc("data", "y", 3), softmax_loss("y"))
    exe = graphc.compile(net)
    with pytest.raises(GraphError, match="GC-R001"):
        exe.run({"data": np.zeros((5, 3)), "label": np.zeros(2)})
    exe.run({"data": np.zeros((5, 3)), "label": np.zeros(5)})


def test_data_layers_beside_inputs_are_not_opened_again():
    fields = "memory_data_param { batch_size: 2 channels: 3 height: 1 width: 1 }"
    net = graph(
        layer("MemoryData", "", "m label", fields, name="mem"),
        feed(data=(2, 3, 1, 1)),
        layer("Concat", "m data", "y", "concat_param { axis: 2 }"),
    )
    exe = graphc.compile(net)
    exe.set_arrays("mem", np.ones((2, 3, 1, 1)), np.zeros(2))
    assert exe.run({"data": np.zeros((2, 3, 4, 1))})["y"].shape == (2, 3, 5, 1)
    assert exe.run({"data": np.zeros((2, 3, 2, 1))})["y"].shape == (2, 3, 3, 1)


@pytest.mark.parametrize("train", [False, True])
def test_empty_batches(train):
    net = graph(*IMAGES, fc("c", "y", 5), phase="TRAIN" if train else "TEST")
    exe = graphc.compile(net, train=train)
    out = exe.run({"data": np.zeros((0, 3, 8, 8))})["y"]
    assert out.shape == (0, 5)
    if train:
        grads = exe.backward({"y": out})
        assert grads.blobs["data"].shape == (0, 3, 8, 8) and not grads.params["c"][0].any()
    assert exe.run({"data": np.zeros((1, 3, 8, 8))})["y"].shape == (1, 5)


def test_nan_goes_through():
    exe = graphc.compile(graph(feed(data=(2, 3)), fc("data", "y", 4)), train=True)
    x = np.ones((2, 3))
    x[0, 1] = np.nan
    out = exe.run({"data": x})["y"]
    assert np.isnan(out[0]).all() and np.isfinite(out[1]).all()
    assert np.isnan(exe.backward({"y": out}).blobs["data"][0]).all()


def test_a_failing_run_leaves_the_executable_usable():
    net = graph(feed(data=(2, 3), label=(2,)), fc("data", "y", 3), softmax_loss("y"))
    exe = graphc.compile(net, train=True)
    good = {"data": np.ones((2, 3)), "label": [0, 1]}
    before = exe.run(good)["loss"]
    with pytest.raises(GraphError, match="GC-D003") as caught:
        exe.run({"data": np.ones((2, 3)), "label": [0, 7]})
    assert caught.value.layer == "loss"
    for call in (exe.backward, exe.loss):  # half a forward is none
        with pytest.raises(GraphError, match="GC-R003"):
            call()
    np.testing.assert_array_equal(exe.run(good)["loss"], before)


# Threads.


def in_threads(*calls):
    """Run calls at once, many times each; their results, or the error of one."""
    results = [[] for _ in calls]
    errors = []

    def work(call, found):
        try:
            found.extend(call() for _ in range(12))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=a) for a in zip(calls, results, strict=True)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not errors, errors
    return results


def test_one_executable_in_several_threads():
    exe = graphc.compile(graph(*IMAGES, phase="TEST"), train=True)
    shapes = ((2, 3, 8, 8), (1, 3, 12, 9), (3, 3, 5, 5))
    alone = [exe.run({"data": images(*shape)})["c"] for shape in shapes]

    def one(shape):
        return lambda: exe.run({"data": images(*shape)})["c"]

    for found, expected in zip(in_threads(*map(one, shapes)), alone, strict=True):
        for out in found:
            np.testing.assert_array_equal(out, expected)


def test_several_executables_of_one_graph_in_threads():
    net = graph(*IMAGES, phase="TRAIN")
    x = images(2, 3, 8, 8)

    def steps():
        exe = graphc.compile(net, train=True)
        out = [exe.run({"data": x})["c"] for _ in range(3)][-1]
        grads = exe.backward({"c": np.ones_like(out)})
        return out, grads.params["c"][0], exe.params["bn"][0]

    expected = steps()
    for results in in_threads(steps, steps, steps):
        for found in results:
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)
