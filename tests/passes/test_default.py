"""The default passes: in order, until none finds anything more; one that does harm is undone."""

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer

import graphc
from graphc.errors import GraphError
from graphc.ir.text import print_graph
from graphc.passes import pipeline
from graphc.passes.recipe import parse_recipe
from graphc.passes.registry import DEFAULT


def factor(bottom, top, scale, more=""):
    return layer("Power", bottom, top, f"power_param {{ scale: {scale} {more} }}")


ROUNDS = (
    feed(data=(2, 3)),
    factor("data", "a", 2),
    factor("a", "b", 0.5),  # both together are nothing, which the next round finds
    layer("Dropout", "b", "c"),
    fc("c", "d", 4),
    layer("BatchNorm", "d", "d", name="bn"),
    layer("ReLU", "d", "y"),
)


def test_again_until_nothing_changes():
    net = graph(*ROUNDS[:3], layer("TanH", "b", "t"), *ROUNDS[3:])
    short, report = graphc.optimize(net)
    assert [n.op.type for n in short.nodes] == ["Input", "TanH", "InnerProduct", "ReLU"]
    names = [r.name for r in report.passes]
    assert names == [*DEFAULT, "remove_identity"]
    assert report.passes[-1].detail == ("removed b (Power)",)
    assert short.history == report.passes
    again, report = graphc.optimize(short)
    assert not any(r.changed for r in report.passes) and len(report.passes) == len(DEFAULT)
    assert print_graph(again) == print_graph(short)


def test_the_recipe_does_it_in_one_go():
    net = graph(*ROUNDS)
    short, report = graphc.optimize(net)
    passes = parse_recipe(report.recipe)
    other, again = graphc.optimize(net, passes)
    assert print_graph(other) == print_graph(short) and again.recipe == report.recipe


def test_passes_asked_for_run_once():
    net = graph(*ROUNDS)
    _, report = graphc.optimize(net, list(DEFAULT))
    assert [r.name for r in report.passes] == list(DEFAULT)


def test_there_is_an_end(monkeypatch):
    """Even if two passes undid each other's work for ever."""
    monkeypatch.setattr(pipeline, "MAX_ROUNDS", 1)
    _, report = graphc.optimize(graph(*ROUNDS))
    assert [r.name for r in report.passes] == list(DEFAULT)


def ill():
    """y = 1e7 (3.3 W x - V x), V being 3.3 W in float32: nothing but rounding."""
    net = graph(
        feed(data=(2, 3)),
        *(fc("data", "w", 2), factor("w", "s", 3.3), fc("data", "v", 2)),
        layer("Eltwise", "s v", "d", "eltwise_param { coeff: 1 coeff: -1 }"),
        factor("d", "y", 1e7),
    )
    net.params["v"][0][...] = net.params["w"][0] * np.float32(3.3)
    return net


def test_a_pass_that_would_do_harm_is_undone():
    net = ill()
    short, report = graphc.optimize(net)
    assert print_graph(short) == print_graph(net)
    (record,) = [r for r in report.passes if r.detail]
    assert record.name == "fold_scale" and not record.changed
    assert record.detail[0].startswith("undone: pass 'fold_scale' is exact, but changed 'y' by")
    assert "fold_scale" not in report.recipe and "fold_batch_norm" in report.recipe
    for name, arrays in net.params.items():
        for mine, theirs in zip(arrays, short.params[name], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    x = {"data": np.ones((2, 3))}
    words = {"passes": (), "target": "reference"}
    expected = graphc.compile(net, **words).run(x)["y"]
    np.testing.assert_array_equal(graphc.compile(short, **words).run(x)["y"], expected)


def test_but_an_error_where_it_was_asked_for():
    with pytest.raises(GraphError, match="GC-T002"):
        graphc.optimize(ill(), ["fold_scale"])
    short, _ = graphc.optimize(ill(), measure=False)
    assert len(short.nodes) == 4  # folded, both products are the same


@pytest.mark.parametrize("passes", [["fold_batch_norm", "fold_scale"], "default"])
def test_with_gradients_nothing_is_folded(passes):
    net = graph(feed(data=(2, 3)), fc("data", "f", 4), layer("BatchNorm", "f", "f", name="bn"),
                layer("Scale", "f", "y", name="sc"))  # fmt: skip
    exe = graphc.compile(net, train=True, passes=passes)
    assert list(exe.params) == ["f", "bn", "sc"]
    exe.run({"data": np.ones((2, 3))})
    assert list(exe.backward({"y": np.ones((2, 4))}).params) == ["f", "bn", "sc"]
    short, _ = graphc.optimize(net, passes, train=True)
    assert len(short.nodes) == 4
    assert list(graphc.compile(net).params) == ["f"]


def test_nor_in_phase_train():
    net = graph(feed(data=(2, 3)), fc("data", "f", 4), layer("BatchNorm", "f", "y", name="bn"),
                phase="TRAIN")  # fmt: skip
    assert list(graphc.compile(net).params) == ["f", "bn"]


def test_memory_plans_are_those_of_what_is_compiled():
    net = graph(feed(data=(2, 3, 8, 8)), conv("data", "c", 4),
                layer("BatchNorm", "c", "c", name="bn"), layer("Scale", "c", "c", name="sc"),
                layer("ReLU", "c", "y"))  # fmt: skip
    for arrays in net.params.values():
        for array in arrays:
            array[...] = np.random.default_rng(0).uniform(0.5, 2, array.shape)
    exe = graphc.compile(net, threads=1)
    plan = graphc.plan(net, target="cpu")
    assert exe.plan.breakdown["weights"] == plan.breakdown["weights"]
    assert len(exe.plan.steps) == len(plan.steps) == 2  # the weights are packed, once
    bare = graph(feed(data=(2, 3, 8, 8)), conv("data", "c", 4), layer("BatchNorm", "c", "y"))
    graphc.plan(bare)
    assert not bare.weights
