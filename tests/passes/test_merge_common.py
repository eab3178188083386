"""merge_common: before and after in the IR's text form, and the same numbers."""

import numpy as np
import pytest
from passes.before_after import check
from passes.ir_text import conv, feed, net, node, norm, one
from texts import fc as fc_layer
from texts import feed as input_layer
from texts import graph, layer

import graphc
from graphc.passes.merge_common import MergeCommon

X, Y = (2, 4, 5, 5), (2, 4, 3, 3)
IN = feed(*X)
MERGE = MergeCommon()
FILLED = np.random.default_rng(0).normal(size=(4, 4, 3, 3))


def merges(before, after, *told, pinned=(), **words):
    assert check(MERGE, before, after, *pinned, **words).detail == told


def stays(text, **words):
    assert check(MERGE, text, text, **words).detail == ()


def add(ends, name="z"):
    first, second, top = ends.split()
    return node("Eltwise", name, {"x0": first, "x1": second}, {"y": (top, X)})


def test_layers_without_parameters():
    pair = (one("TanH", "a", "data a", X), one("TanH", "b", "data b", X))
    merges(net(IN, *pair, add("a b y")), net(IN, pair[0], add("a a y")), "b is a (TanH)")


def test_a_whole_chain():
    def branch(i):
        return one("TanH", f"t{i}", f"data t{i}", X) + one("ReLU", f"r{i}", f"t{i} r{i}", X)

    before = net(IN, branch(0), branch(1), branch(2), add("r0 r1 s"), add("s r2 y"))
    after = net(IN, branch(0), add("r0 r0 s"), add("s r0 y"))
    told = ("t1 is t0 (TanH)", "r1 is r0 (ReLU)", "t2 is t0 (TanH)", "r2 is r0 (ReLU)")
    merges(before, after, *told)


def two(first="a", second="b"):
    return conv("c", f"data {first}", X, 4) + conv("d", f"data {second}", X, 4)


def test_equal_parameters():
    weights = {"c:weight": FILLED, "d:weight": FILLED, "c:bias": 0, "d:bias": 0}
    join = node("Eltwise", "z", {"x0": "a", "x1": "b"}, {"y": ("y", Y)})
    after = net(IN, conv("c", "data a", X, 4), join.replace('"b"', '"a"'))
    merges(net(IN, two(), join), after, "d is c (Convolution)", weights=weights)
    stays(net(IN, two(), join), weights=weights | {"d:bias": 1e-6})
    stays(net(IN, two(), join))


def test_what_a_constant_filler_made_is_not_taken_for_equal():
    join = node("Eltwise", "z", {"x0": "a", "x1": "b"}, {"y": ("y", Y)})
    weights = {"c:weight": 0.5, "d:weight": 0.5, "c:bias": 0, "d:bias": 0}
    stays(net(IN, two(), join), weights=weights)


@pytest.mark.parametrize("train", [False, True])
def test_shared_parameters(train):
    second = conv("d", "data b", X, 4)
    for role in ("weight", "bias"):
        start = second.index(f'"d:{role}"')
        stop = second.index("\n", start)
        second = second[:start] + f'"c:{role}"' + second[stop:]
    join = node("Eltwise", "z", {"x0": "a", "x1": "b"}, {"y": ("y", Y)})
    after = net(IN, conv("c", "data a", X, 4), join.replace('"b"', '"a"'))
    words = {"weights": {"c:weight": 1}, "train": train}
    first = conv("c", "data a", X, 4)
    merges(net(IN, first, second, join), after, "d is c (Convolution)", **words)


def test_with_gradients_equal_parameters_are_two():
    weights = {"c:weight": FILLED, "d:weight": FILLED, "c:bias": 0, "d:bias": 0}
    join = node("Eltwise", "z", {"x0": "a", "x1": "b"}, {"y": ("y", Y)})
    stays(net(IN, two(), join), weights=weights, train=True)


@pytest.mark.parametrize(
    "second",
    [
        one("Power", "b", "data b", X, scale=2.0000002),
        one("TanH", "b", "data b", X),
        one("Power", "b", "other b", X, scale=2.0),
        one("Power", "b", "data b", X, header="phase=TRAIN", scale=2.0),
        one("Power", "b", "data b", X, more="  loss y 1.0", scale=2.0),
        one("Power", "b", "data b", X, more="  propagate (false)", scale=2.0),
    ],
)
def test_what_differs_stays(second):
    first = one("Power", "a", "data a", X, scale=2.0)
    stays(net(IN, feed(*X, name="other", layer="in2"), first, second, add("a b y")))


def test_effects_stay():
    drops = [one("Dropout", n, f"data {n}", X, header="phase=TRAIN") for n in "ab"]
    stays(net(IN, *drops, add("a b y")))
    own = {"use_global_stats": "false"}
    stays(net(IN, norm("a", "data a", X, own), norm("b", "data b", X, own), add("a b y")))
    silent = [node("Silence", n, {"x0": "data"}, {}) for n in "ab"]
    stays(net(IN, *silent, one("TanH", "t", "data y", X)))
    stays(net(IN, feed(*X, name="b", layer="in"), add("data b y")))


def test_several_tops():
    def cut(name):
        tops = {f"y{k}": (f"{name}{k}", (2, 2, 5, 5)) for k in range(2)}
        return node("Slice", name, {"x": "data"}, tops)

    def join(a, b):
        return node("Concat", "j", {"x0": a, "x1": b}, {"y": ("y", X)})

    before = net(IN, cut("a"), cut("b"), join("a0", "b1"))
    merges(before, net(IN, cut("a"), join("a0", "a1")), "b is a (Slice)")


def test_names_that_are_needed():
    pair = (one("TanH", "a", "data a", X), one("TanH", "b", "data b", X))
    before = net(IN, *pair, one("ReLU", "r", "b y", X))
    after = net(IN, one("TanH", "a", "data b", X), one("ReLU", "r", "b y", X))
    merges(before, after, "b is a (TanH)", pinned=("b",))
    merges(before, before, "b stays: it is a, but a name needs it", pinned=("a", "b"))


@pytest.mark.parametrize("read", ["a", "b"])
def test_an_output_must_not_get_a_reader(read):
    """In a prototxt a blob that a layer reads is no output."""
    pair = (one("TanH", "a", "data a", X), one("TanH", "b", "data b", X))
    other = "b" if read == "a" else "a"
    text = net(IN, *pair, one("ReLU", "r", f"{read} y", X), outputs=f"{other} y")
    merges(text, text, "b stays: it is a, but a name needs it")


def test_numbers_and_later_weights():
    text = "".join(
        fc_layer("data", name, 3, 'param { name: "w" } param { name: "b" }') for name in "ab"
    )
    net_ = graph(input_layer(data=(2, 3)), text, layer("Eltwise", "a b", "y"))
    exe = graphc.compile(net_)
    assert [n.name for n in exe.graph.nodes] == ["in", "a", "y"]
    exe.params["a"][0][...] = np.eye(3)
    exe.params["a"][1][...] = 1
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(exe.run({"data": x})["y"], 2 * (x + 1))
