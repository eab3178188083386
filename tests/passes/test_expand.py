"""expand: layers in disguise become stock ones, with names, losses, parameters and switches."""

from dataclasses import dataclass

import numpy as np
import pytest
from passes.before_after import check
from texts import conv, fc, feed, graph, layer, softmax_loss

import graphc
from graphc.driver import optimize
from graphc.errors import GraphError
from graphc.ir.op import Param
from graphc.ir.verify import verify
from graphc.ops.inner_product import InnerProduct, InnerProductAttrs
from graphc.ops.registry import find
from graphc.ops.relu import ReLU, ReLUAttrs
from graphc.ops.spec import Layer, OpSpec
from graphc.passes.expand import Expand

HEAD = """
net "n"
layer "in" Input
  attr shape=(BlobShape(dim=(2, 3)))
  top y0 "data" f32[2,3]
"""


def test_one_for_one_keeps_the_name():
    before = f"""{HEAD}
layer "six" ReLU6
  in x "data"
  top y "y" f32[2,3]
  loss y 2.0
  propagate (true)
output "y"
"""
    expected = f"""{HEAD}
layer "six" Clip
  attr min=0.0
  attr max=6.0
  in x "data"
  top y "y" f32[2,3]
  loss y 2.0
  propagate (true)
output "y"
"""
    report = check(Expand(), before, expected)
    assert report.detail == ("six (ReLU6) -> Clip",)


def test_several_get_names_of_their_own():
    before = f"""{HEAD}
layer "six" ReLU6
  attr negative_slope=0.5
  in x "data"
  top y "y" f32[2,3]
  loss y 2.0
  propagate (false)
output "y"
"""
    expected = f"""{HEAD}
layer "six/relu" ReLU
  attr negative_slope=0.5
  in x "data"
  top y "six/leaky" f32[2,3]
  propagate (false)
layer "six/clip" Clip
  attr min=-inf
  attr max=6.0
  in x "six/leaky"
  top y "y" f32[2,3]
  loss y 2.0
  propagate (true)
output "y"
"""
    check(Expand(), before, expected)


def test_inner_blobs_make_way_for_blobs_of_the_net():
    net = graph(
        feed(data=(2, 3)),
        layer("TanH", "data", "six/leaky", name="t"),
        layer("ReLU6", "data", "y", "relu6_param { negative_slope: 0.5 }", name="six"),
        layer("ReLU6", "data", "z", "relu6_param { negative_slope: 0.5 }", name="six"),
    )
    out, _ = optimize(net, ())
    assert [v.name for n in out.nodes for v in n.outs.values()] == [
        *("data", "six/leaky", "six/leaky#2", "y", "six/leaky#3", "z")
    ]
    verify(out, 2)


def test_parameters_are_taken_over():
    depthwise = layer(
        "DepthwiseConvolution",
        "data",
        "y",
        'param { name: "w" lr_mult: 0 } param { decay_mult: 3 } '
        'convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } }',
    )
    net = graph(feed(data=(2, 3, 6, 6)), depthwise)
    out, _ = optimize(net, ())
    (node,) = out.nodes[1:]
    assert node.op.type == "Convolution" and node.attrs.group == 3 and node.specs[0].name == "w"
    assert (node.params["weight"].lr_mult, node.params["bias"].decay_mult) == (0.0, 3.0)
    np.testing.assert_array_equal(out.params["y"][0], net.params["y"][0])


def pyramid():
    return graph(
        feed(data=(2, 3, 9, 8)),
        layer("TanH", "data", "t"),
        layer("SPP", "t", "y", "spp_param { pyramid_height: 2 }", name="spp"),
    )


def test_a_net_tied_to_its_size_refuses_another():
    exe = graphc.compile(pyramid())
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 8))
    first = exe.run({"data": x})
    with pytest.raises(GraphError, match="GC-R001") as caught:
        exe.run({"data": np.zeros((2, 3, 10, 8))})
    assert "compiled" in str(caught.value) or "expanded" in str(caught.value)
    np.testing.assert_array_equal(exe.run({"data": x})["y"], first["y"])
    assert exe.run({"data": x[:1]})["y"].shape == (1, 15)
    np.testing.assert_array_equal(exe.run({"data": x[:1]})["y"], first["y"][:1])


def test_so_does_its_artefact(tmp_path):
    graphc.compile(pyramid()).save(tmp_path / "a.gcz")
    exe = graphc.open(tmp_path / "a.gcz")
    with pytest.raises(GraphError, match="GC-R001"):
        exe.run({"data": np.zeros((2, 3, 12, 8))})
    with pytest.raises(GraphError, match="GC-S002"):
        graphc.open(tmp_path / "a.gcz", shapes={"data": (2, 3, 12, 8)})
    assert graphc.open(tmp_path / "a.gcz", batch=5).run({"data": np.zeros((5, 3, 9, 8))})


def test_the_graph_itself_takes_any_size():
    net = pyramid()
    graphc.compile(net)
    other, _ = optimize(net, ())
    assert other.fixed_size and not net.fixed_size
    from graphc.driver import shape

    shape(net, {"data": (1, 3, 12, 7)})
    assert graphc.compile(net).run({"data": np.zeros((1, 3, 12, 7))})["y"].shape == (1, 15)


def test_gradients_flow_through_expansions():
    net = graph(
        feed(data=(2, 3, 6, 6), label=(2,)),
        conv("data", "c", 4),
        layer("SPP", "c", "s", "spp_param { pyramid_height: 2 pool: AVE }"),
        layer("ReLU6", "s", "s", "relu6_param { negative_slope: 0.1 }", name="r"),
        fc("s", "y", 3),
        softmax_loss("y"),
    )
    exe = graphc.compile(net, train=True)
    feeds = {"data": np.random.default_rng(0).normal(size=(2, 3, 6, 6)), "label": [0, 2]}
    exe.run(feeds)
    slope = exe.backward().params["c"][0][1, 2, 0, 1]
    weight, losses = exe.params["c"][0], []
    for step in (1e-2, -2e-2):
        weight[1, 2, 0, 1] += step
        exe.run(feeds)
        losses.append(exe.loss())
    assert slope == pytest.approx((losses[0] - losses[1]) / 2e-2, rel=1e-2) and slope


@dataclass(frozen=True)
class WrongAttrs:
    way: str = ""


class Wrong(OpSpec):
    """y = x; its expansion is wrong in one of many ways."""

    type, Attrs = "", WrongAttrs

    @staticmethod
    def infer(a, s):
        return {"y": s.ins["x"]}

    @staticmethod
    def params(a, s):
        return (Param("weight", (2, 3)), Param("bias", (2,)))

    @staticmethod
    def expand(a, s):
        same = Layer(ReLU, "same", ReLUAttrs(), ("x",), ("y",))
        product = InnerProductAttrs(num_output=2)
        return {
            "itself": (Layer(Wrong, "again", a, ("x",), ("y",), ("weight", "bias")),),
            "bottom": (Layer(ReLU, "r", ReLUAttrs(), ("no",), ("y",)),),
            "shape": (Layer(InnerProduct, "p", product, ("x",), ("y",), ("weight", "bias")),),
            "count": (Layer(InnerProduct, "p", product, ("x",), ("z",), ("weight",)), same),
            "param": (Layer(InnerProduct, "p", product, ("x",), ("z",), ("no", "bias")), same),
            "attrs": (
                Layer(InnerProduct, "p", InnerProductAttrs(), ("x",), ("z",), ("weight", "bias")),
                same,
            ),
        }[a.way]


@pytest.mark.parametrize(
    ("way", "code", "told"),
    [
        ("itself", "GC-O001", "levels deep"),
        ("bottom", "GC-O001", "names 'no'"),
        ("shape", "GC-O001", "type f32[2,2], the layer f32[2,3]"),
        ("count", "GC-O001", "1 of 2 params"),
        ("param", "GC-O001", "names 'no'"),
        ("attrs", "GC-N008", "num_output"),
    ],
)
def test_wrong_expansions_name_the_layer(way, code, told):
    net = graph(feed(data=(2, 3)), fc("data", "y", 3, name="bad"))
    node = net.node("bad")
    node.op, node.attrs = Wrong, WrongAttrs(way)
    with pytest.raises(GraphError) as caught:
        optimize(net, ())
    assert caught.value.code == code and caught.value.layer == "bad" and told in str(caught.value)


def test_every_expanding_type_of_ours_is_gone_afterwards():
    """The generated tests run each sample; here: nothing expands twice."""
    assert find("SPP").expand is not OpSpec.expand
    out, report = optimize(pyramid(), ())
    again, second = optimize(out, ())
    assert [r.name for r in report.passes] == ["expand"] and second.passes == []
    assert [r.name for r in out.history] == ["expand"] and len(again.history) == 1
