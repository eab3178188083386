"""Weights bound by layer name: repeated names, sharing, waiting for shapes, all or nothing."""

import numpy as np
import pytest
from texts import fc, feed, graph, layer

from graphc.driver import prepare
from graphc.errors import GraphError
from graphc.ir.bind import LoadReport, bind
from graphc.ir.infer import infer


def chain(shaped=True):
    return graph(feed(data=(2, 3)), fc("data", "a", 4), fc("a", "b", 2), shaped=shaped)


def blobs(outputs, inputs, start=0):
    weight = np.arange(start, start + outputs * inputs, dtype=np.float64)
    return [weight.reshape(outputs, inputs), np.full(outputs, float(start))]


def both():
    return {"a": blobs(4, 3), "b": blobs(2, 4, 100)}


def test_report():
    report = bind(chain(), {"a": blobs(4, 3), "other": [np.zeros(3)]}, strict=False)
    assert (report.loaded, report.missing, report.unused) == (["a"], ["b"], ["other"])
    assert str(report) == "weights: 1 layers loaded, 1 missing (b), 1 unused (other)"
    many = LoadReport(missing=[f"l{i}" for i in range(7)])
    assert str(many) == "weights: 0 layers loaded, 7 missing (l0, l1, l2, l3, l4, ...)"


def test_arrays_are_copied():
    given = {"a": [np.zeros((4, 3), np.float32), np.zeros(4, np.float32)], "b": blobs(2, 4)}
    net = chain()
    bind(net, given)
    net.params["a"][0][...] = 1
    assert not given["a"][0].any()
    given["a"][1][...] = 1
    assert not net.params["a"][1].any()
    assert all(w.flags.writeable and w.dtype == np.float32 for w in net.weights.values())


def test_legacy_shapes_fit_right_aligned():
    net = chain()
    legacy = [blobs(4, 3)[0].reshape(1, 1, 4, 3), np.arange(4.0).reshape(1, 1, 1, 4)]
    bind(net, {"a": legacy, "b": blobs(2, 4)})
    np.testing.assert_array_equal(net.params["a"][0], legacy[0][0, 0])
    np.testing.assert_array_equal(net.params["a"][1], legacy[1][0, 0, 0])


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        ({"a": blobs(4, 3)[:1], "b": blobs(2, 4)}, "GC-W001", "has 1 blobs, the layer 2"),
        ({"a": [*blobs(4, 3), np.zeros(1)], "b": blobs(2, 4)}, "GC-W001", "3 blobs"),
        ({"a": [], "b": blobs(2, 4)}, "GC-W001", "0 blobs"),
        ({"a": blobs(4, 3), "b": blobs(4, 2)}, "GC-W001", "(4, 2)"),
        (
            {"a": blobs(4, 3), "b": [blobs(2, 4)[0].reshape(1, 2, 4), np.zeros(2)]},
            "GC-W001",
            "1, 2",
        ),
        ({"a": blobs(4, 3)}, "GC-W002", "b"),
        ({"c": blobs(4, 3)}, "GC-W002", "2 layers"),
    ],
)
def test_what_does_not_fit_changes_nothing(given, code, told):
    net = chain()
    before = {layer: [a.copy() for a in arrays] for layer, arrays in net.params.items()}
    with pytest.raises(GraphError) as caught:
        bind(net, given, source="w.caffemodel")
    assert caught.value.code == code and told in caught.value.message
    assert "w.caffemodel" in caught.value.message
    for name, arrays in before.items():
        for old, new in zip(arrays, net.params[name], strict=True):
            np.testing.assert_array_equal(old, new)


def test_of_layers_of_one_name_the_first_gets_the_weights():
    net = graph(
        feed(data=(2, 3)),
        layer("TanH", "data", "t", name="x"),
        fc("t", "a", 3, name="x"),
        fc("a", "b", 3, name="x"),
    )
    bind(net, {"x": blobs(3, 3, 5)})
    first, second = net.nodes[2:]
    assert net.weight(first.params["weight"])[0, 0] == 5
    assert abs(net.weight(second.params["weight"])).max() < 5
    assert net.params["x"][0][0, 0] == 5


def shared():
    named = 'param { name: "w" } param { name: "b" }'
    return graph(feed(data=(2, 3)), fc("data", "a", 3, named), fc("a", "b", 3, named))


def test_a_layer_that_shares_all_may_be_absent_or_empty():
    for given in ({}, {"b": []}):
        net = shared()
        report = bind(net, {"a": blobs(3, 3, 7)} | given)
        assert net.params["b"][0][0, 0] == 7 and "a" in report.loaded


def test_a_layer_that_shares_part_comes_with_its_own_or_all():
    own = 'param { name: "w" } param { name: "%s" }'
    for given in ([np.ones(3)], [blobs(3, 3, 9)[0], np.ones(3)]):
        net = graph(feed(data=(2, 3)), fc("data", "a", 3, own % "b1"), fc("a", "b", 3, own % "b2"))
        bind(net, {"a": blobs(3, 3, 9), "b": given})
        assert (net.params["b"][1] == 1).all() and net.params["b"][0][0, 0] == 9


def test_weights_wait_for_shapes():
    net = chain(shaped=False)
    report = bind(net, both(), source="w")
    assert report.waiting == ["a", "b"] and not report.loaded
    assert str(report) == "weights: 2 layers read, bound when the shapes are known"
    prepare(net)
    assert not net.pending and net.params["b"][0][0, 0] == 100
    assert "weights: 2 layers loaded" in net.notes


@pytest.mark.parametrize(
    ("given", "strict", "code"),
    [
        ({"a": blobs(4, 3)}, True, "GC-W002"),
        ({"a": blobs(4, 3)}, False, None),
        ({"a": blobs(3, 4), "b": blobs(2, 4)}, False, "GC-W001"),
    ],
)
def test_waiting_weights_are_checked_as_strictly(given, strict, code):
    net = chain(shaped=False)
    bind(net, given, strict=strict)
    if code is None:
        prepare(net)
        assert "weights: 1 layers loaded, 1 missing (b)" in net.notes
        return
    with pytest.raises(GraphError, match=code):
        prepare(net)
    assert sorted(net.pending) == sorted(given) and not net.shaped
    bind(net, both())
    infer(net)
    assert net.params["a"][0][0, 1] == 1


def test_parameters_of_an_unshaped_net_are_refused():
    net = chain(shaped=False)
    with pytest.raises(GraphError, match="GC-S004"):
        _ = net.params


def test_params_cannot_be_replaced_by_mistake():
    net = chain()
    with pytest.raises(TypeError):
        net.params["a"][0] = np.zeros((4, 3))  # would change nothing
    net.params["a"][0][...] = 3
    assert (net.params["a"][0] == 3).all()
