"""The reference executor: data-dependent extents, and declarations that break their word."""

from dataclasses import dataclass

import numpy as np
import pytest
from texts import fc, feed, graph, layer, softmax_loss

import graphc
from graphc.errors import GraphError
from graphc.ir.op import Effect, Kind, Param
from graphc.ops.spec import Forward, Grad, OpSpec

X = np.arange(12.0).reshape(4, 3)


# Data-dependent extents.


def filtered():
    return graph(
        feed(data=(4, 3), pick=(4, 1)),
        fc("data", "h", 3),
        layer("TanH", "h", "t"),
        layer("Eltwise", "h t", "s"),
        layer("Filter", "s pick", "y"),
        layer("TanH", "y", "z"),
        layer("Eltwise", "y z z", "w", "eltwise_param { operation: PROD }"),
    )


@pytest.mark.parametrize("pick", [[1, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
def test_live_extents(pick):
    exe = graphc.compile(filtered(), train=True, keep=["s", "y", "z"])
    out = exe.run({"data": X / 10, "pick": np.reshape(pick, (4, 1))})
    rows = np.flatnonzero(pick)
    np.testing.assert_array_equal(out["y"], out["s"][rows])
    np.testing.assert_allclose(out["w"], out["y"] * np.tanh(out["y"]) ** 2, rtol=1e-5)
    grads = exe.backward({"w": np.ones((len(rows), 3))})
    assert grads.blobs["y"].shape == (len(rows), 3) and grads.blobs["s"].shape == (4, 3)
    assert (grads.blobs["s"].any(1) == np.array(pick, bool)).all()
    with pytest.raises(GraphError, match="GC-R001"):
        exe.backward({"w": np.ones((5, 3))})


# Layers of a user's that break their word.


@dataclass(frozen=True)
class OddAttrs:
    way: str = ""


class Odd(OpSpec):
    """y = 2 x, and the ways not to compute it."""

    type, Attrs = "", OddAttrs

    @staticmethod
    def infer(a, s):
        return {"y": s.ins["x"]}

    @staticmethod
    def params(a, s):
        return (Param("count", (1,), kind=Kind.STATE),)

    @staticmethod
    def forwards(a, s):
        reads = ("x", "no") if a.way == "reads" else ("x", "count")
        return (Forward(reads=reads, effects=frozenset({Effect.STATE})),)

    @staticmethod
    def grads(a, s):
        reads = {"grad reads": ("dy", "no"), "dx of a top": ("dy", "dy2")}.get(a.way, ("dy",))
        return (Grad("no" if a.way == "grad of" else "x", reads),)

    @staticmethod
    def reference(a, v, ctx):
        if a.way == "raises":
            raise IndexError("oops")
        if a.way == "refuses":
            raise GraphError("GC-D002", "no")
        if a.way == "memory":
            raise MemoryError
        if a.way == "writes":
            v["x"][...] = 0
        if a.way == "forgets":
            return {}
        if a.way == "shape":
            return {"y": np.zeros((1, 1))}
        if a.way == "text":
            return {"y": "text"}
        if a.way == "state":
            return {"y": v["x"], "count": np.zeros(5)}
        return {"y": 2 * v["x"], "count": v["count"] + 1, "more": 5}

    @staticmethod
    def vjp(a, part, v, ctx):
        if a.way == "grad raises":
            return 1 / 0
        return np.zeros((1, 1)) if a.way == "grad shape" else 2 * v["dy"]


def odd(way=""):
    net = graph(feed(data=(4, 3)), layer("BatchNorm", "data", "y", name="odd"))
    node = net.node("odd")
    node.op, node.attrs, node.params = Odd, OddAttrs(way), {}
    from graphc.ir.infer import infer

    infer(net)
    return net


def test_the_layer_works():
    exe = graphc.compile(odd(), train=True, target="reference")
    np.testing.assert_array_equal(exe.run({"data": X})["y"], 2 * X)
    exe.run({"data": X})
    assert exe.params["odd"][0].tolist() == [2]
    np.testing.assert_array_equal(exe.backward({"y": X}).blobs["data"], 2 * X)


@pytest.mark.parametrize(
    ("way", "code", "told"),
    [
        ("raises", "GC-O001", "its reference failed: IndexError: oops"),
        ("refuses", "GC-D002", "no"),
        ("memory", "GC-M002", "out of memory"),
        ("writes", "GC-O001", "read-only"),
        ("forgets", "GC-O001", "its reference gives no 'y'"),
        ("shape", "GC-O001", "its y has shape (1, 1), inferred was (4, 3)"),
        ("text", "GC-O001", "ValueError"),
        ("state", "GC-O001", "ValueError"),
        ("reads", "GC-O001", "reads 'no', which the layer does not have"),
    ],
)
@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_forward_faults_name_the_layer(way, code, told, target):
    if target == "cpu" and way in ("text", "state"):
        pytest.skip("noticed at another place: the text has no shape, the part writes no state")
    if target == "cpu" and way == "reads":
        with pytest.raises(GraphError, match=r"GC-O001.*which the layer does not have"):
            graphc.compile(odd(way), target=target)
        return
    exe = graphc.compile(odd(way), target=target)
    with pytest.raises(GraphError) as caught:
        exe.run({"data": X})
    assert caught.value.code == code and caught.value.layer == "odd" and told in str(caught.value)
    assert exe.params["odd"][0].tolist() == [0]


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("grad raises", "its dx failed: ZeroDivisionError"),
        ("grad shape", "its dx has shape (1, 1), inferred was (4, 3)"),
    ],
)
def test_backward_faults_name_the_layer(way, told):
    exe = graphc.compile(odd(way), train=True)
    exe.run({"data": X})
    with pytest.raises(GraphError, match="GC-O001") as caught:
        exe.backward({"y": X})
    assert caught.value.layer == "odd" and told in str(caught.value)


@pytest.mark.parametrize("way", ["grad reads", "grad of", "dx of a top"])
def test_parts_that_do_not_fit_the_layer(way):
    with pytest.raises(GraphError, match="GC-O001") as caught:
        graphc.compile(odd(way), train=True)
    assert caught.value.layer == "odd"


def test_state_beyond_float32_is_infinite():
    net = odd()
    net.params["odd"][0][...] = 3e38

    class Large(Odd):
        """y = x; counts in large steps."""

        type = ""

        @staticmethod
        def reference(a, v, ctx):
            return {"y": v["x"], "count": v["count"] * 10}

    net.node("odd").op = Large
    exe = graphc.compile(net, target="reference")
    exe.run({"data": X})
    assert exe.params["odd"][0].tolist() == [np.inf]


def test_bits_do_not_depend_on_what_else_is_kept():
    net = graph(
        feed(data=(4, 3), label=(4,)), fc("data", "a", 5), fc("a", "y", 3), softmax_loss("y")
    )
    feeds = {"data": X, "label": [0, 1, 2, 0]}
    found = []
    for words in ({}, {"keep": "all"}, {"train": True}, {"train": True, "keep": ["a"]}):
        out = graphc.compile(net, target="reference", passes=(), **words).run(feeds)
        found.append(out["loss"].tobytes())
    assert len(set(found)) == 1
