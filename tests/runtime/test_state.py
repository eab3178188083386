"""What persists from call to call, what reset brings back, and the loss."""

import numpy as np
import pytest
from texts import fc, feed, graph, layer

import graphc
from graphc.errors import GraphError

X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)


def test_statistics_persist_and_reset_leaves_them():
    net = graph(feed(data=(2, 3)), layer("BatchNorm", "data", "y"), phase="TRAIN")
    exe = graphc.compile(net)
    exe.run({"data": X})
    exe.run({"data": X})
    factor = exe.params["y"][2].copy()
    assert factor == pytest.approx(1.999) and net.params["y"][2] == 0
    exe.reset()
    np.testing.assert_array_equal(exe.params["y"][2], factor)


def recurrent():
    return graph(
        feed(x=(2, 1, 3), cont=(2, 1)),
        layer(
            "LSTM",
            "x cont",
            "y",
            'recurrent_param { num_output: 2 weight_filler { type: "xavier" } }',
        ),
    )


def test_carried_state_goes_on_and_starts_anew(tmp_path):
    feeds = {"x": np.ones((2, 1, 3)), "cont": np.ones((2, 1))}
    exe = graphc.compile(recurrent())
    first, second = exe.run(feeds)["y"], exe.run(feeds)["y"]
    assert not np.array_equal(first, second)
    exe.save(tmp_path / "a.gcz")  # an artefact starts from zero
    opened = graphc.open(tmp_path / "a.gcz")
    np.testing.assert_array_equal(opened.run(feeds)["y"], first)
    exe.reset()
    np.testing.assert_array_equal(exe.run(feeds)["y"], first)
    np.testing.assert_array_equal(exe.run(feeds)["y"], second)
    wide = {"x": np.ones((2, 4, 3)), "cont": np.ones((2, 4))}
    for each in (exe, opened):  # another number of streams starts anew
        np.testing.assert_array_equal(each.run(wide)["y"][:, :1], first)


def dropout():
    return graph(feed(data=(4, 50)), layer("Dropout", "data", "y"), fc("y", "z", 2), phase="TRAIN")


def test_dropout_repeats_for_the_same_seed_after_reset():
    ones = {"data": np.ones((4, 50))}
    exe = graphc.compile(dropout(), train=True, keep=["y"])
    first, second = exe.run(ones)["y"], exe.run(ones)["y"]
    assert not np.array_equal(first, second) and set(np.unique(first)) == {0, 2}
    exe.reset()
    np.testing.assert_array_equal(exe.run(ones)["y"], first)
    same = graphc.compile(dropout(), train=True, keep=["y"])
    np.testing.assert_array_equal(same.run(ones)["y"], first)
    other = graphc.compile(dropout(), train=True, keep=["y"], seed=1)
    assert not np.array_equal(other.run(ones)["y"], first)


def test_gradients_use_the_draws_of_their_forward():
    ones = {"data": np.ones((4, 50))}
    exe = graphc.compile(dropout(), train=True, keep=["y"])
    for _ in range(2):
        mask = exe.run(ones)["y"]
        slope = exe.backward({"z": np.ones((4, 2))}).blobs["data"]
        np.testing.assert_array_equal(slope != 0, mask != 0)
    exe.reset()  # the last forward's draws are still those of its gradient
    np.testing.assert_array_equal(exe.backward({"z": np.ones((4, 2))}).blobs["data"], slope)


def memory():
    fields = "memory_data_param { batch_size: 2 channels: 1 height: 1 width: 3 }"
    return graph(layer("MemoryData", "", "data label", fields, name="mem"), fc("data", "y", 2))


def test_arrays_of_memory_data():
    exe = graphc.compile(memory(), keep="all")
    with pytest.raises(GraphError, match="set_arrays"):
        exe.run()
    data = np.arange(12).reshape(4, 1, 1, 3)
    exe.set_arrays("mem", data, [0, 1, 2, 3])
    runs = [exe.run() for _ in range(3)]
    assert [r["label"].ravel().tolist() for r in runs] == [[0, 1], [2, 3], [0, 1]]
    np.testing.assert_array_equal(runs[1]["data"].ravel(), np.arange(6, 12))
    exe.reset()
    assert exe.run()["label"].ravel().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("layer_name", "data", "label", "code"),
    [
        ("mem", np.zeros((3, 1, 1, 3)), np.zeros(3), "GC-R001"),
        ("mem", np.zeros((2, 1, 1, 4)), np.zeros(2), "GC-R001"),
        ("mem", np.zeros((2, 1, 1, 3)), np.zeros(3), "GC-R001"),
        ("mem", "text", np.zeros(2), "GC-R001"),
        ("mem", np.zeros((2, 1, 1, 3)), [object(), 1], "GC-R001"),
        ("mem", [[1], [1, 2]], np.zeros(2), "GC-R001"),
        ("men", np.zeros((2, 1, 1, 3)), np.zeros(2), "GC-R002"),
        ("y", np.zeros((2, 1, 1, 3)), np.zeros(2), "GC-R003"),
    ],
)
def test_wrong_arrays(layer_name, data, label, code):
    exe = graphc.compile(memory())
    exe.set_arrays("mem", np.ones((2, 1, 1, 3)), np.zeros(2))
    before = exe.run()["y"]
    with pytest.raises(GraphError) as caught:
        exe.set_arrays(layer_name, data, label)
    assert caught.value.code == code
    if layer_name != "men":
        assert caught.value.layer == layer_name
    np.testing.assert_array_equal(exe.run()["y"], before)


def test_a_closed_executable_opens_its_sources_anew():
    exe = graphc.compile(memory())
    with exe:
        exe.set_arrays("mem", np.zeros((2, 1, 1, 3)), np.zeros(2))
        exe.run()
    exe.close()
    with pytest.raises(GraphError, match="set_arrays"):
        exe.run()
    exe.set_arrays("mem", np.zeros((2, 1, 1, 3)), np.zeros(2))
    assert exe.run()["y"].shape == (2, 2)
