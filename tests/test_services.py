"""Inputs on which passes are measured, and whether they are measured at all."""

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer, softmax_loss

from graphc.driver import assemble, optimize
from graphc.errors import GraphError
from graphc.services import Services, needs_source, sample_inputs, should_measure

CROP = layer("Crop", "c data", "y")
ARGMAX = layer("ArgMax", "y", "best")


@pytest.mark.parametrize(
    ("net", "zero"),
    [
        ((feed(data=(2, 3), label=(2,)), fc("data", "y", 3), softmax_loss("y")), {"label"}),
        (
            (
                feed(data=(2, 3), label=(2, 1, 1, 1)),
                fc("data", "y", 3),
                layer("Flatten", "label", "l", "flatten_param { axis: 0 }"),
                softmax_loss("y", "l"),
                layer("Accuracy", "y label", "acc"),
            ),
            {"label"},
        ),
        ((feed(data=(2, 3)), fc("data", "y", 3), ARGMAX), set()),
        ((feed(data=(2, 3)), layer("ArgMax", "data", "best")), set()),
        ((feed(data=(2, 3, 4, 4)), conv("data", "c", 2, 1), CROP), set()),
        ((feed(data=(2, 3), unread=(2,)), fc("data", "y", 3)), set()),
        (
            (
                feed(data=(2, 3)),
                layer("Embed", "data", "y", "embed_param { input_dim: 2 num_output: 2 }"),
            ),
            {"data"},
        ),
        (
            (
                feed(x=(3, 2, 4), cont=(3, 2)),
                layer("LSTM", "x cont", "y", "recurrent_param { num_output: 2 }"),
            ),
            {"cont"},
        ),
    ],
)
def test_labels_and_indices_are_zero(net, zero):
    feeds = sample_inputs(graph(*net))
    assert {name for name, array in feeds.items() if not array.any()} == zero
    assert all(abs(array).max() <= 1 for array in feeds.values())


def test_calibration_replaces_noise():
    net = graph(feed(data=(2, 3), more=(1, 3)), fc("data", "y", 3))
    feeds = sample_inputs(net, {"data": "mine"})
    assert feeds["data"] == "mine" and feeds["more"].shape == (1, 3)


def test_should_measure():
    small = graph(feed(data=(2, 3)), fc("data", "y", 3))
    large = graph(feed(data=(1, 64, 128, 128)), conv("data", "y", 64))
    stored = graph(layer("DummyData", "", "d", "dummy_data_param { shape { dim: 1 } }"))
    written = graph(
        feed(data=(2, 3)),
        layer("HDF5Output", "data data", "", 'hdf5_output_param {file_name: "x"}'),
    )
    assert needs_source(stored) and not needs_source(small)
    assert should_measure(small, None, None, None)
    for net in (large, stored, written):
        assert not should_measure(net, None, None, None)
        assert should_measure(net, True, None, None)
        assert should_measure(net, None, {"data": 1}, None)
        assert should_measure(net, None, None, 0.5)
    assert not should_measure(small, False, {"data": 1}, None)
    with pytest.raises(GraphError, match="GC-R002"):
        should_measure(small, False, None, 0.5)


@pytest.mark.parametrize(
    ("calibration", "told"),
    [
        ([np.ones(3)], "calibration is a list"),
        ({"data": "x"}, "holds <U1, not numbers"),
        ({"data": np.ones((0, 3))}, "there is no sample"),
        ({"data": np.full((2, 3), np.nan)}, "not finite"),
    ],
)
def test_calibration_inputs_are_checked_first(calibration, told):
    net = graph(feed(data=(2, 3)), fc("data", "y", 3))
    with pytest.raises(GraphError, match="GC-R001") as caught:
        optimize(net, ["remove_dropout"], calibration=calibration)
    assert told in caught.value.message


def test_networks_are_timed_by_turns():
    small = graph(feed(data=(1, 4)), fc("data", "y", 3))
    large = graph(feed(x=(1, 3, 64, 64)), conv("x", "y", 256, 5))
    ctx = Services(assemble, calibration={"data": np.ones((1, 4), np.float32)})
    times = ctx.times_us([small, large, small])
    assert len(times) == 3 and all(0 < us < float("inf") for us in times)
    assert ctx.times_us([]) == []
