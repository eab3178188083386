"""Versions of in-place blobs, and names that look like them."""

import pytest
from texts import fc, feed, graph, layer

from graphc.errors import GraphError
from graphc.ir.graph import Node, Value
from graphc.ir.names import Names
from graphc.ir.versions import blob_of, first_versions, moved_version, version_of
from graphc.ops.relu import ReLU


def names(net):
    return [v.name for n in net.nodes for v in n.outs.values()]


def test_only_the_last_version_has_the_plain_name():
    net = graph(
        feed(data=(2, 3)),
        layer("TanH", "data", "data", name="t"),
        fc("data", "h", 2),
        layer("ReLU", "h", "h", name="r"),
        layer("Sigmoid", "h", "h", name="s"),
    )
    assert names(net) == ["data@in", "data", "h@h", "h@r", "h"]
    assert [blob_of(v) for n in net.nodes for v in n.outs.values()] == ["data"] * 2 + ["h"] * 3
    first = first_versions(net)
    assert {blob: v.name for blob, v in first.items()} == {"data": "data@in", "h": "h@h"}


def test_layers_of_one_name_make_versions_of_different_names():
    net = graph(
        feed(data=(2, 3)),
        layer("TanH", "data", "h", name="t"),
        *[layer("TanH", "h", "h", name="t") for _ in range(3)],
    )
    assert names(net) == ["data", "h@t", "h@t#2", "h@t#3", "h"]
    assert [blob_of(v) for n in net.nodes for v in n.outs.values()] == ["data"] + ["h"] * 4


@pytest.mark.parametrize(
    "blob", ["a@b", "@", "a@", "#2", "a:b", "x/y", "d(data)", "seed(h)", "h@t"]
)
def test_odd_blob_names_stand_for_themselves(blob):
    net = graph(feed(data=(2, 3)), layer("TanH", "data", blob, name="t2"))
    assert [blob_of(v) for v in net.outputs] == [blob]


@pytest.mark.parametrize("name", ["a:b", "a@b", "a/b", "a#2", "@", "#2", " "])
def test_odd_layer_names_make_versions(name):
    net = graph(feed(data=(2, 3)), fc("data", "h", 2, name=name), layer("ReLU", "h", "h", name="r"))
    first, last = (n.outs["y"] for n in net.nodes[1:])
    assert (first.name, blob_of(first), last.name) == (f"h@{name}", "h", "h")


def test_layers_without_a_name_make_versions():
    text = (
        'layer { type: "TanH" bottom: "data" top: "h" } layer { type: "ReLU" bottom: "h" top: "h" }'
    )
    net = graph(feed(data=(2, 3)), text)
    assert names(net) == ["data", "h@", "h"]
    assert [blob_of(v) for n in net.nodes for v in n.outs.values()] == ["data", "h", "h"]


@pytest.mark.parametrize("blob", ["h@t", "h@t#7"])
def test_a_blob_called_like_a_version_of_its_own_layer_is_refused(blob):
    with pytest.raises(GraphError, match="GC-U001") as caught:
        graph(feed(data=(2, 3)), layer("TanH", "data", blob, name="t"))
    assert caught.value.layer == "t" and "'@t'" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "layer_name", "blob"),
    [
        ("h@t", "t", "h"),
        ("h@t#2", "t", "h"),
        ("h@t#x", "t", ""),
        ("h@t#", "t", ""),
        ("@t", "t", ""),
        ("h@other", "t", ""),
        ("a@t@t", "t", "a@t"),
    ],
)
def test_version_of(name, layer_name, blob):
    assert version_of(name, layer_name) == blob


def test_a_value_without_producer_is_its_own_blob():
    assert blob_of(Value("seed(x)@y")) == "seed(x)@y"
    value = Value("x@y")
    Node(ReLU, "y", None, outs={"y": value})
    assert blob_of(value) == "x"


def test_fresh_names():
    taken = Names(["a", "a#2"])
    assert [taken.fresh("a"), taken.fresh("a"), taken.fresh("b"), taken.fresh("b")] == [
        "a#3",
        "a#4",
        "b",
        "b#2",
    ]
    net = graph(feed(data=(2, 3)), fc("data", "h", 2))
    assert {"data", "h", "h:weight", "h:bias"} <= Names.of(net).taken


def test_versions_made_by_another_layer():
    value = Value("h@t")
    Node(ReLU, "t", None, outs={"y": value})
    assert moved_version(value, "conv", ()) == "h@conv+1"
    assert moved_version(value, "conv", {"h@conv+1", "h@conv+2"}) == "h@conv+3"
    value.name = "h"
    assert moved_version(value, "conv", {"h"}) == "h"
    assert version_of("h@conv+3", "conv") == "h" and version_of("h@conv+x", "conv") == ""
    with pytest.raises(GraphError, match="GC-U001"):
        graph(feed(data=(2, 3)), layer("TanH", "data", "h@t+1", name="t"))
