"""bypass, replace_uses and erase keep names, producers and weights in order."""

from dataclasses import replace

import numpy as np
import pytest
from texts import fc, feed, graph, layer

from graphc.ir.edit import (
    Replacement,
    bypass,
    bypass_all,
    erase,
    overwritten_inputs,
    replace_uses,
    set_params,
    take_over,
)
from graphc.ir.infer import infer
from graphc.ir.names import Names
from graphc.ir.verify import verify

TANH = layer("TanH", "b", "y", name="end")


def same(bottom, top, name="same", more=""):
    """A layer that computes nothing."""
    return layer("Power", bottom, top, more, name)


def drop(net, name="same", pinned=()):
    node = net.node(name)
    done = bypass(net, node, node.outs["y"], node.ins["x"], pinned)
    verify(net, 2)
    assert (node in net.nodes) is not done
    return done


def blobs(net):
    return [v.name for n in net.nodes for v in n.outs.values()]


def test_readers_take_the_bottom():
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), same("a", "b"), TANH)
    assert drop(net) and blobs(net) == ["data", "a", "y"]
    assert net.node("end").ins["x"] is net.node("a").outs["y"]


def test_an_output_keeps_its_name():
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), same("a", "b"))
    assert drop(net) and blobs(net) == ["data", "b"]
    assert net.outputs == [net.node("a").outs["y"]]


def test_an_in_place_blob_keeps_its_name():
    net = graph(
        feed(data=(2, 3)), fc("data", "a", 3), same("a", "a"), layer("ReLU", "a", "a", name="r")
    )
    assert blobs(net) == ["data", "a@a", "a@same", "a"]
    assert drop(net) and blobs(net) == ["data", "a@a", "a"]
    assert drop(graph(feed(data=(2, 3)), same("data", "data"), layer("TanH", "data", "y")))


def test_in_place_on_a_net_input():
    net = graph(feed(data=(2, 3)), same("data", "data"), layer("TanH", "data", "y", name="end"))
    assert blobs(net) == ["data@in", "data", "y"]
    assert drop(net) and blobs(net) == ["data", "y"]


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        ((same("data", "b"),), ()),  # input and output
        ((fc("data", "a", 3), same("a", "b"), TANH), ("a", "b")),
        ((fc("data", "a", 3), same("a", "a"), layer("TanH", "a", "y")), ("a@a",)),
        ((same("data", "data"), layer("TanH", "data", "y")), ("data@in",)),
        ((fc("data", "a", 3), same("a", "b", more="loss_weight: 2"), TANH), ()),
        ((fc("data", "a", 3), same("a", "b", more="propagate_down: false"), TANH), ()),
    ],
)
def test_nothing_is_lost(text, pinned):
    net = graph(feed(data=(2, 3)), *text)
    before = blobs(net)
    assert not drop(net, pinned=pinned) and blobs(net) == before


def test_a_loss_weight_of_nought_is_none():
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), same("a", "b", more="loss_weight: 0"), TANH)
    assert drop(net)


def test_one_top_of_several_stays():
    net = graph(feed(data=(2, 3)), layer("Split", "data", "a b", name="same"), TANH)
    node = net.node("same")
    assert not bypass(net, node, node.outs["y1"], node.ins["x"]) and node in net.nodes


@pytest.mark.parametrize("backwards", [False, True])
def test_a_chain_goes_at_once(backwards):
    count = 6
    text = [same(f"a{i}" if i else "data", f"a{i + 1}", f"s{i}") for i in range(count)]
    net = graph(feed(data=(2, 3)), *text, layer("TanH", f"a{count}", "y"))
    wanted = [(n, n.outs["y"], n.ins["x"]) for n in net.nodes[1 : count + 1]]
    gone = bypass_all(net, wanted[::-1] if backwards else wanted, ())
    assert len(gone) == count and blobs(net) == ["data", "y"]
    verify(net, 2)


def test_of_two_names_needed_in_a_chain_both_survive():
    text = [same(f"a{i}" if i else "data", f"a{i + 1}", f"s{i}") for i in range(4)]
    net = graph(feed(data=(2, 3)), *text)
    wanted = [(n, n.outs["y"], n.ins["x"]) for n in net.nodes[1:]]
    bypass_all(net, wanted, ("a2",))
    assert blobs(net) == ["data", "a2", "a4"]
    verify(net, 2)


def test_replace_uses_follows_chains():
    net = graph(feed(a=(2, 3), b=(2, 3), c=(2, 3)), layer("TanH", "a", "y"))
    a, b, c = net.inputs
    replace_uses(net, {a: b, b: c})
    assert net.node("y").ins["x"] is c
    assert [v.name for v in net.outputs] == ["c", "c", "y"]


def test_erase_drops_weights():
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), fc("data", "b", 3))
    assert len(net.params) == 2
    erase(net, {net.node("a")})
    net.outputs = [v for v in net.outputs if v.name == "b"]
    assert sorted(net.weights) == ["b:bias", "b:weight"]
    verify(net, 2)


def test_a_view_inherits_the_parameter_of_an_erased_owner():
    named = 'param { name: "w" share_mode: PERMISSIVE lr_mult: 0.5 } param { }'
    net = graph(
        feed(data=(2, 3), more=(2, 6)),
        fc("data", "a", 4, named),
        fc("more", "b", 2, named),
        fc("more", "c", 2, named),
        fc("data", "d", 4, named),
    )
    weight = net.params["a"][0].copy()
    dead = {net.node("a"), net.node("d")}
    net.outputs = [v for v in net.outputs if v.producer not in dead]
    erase(net, dead)
    verify(net, 2)
    b, c = (net.node(name).params["weight"] for name in "bc")
    assert b.view_of is None and c.storage is b and b.lr_mult == 0.5
    np.testing.assert_array_equal(net.params["c"][0], weight.reshape(2, 6))
    infer(net, batch=5)
    verify(net, 2)
    net.params["c"][0][...] = 8
    assert (net.params["b"][0] == 8).all()


# Tops that equal anything else.


def test_several_tops_go_together_or_not_at_all():
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), layer("Split", "a", "b c", name="same"),
                layer("Eltwise", "b c", "y"))  # fmt: skip
    node = net.node("same")
    equals = dict.fromkeys(node.outs.values(), node.ins["x"])
    for pinned, done in ((("b", "c"), False), (("a", "b"), False), (("c",), True)):
        found = Replacement(net, pinned)
        assert found.drop(node, equals) is done
    assert found.apply() == [node] and blobs(net) == ["data", "c", "y"]
    verify(net, 2)


def test_an_equal_need_not_be_a_bottom():
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), fc("data", "b", 3, name="same"),
                layer("TanH", "b", "y", name="end"), layer("TanH", "a", "z"))  # fmt: skip
    found = Replacement(net)
    twin, node = net.node("a"), net.node("same")
    assert found.drop(node, {node.outs["y"]: twin.outs["y"]})
    assert found.end(node.outs["y"]) is twin.outs["y"]
    assert found.apply() == [node] and net.node("end").ins["x"] is twin.outs["y"]
    assert list(net.params) == ["a"]
    verify(net, 2)


def test_no_output_gets_a_reader():
    """In a prototxt it would be none then."""
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), same("a", "b"), layer("TanH", "a", "y"))
    assert [v.name for v in net.outputs] == ["b", "y"] and not drop(net)
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), fc("data", "b", 3, name="same"),
                layer("TanH", "b", "y", name="end"))  # fmt: skip
    found = Replacement(net)
    assert not found.drop(net.node("same"), {net.node("same").outs["y"]: net.node("a").outs["y"]})
    # two that nobody reads may be one only if one name will do
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), fc("data", "b", 3, name="same"))
    found = Replacement(net)
    assert not found.drop(net.node("same"), {net.node("same").outs["y"]: net.node("a").outs["y"]})


def test_an_output_that_was_read_before_may_be_read():
    net = graph(
        feed(data=(2, 3)), layer("TanH", "data", "a", "loss_weight: 1"), same("a", "b"), TANH
    )
    assert [v.name for v in net.outputs] == ["a", "y"]
    assert drop(net) and blobs(net) == ["data", "a", "y"]


def test_the_name_of_an_input_is_nobody_elses():
    net = graph(feed(data=(2, 3), more=(2, 3)), layer("TanH", "more", "a"),
                layer("TanH", "data", "data", name="same"), TANH.replace('"b"', '"a"'))  # fmt: skip
    found, node = Replacement(net, ("data",)), net.node("same")
    assert not found.drop(node, {node.outs["y"]: net.node("a").outs["y"]})


@pytest.mark.parametrize("late", [True, False])
def test_an_input_is_not_read_after_it_was_overwritten(late):
    """In a prototxt there would then be none of that name."""
    over, end = layer("ReLU", "data", "data", name="r"), layer("TanH", "b", "y", name="end")
    net = graph(feed(data=(2, 3)), same("data", "b"), *((over, end) if late else (end, over)))
    assert blobs(net)[0] == "data@in" and drop(net) is not late
    assert overwritten_inputs(net) == {net.inputs[0]: net.nodes.index(net.node("r"))}


@pytest.mark.parametrize(("needed", "name"), [(("a@t",), "a@t"), ((), "a@a+1")])
def test_take_over(needed, name):
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), layer("TanH", "a", "a", name="t"),
                layer("ReLU", "a", "a", name="r"))  # fmt: skip
    maker, value = net.node("a"), net.node("t").outs["y"]
    take_over(maker, "y", value, needed, {"a@a", "a@t", "a"})
    assert maker.outs["y"] is value and value.producer is maker and value.name == name
    erase(net, {net.node("t")})
    verify(net, 2)


def test_set_params():
    net = graph(feed(data=(2, 3)), fc("data", "y", 4, field="bias_term: false"))
    node = net.node("y")
    node.attrs = replace(node.attrs, bias_term=True)
    arrays = {"weight": np.ones((4, 3), np.float32), "bias": np.zeros(4, np.float32)}
    weight = node.params["weight"]
    set_params(net, Names.of(net), node, arrays)
    verify(net, 2)
    assert node.params["weight"] is weight and list(node.params) == ["weight", "bias"]
    assert (net.params["y"][0] == 1).all() and node.params["bias"].name == "y:bias"
