"""keep: blobs that survive passes and are returned."""

import numpy as np
import pytest
from texts import fc, feed, graph, layer

import graphc
from graphc.errors import GraphError

X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
NET = (
    feed(data=(2, 3)),
    fc("data", "a", 4),
    layer("ReLU", "a", "a", name="r"),
    layer("Dropout", "a", "d"),
    fc("d", "y", 2),
)


def test_keep_pins_a_blob_against_passes():
    net = graph(*NET)
    assert set(graphc.compile(net).run({"data": X})) == {"y"}
    plain = graphc.compile(net, passes=(), keep="all").run({"data": X})
    kept = graphc.compile(net, keep=("a", "d")).run({"data": X})
    assert list(kept) == ["y", "a", "d"]
    for name, array in kept.items():
        np.testing.assert_array_equal(array, plain[name])


def test_keep_all_returns_what_survives():
    net = graph(*NET)
    plain = graphc.compile(net, passes=(), keep="all").run({"data": X})
    assert set(plain) == {"data", "a@a", "a", "d", "y"}
    survived = graphc.compile(net, keep="all").run({"data": X})
    assert set(survived) == {"data", "a@a", "a", "y"}
    for name, array in survived.items():
        np.testing.assert_array_equal(array, plain[name])


@pytest.mark.parametrize("keep", ["a", ["a"], ("a", "a"), {"a"}, iter(["a"]), {"a": 1}])
def test_ways_to_write_keep(keep):
    assert set(graphc.compile(graph(*NET), keep=keep).run({"data": X})) == {"a", "y"}


def test_a_blob_called_all():
    net = graph(feed(data=(2, 3)), layer("TanH", "data", "all"), layer("ReLU", "all", "y"))
    assert set(graphc.compile(net, keep=("all",)).run({"data": X})) == {"all", "y"}


@pytest.mark.parametrize("keep", ["b", ["a", "b"], [5], 5, [None], ["a:weight"], ["r"]])
def test_unknown_names_to_keep(keep):
    with pytest.raises(GraphError, match="GC-R002"):
        graphc.compile(graph(*NET), keep=keep)
    with pytest.raises(GraphError, match="GC-R002"):
        graphc.optimize(graph(*NET), keep=keep)
