"""low_rank: the layers that it makes, their names and values, and where it leaves one alone."""

import numpy as np
import pytest
from google.protobuf import text_format
from passes.low_rank_nets import NET, X, cut, layers_of, net, outputs
from texts import conv, fc, feed, layer

import graphc
from graphc.count import macs
from graphc.errors import GraphError
from graphc.front.caffemodel_writer import write_caffemodel
from graphc.front.export import to_prototxt
from graphc.front.schema import dialect
from graphc.ir.provenance import LayerChange
from graphc.passes.low_rank import LowRank
from graphc.passes.recipe import parse_recipe, parse_spec, print_recipe

CHAINS = {
    "pca": ["b_lowrank", "b_linear"],
    "svd": ["b_lowrank", "b_linear"],
    "kmeans": ["b_lowrank", "b_linear"],
    "tai": ["b_v", "b_h"],
    "tucker": ["b_tkin", "b_tkcore", "b_tkout"],
    "jaderberg": ["b_dv", "b_dh", "b_mix"],
    "decouple": ["b_nd0_pw", "b_nd0_dw", "b_nd1_pw", "b_nd1_dw", "b_sum"],
}


def near(found, plain, share=1e-5):
    assert list(found) == list(plain)
    for name, array in plain.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=share * np.abs(array).max())


def test_one_rank_for_all_layers():
    assert LowRank(rank=16).rank == (16,)
    with pytest.raises(GraphError, match="rank is"):
        LowRank(rank=0)


@pytest.mark.parametrize("method", ["pca", "svd", "kmeans", "tai", "tucker", "decouple"])
def test_full_rank_changes_nothing(method):
    plain = net()
    made, report = cut(plain, method=method, error=0.0)
    assert report.changed and len(made.nodes) > len(plain.nodes)
    near(outputs(made), outputs(plain))
    assert [v.name for v in made.outputs] == [v.name for v in plain.outputs]


@pytest.mark.parametrize("method", CHAINS)
def test_names(method):
    rank = 2 if method == "decouple" else 4
    made, report = cut(net(), method=method, rank=(rank,), layers=("b",))
    assert layers_of(made) == ["in", "a", "relu", *CHAINS[method], "y"]
    assert report.detail == (f"b becomes {', '.join(CHAINS[method])}",)
    last = made.nodes[-2]
    assert made.value("b").producer is last
    assert [n.attrs.num_output for n in made.nodes[3:-2] if hasattr(n.attrs, "num_output")]


def test_cp_of_a_layer_without_groups():
    made, _ = cut(net(), method="cp", rank=(4,), layers=("a",))
    assert layers_of(made)[1:5] == ["a_cpin", "a_cpv", "a_cph", "a_cpout"]
    groups = [node.attrs.group for node in made.nodes[1:5]]
    assert groups == [1, 4, 4, 1]


def test_bilinear_projections_of_patches():
    plain = net()
    made, _ = cut(plain, method="bilinear", error=0.0, layers=("a",))
    near(outputs(made), outputs(plain))
    made, _ = cut(plain, method="bilinear", rank=(2,), layers=("a",))
    assert layers_of(made)[1:6] == ["a_bl0_pw", "a_bl0_dw", "a_bl1_pw", "a_bl1_dw", "a_sum"]
    assert [n.attrs.group for n in made.nodes[1:5]] == [1, 3, 1, 3]


def test_geometry_bias_and_multipliers():
    """Stride with the spatial factor, bias with the last; names of parameters are not copied."""
    made, _ = cut(net(), method="tai", rank=(4,), layers=("a",))
    down, along = made.node("a_v"), made.node("a_h")
    assert (down.attrs.kernel_h, down.attrs.kernel_w) == (3, 1)
    assert (down.attrs.pad_h, down.attrs.pad_w) == (1, 0)
    assert (down.attrs.stride_h, down.attrs.stride_w) == (2, 1)
    assert (along.attrs.stride_h, along.attrs.stride_w) == (1, 2)
    assert not down.attrs.bias_term and along.attrs.bias_term
    assert [s.name for s in (*down.specs, *along.specs)] == ["", "", ""]
    assert [(v.lr_mult, v.decay_mult) for v in down.params.values()] == [(3, 0.5)]
    assert [(v.lr_mult, v.decay_mult) for v in along.params.values()] == [(3, 0.5), (2, 0)]
    assert 'name: "wa"' not in to_prototxt(made)
    dilated, _ = cut(net(), method="tai", rank=(4,), layers=("b",))
    assert "dilation: 2\n    dilation: 1" in to_prototxt(dilated)


def test_an_in_place_layer_still_reads_the_top():
    made, _ = cut(net(), method="pca", rank=(4,), layers=("a",))
    relu = made.node("relu")
    assert relu.ins["x"].producer.name == "a_linear" and relu.outs["y"].name == "a"
    values = outputs(made, keep="all")
    assert (values["a"] >= 0).all() and "a_lowrank" in values


def test_a_loss_weight_is_there_once():
    made, _ = cut(net(), method="svd", rank=(4,), layers=("y",))
    assert layers_of(made)[-2:] == ["y_lowrank", "y_linear"]
    assert [n.loss for n in made.nodes if any(n.loss.values())] == [{"y": 0.5}]


def test_inner_products_along_other_axes():
    three = net(
        feed(data=(2, 4, 9, 8)),
        fc("data", "y", 12, field="axis: -2 transpose: true"),
    )
    made, _ = cut(three, rank=(12,))
    near(outputs(made), outputs(three))
    made, _ = cut(three, rank=(3,))
    assert made.value("y_lowrank").type.shape == (2, 4, 3)


def test_convolutions_of_one_and_three_axes():
    told = (
        'convolution_param { num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: "msra" } }'
    )
    for shape in ((2, 4, 72), (2, 4, 3, 4, 6)):
        one = net(feed(data=shape), layer("Convolution", "data", "y", told))
        x = {"data": X.reshape(shape)}
        plain = graphc.compile(one, passes=(), target="reference").run(x)
        for method in ("pca", "tucker", "decouple"):
            made, _ = cut(one, method=method, error=0.0)
            near(graphc.compile(made, passes=(), target="reference").run(x), plain)
        _, report = cut(one, method="tai", error=0.0)
        assert report.layers[0].reason == "method tai is for 2 spatial axes"


def test_names_that_are_taken():
    three = net(feed(data=(2, 4, 9, 8)), conv("data", "a_lowrank", 4), conv("a_lowrank", "a", 6))
    made, _ = cut(three, rank=(2,), layers=("a",))
    assert layers_of(made) == ["in", "a_lowrank", "a_lowrank#2", "a_linear"]
    near(outputs(made, keep=("a_lowrank",)), outputs(made, keep=("a_lowrank",)))
    plain = outputs(three, keep=("a_lowrank",))["a_lowrank"]
    np.testing.assert_array_equal(outputs(made, keep=("a_lowrank",))["a_lowrank"], plain)


def test_the_report():
    words = {"calibration": {"data": X}}
    made, report = cut(net(), words, rank=(4,), method="pca")
    assert [c.layer for c in report.layers] == ["a", "b", "y"]
    a = report.layers[0]
    assert a.decision == "pca, rank 4 of 12"
    assert a.macs == (2 * 12 * 36 * 20, 2 * (4 * 36 + 12 * 4) * 20)
    assert a.params == (12 * 36 + 12, 4 * 36 + 12 * 4 + 12) and a.nbytes == (444 * 4, 204 * 4)
    told = np.linalg.svd(net().params["a"][0].reshape(12, 36), compute_uv=False)
    tail = np.sqrt((told[4:] ** 2).sum() / (told**2).sum())
    assert a.weight_error == pytest.approx(tail, rel=1e-5)
    plain, short = (outputs(each, keep="all") for each in (net(), made))
    moved = np.linalg.norm(short["y"] - plain["y"]) / np.linalg.norm(plain["y"])
    assert report.layers[2].response_error == pytest.approx(moved, rel=1e-4)
    assert sum(c.macs[1] for c in report.layers) == sum(map(macs, made.nodes))


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ((conv("data", "y", 4, more='param { name: "w" }'),
          conv("data", "z", 4, more='param { name: "w" }')), "it shares its weights"),
        ((layer("Convolution", "data", "y", "convolution_param { num_output: 8 kernel_size: 3 "
          "group: 4 }"),), "it is depthwise"),
        ((layer("Convolution", "data data", "y z",
          "convolution_param { num_output: 8 kernel_size: 3 }"),), "it has several bottoms"),
    ],
)  # fmt: skip
def test_what_cannot_be_decomposed(layers, reason):
    plain = net(feed(data=(2, 4, 9, 8)), *layers)
    _, report = cut(plain, rank=(2,))
    assert not report.changed and {c.reason for c in report.layers} == {reason}
    assert report.layers[0].macs[0] == report.layers[0].macs[1] > 0
    with pytest.raises(GraphError, match=f"GC-T001.*'y' cannot be decomposed: {reason}"):
        cut(plain, rank=(2,), layers=("y",))


@pytest.mark.parametrize("method", ["pca", "svd", "tai", "tucker", "decouple", "bilinear"])
def test_planted_ranks_come_back(method):
    """Of a net whose layers have rank 2, as far as float32 tells, no more is found."""
    layers = ("a",) if method == "bilinear" else ("a", "b")
    short, _ = cut(net(), method=method, rank=(2,), layers=layers)
    planted, _ = graphc.optimize(short, ["merge_low_rank"], measure=False)
    made, report = cut(planted, method=method, error=1e-10, layers=layers)
    ranks = [int(c.decision.split("rank ")[1].split()[0]) for c in report.layers]
    assert ranks == [2] * len(layers)
    assert layers_of(made) == layers_of(short)
    near(outputs(made), outputs(planted))


def test_where_it_saves_nothing():
    """AlexNet's conv3 at rank 329 is accepted and at 330 refused."""
    told = 'num_output: 384 kernel_size: 3 pad: 1 weight_filler { type: "msra" }'
    plain = net(
        feed(data=(1, 256, 3, 3)),
        layer("Convolution", "data", "y", f"convolution_param {{ {told} }}"),
    )
    for rank, changed in ((329, True), (330, False)):
        _, report = cut(plain, rank=(rank,), when="smaller")
        assert report.changed is changed
    assert report.layers[0].decision == "stays"
    assert report.layers[0].reason.startswith("pca, rank 330 of 384 takes ")


class Clock(LowRank):
    """LowRank on a machine on which a layer takes 100 us, and a chain `after`."""

    after = 90.0

    def run(self, graph, ctx):
        ctx.time_us = lambda g: 100.0 if len(g.nodes) == 2 else self.after
        return super().run(graph, ctx)


@pytest.mark.parametrize(("after", "changed"), [(94.0, True), (96.0, False), (120.0, False)])
def test_it_is_timed(after, changed, monkeypatch):
    monkeypatch.setattr(Clock, "after", after)
    made, report = graphc.optimize(net(), [Clock(rank=(4,), layers=("a",))], measure=False)
    (change,) = report.passes[-1].layers
    if changed:
        assert change.us == (100.0, 94.0) and change.reason == "1.06 times as fast"
    else:
        assert change.decision == "stays" and len(made.nodes) == 5
        assert (
            change.reason == f"pca, rank 4 of 12 does not pay, 100 us before, {after:.0f} us after"
        )


def test_auto_takes_the_fastest(monkeypatch):
    def time(graph):
        return 5.0 * len(graph.nodes) if any(n.name == "a_v" for n in graph.nodes) else 100.0

    class Auto(LowRank):
        def run(self, graph, ctx):
            ctx.time_us = time
            return super().run(graph, ctx)

    _, report = graphc.optimize(net(), [Auto(method="auto", error=0.3)], measure=False)
    decisions = [change.decision for change in report.passes[-1].layers]
    assert decisions[0].startswith("tai, rank ") and decisions[1] == "stays"


def test_mixed_separates_large_kernels():
    two = net(feed(data=(2, 4, 9, 8)), conv("data", "a", 8, 5), conv("a", "y", 8, 3))
    made, _ = cut(two, method="mixed", rank=(4,))
    assert layers_of(made) == ["in", "a_v", "a_h", "y_lowrank", "y_linear"]


def test_stock_caffe_reads_it(tmp_path):
    """What is written is strict, loads again, and computes the same."""
    stock = {"Input", "Convolution", "ReLU", "InnerProduct", "Eltwise"}
    for method in ("pca", "tai", "tucker", "jaderberg", "decouple"):
        made, _ = cut(net(), method=method, error=0.2)
        message = text_format.Parse(to_prototxt(made), dialect("bvlc").new("NetParameter"))
        assert {each.type for each in message.layer} <= stock
        (tmp_path / "net.prototxt").write_text(to_prototxt(made))
        write_caffemodel(made, tmp_path / "net.caffemodel")
        again = graphc.load(tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
        report = graphc.compare(again, made, inputs={"data": X}, tolerance=0.0)
        assert report.ok and not report.only_a and not report.only_b


def test_off_with_gradients():
    _, report = cut(net(), {"train": True}, rank=(4,))
    assert not report.changed and report.detail[0].startswith("off: ")


def test_recipes():
    spec = parse_spec("low_rank:method=tucker,layers=a,b,rank=4,8,when=always")
    assert spec == LowRank(method="tucker", layers=("a", "b"), rank=(4, 8), when="always")
    assert parse_recipe(print_recipe([spec])) == [spec]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rank": (0,)}, "rank is 0, expected numbers from 1 on"),
        ({"rank": (-3,)}, "rank is -3, expected numbers from 1 on"),
        ({"rank": (13,), "layers": ("a",)}, "rank 13 of 'a' is above its full rank, 12"),
        ({"rank": (4, 4)}, "2 ranks for 3 layers: a, b, y"),
        ({"error": 0.1, "rank": (4,)}, "error contradicts rank"),
        ({"error": -0.1}, "error is -0.1, expected 0 to 1"),
        ({"energy": 1.5}, "energy is 1.5, expected 0 to 1"),
        ({"speedup": 0.0}, "speedup is 0, expected a number above 0"),
        ({"speedup": 1e4}, "'a': no rank speeds it up 10000 times"),
        ({"macs": 1.5}, "macs is 1.5, expected a share from 0 to 1"),
        ({"macs": 0.01}, "macs=0.01 cannot be reached"),
        ({"bytes": 0.0}, "bytes=0 cannot be reached"),
        ({"macs": 0.5, "method": "cp"}, "method cp cannot share a budget"),
        ({"macs": 0.5, "method": "auto"}, "method auto takes no macs"),
        ({"round": 0}, "round is 0, expected a whole number"),
        ({"gain": 1.0}, "gain is 1.0, expected a share"),
        ({"threshold": 0.5, "method": "decouple"}, "no singular values for threshold"),
        ({"layers": ("nope",)}, "'nope' names no layer that can be decomposed"),
        ({"layers": ("relu",)}, "'relu' names no layer that can be decomposed"),
        ({"skip": ("(",)}, "'(' is no pattern"),
        ({"method": "cp", "layers": ("b",)}, "'b' cannot be decomposed: method cp takes no groups"),
        ({"method": "bilinear", "layers": ("y",)}, "method bilinear is for convolutions"),
        ({"accuracy_drop": 0.1}, "accuracy_drop needs calibration inputs and their labels"),
        ({"response": "relu"}, "response=relu needs calibration inputs"),
        ({"response": "relu", "method": "svd"}, "response is for method pca"),
        ({"config": "nope.json"}, "cannot read 'nope.json'"),
    ],
)  # fmt: skip
def test_errors(options, told):
    """Each is said clearly, and the network is as it was."""
    plain = net()
    before = {name: array.copy() for name, array in plain.weights.items()}
    with pytest.raises(GraphError) as caught:
        cut(plain, **options)
    assert told in caught.value.message
    assert layers_of(plain) == ["in", "a", "relu", "b", "y"]
    for name, array in before.items():
        np.testing.assert_array_equal(plain.weights[name], array)


def test_the_least_that_can_be_reached_is_told():
    with pytest.raises(GraphError) as caught:
        cut(net(), macs=0.01)
    share = float(caught.value.hint.split("1, ")[1].split(" ")[0])
    assert "the least reachable" in caught.value.hint
    made, _ = cut(net(), macs=share * 1.01, when="smaller")
    plain = sum(map(macs, net().nodes))
    assert sum(map(macs, made.nodes)) <= share * 1.01 * plain


def test_weights_that_are_no_numbers():
    plain = net()
    plain.params["b"][0][0, 0, 0, 0] = np.nan
    with pytest.raises(GraphError, match="GC-T001: the weight of 'b' has elements that are not"):
        cut(plain, rank=(2,))


def test_a_net_that_is_decomposed_already():
    made, _ = cut(net(), rank=(4,))
    with pytest.raises(
        GraphError, match="every layer is part of a decomposition already"
    ) as caught:
        cut(made, rank=(2,))
    assert "prune_ranks" in caught.value.hint
    some, _ = cut(net(), rank=(4,), layers=("b",))
    with pytest.raises(GraphError, match="'b_linear' cannot be decomposed: it is part of"):
        cut(some, rank=(2,), layers=("b_linear",))
    again, report = cut(some, rank=(2,))
    assert layers_of(again)[1:3] == ["a_lowrank", "a_linear"] and "b_lowrank" in layers_of(again)
    assert isinstance(report.layers[1], LayerChange)
    assert report.layers[1].reason == "it is part of a decomposition already"


def test_zero_weights():
    plain = net(*NET)
    plain.params["b"][0][...] = 0
    for method in ("pca", "svd", "kmeans", "tai", "tucker", "jaderberg", "decouple"):
        made, _ = cut(plain, method=method, error=0.05, layers=("b",))
        near(outputs(made), outputs(plain), 1e-6)
