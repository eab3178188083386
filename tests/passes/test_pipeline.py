"""run_passes through graphc.optimize: what it refuses, measures, records and dumps."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer, softmax_loss

import graphc
from graphc.driver import optimize
from graphc.errors import GraphError
from graphc.ir.edit import erase
from graphc.ir.graph import Value
from graphc.ir.text import print_graph
from graphc.passes.base import Pass, Report

NET = (feed(data=(2, 3)), fc("data", "a", 4), layer("TanH", "a", "t"), fc("t", "y", 2))


@dataclass(frozen=True)
class Do(Pass):
    """Calls a function on the graph."""

    what: object = None
    exact_: bool = True
    name = "do"

    @property
    def exact(self):
        return self.exact_

    def run(self, graph, ctx):
        self.what(graph)
        return Report(self.name, True, ("done",))


def refused(passes, net=None, **words):
    net = graph(*NET) if net is None else net
    before = print_graph(net), {k: v.copy() for k, v in net.weights.items()}
    with pytest.raises(GraphError) as caught:
        optimize(net, passes, **words)
    assert print_graph(net) == before[0]
    for name, array in before[1].items():
        np.testing.assert_array_equal(net.weights[name], array)
    return f"{caught.value.code}: {caught.value.message}"


def scale(factor, which="a:weight"):
    def act(graph):
        graph.weights[which] *= np.float32(factor)

    return act


def test_records():
    net = graph(*NET)
    out, report = optimize(net, ["remove_dead_code", Do(scale(1 + 1e-9))])
    assert [r.name for r in report.passes] == ["remove_dead_code", "do"]
    assert out.history == report.passes and net.history == []
    assert report.passes[0].max_change == 0.0 and report.passes[1].max_change == 0.0
    assert str(report).splitlines() == [
        "remove_dead_code: nothing to do",
        "do: done (largest output change: 0)",
    ]
    twice, _ = optimize(out, ["remove_dead_code"])
    assert [r.name for r in twice.history] == ["remove_dead_code", "do", "remove_dead_code"]


def test_no_pass_at_all():
    out, report = optimize(graph(*NET), [])
    assert report.passes == [] and out.history == [] and report.recipe == ""


# What a pass may not leave behind.


def rename_output(graph):
    graph.outputs[0].name = "z"


def drop_output(graph):
    graph.outputs.clear()


def drop_input(graph):
    node = graph.nodes[0]
    graph.nodes[1].ins["x"] = Value("data2", node.outs["y0"].type)
    del graph.nodes[0]


def drop_layer(graph):
    del graph.nodes[2]


def wrong_type(graph):
    graph.node("t").outs["y"].type = graph.nodes[0].outs["y0"].type


def same_names(graph):
    graph.node("t").outs["y"].name = "a"


def not_a_graph(graph):
    graph.nodes.append(None)


def lost_weights(graph):
    del graph.node("a").params["bias"]


def strange_shape(graph):
    graph.weights["a:weight"] = np.zeros((3, 4), np.float32)


def no_bottom(graph):
    graph.node("t").ins.clear()


def swap_order(graph):
    graph.nodes.reverse()


def drop_pinned(graph):
    graph.node("t").outs["y"].name = "u"


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (rename_output, "lost or changed output 'y'"),
        (drop_output, "lost or changed output 'y'"),
        (drop_input, "which no node writes"),
        (drop_layer, "which no node writes"),
        (wrong_type, "inference"),
        (same_names, "two values are called 'a'"),
        (not_a_graph, "broken graph"),
        (lost_weights, "no parameter"),
        (strange_shape, "(3, 4)"),
        (no_bottom, "takes bottoms"),
        (swap_order, "before"),
        (drop_pinned, "lost or changed pinned blob 't'"),
    ],
)
def test_a_broken_graph_is_refused(act, told):
    found = refused([Do(act)], measure=False, keep=["t"])
    assert found.startswith("GC-V001") and told in found and "'do'" in found


def test_the_outputs_keep_their_order():
    net = graph(feed(data=(2, 3)), fc("data", "a", 4), fc("data", "b", 4))
    found = refused([Do(lambda g: g.outputs.reverse())], net)
    assert "GC-V001" in found and "order" in found


def test_failing_code_of_a_pass():
    found = refused([Do(lambda g: 1 / 0)])
    assert found == "GC-T001: pass 'do' failed: ZeroDivisionError: division by zero"
    assert refused([Do(lambda g: g.value("nothing"))]).startswith("GC-R002")


def test_a_pass_must_report():
    class Silent(Pass):
        name = "silent"

        def run(self, graph, ctx):
            return None

    assert "GC-T001: pass 'silent' returned a NoneType" in refused([Silent])
    assert "NotImplementedError" in refused([type("Bare", (Pass,), {"name": "bare"})])
    assert "has no name" in refused([type("Nameless", (Pass,), {})])


def test_requires_and_ensures():
    class Picky(Do):
        def requires(self, graph):
            return "the moon is not full"

    class Sloppy(Do):
        def ensures(self, graph):
            return "half is left"

    assert refused([Picky(print)]) == "GC-T001: pass 'do' cannot run: the moon is not full"
    assert refused([Sloppy(lambda g: None)]) == "GC-V001: pass 'do': half is left"


# Measuring.


def test_an_exact_pass_must_not_change_numbers():
    found = refused([Do(scale(1.01))])
    assert found.startswith("GC-T002: pass 'do' is exact, but changed 'y' by")
    optimize(graph(*NET), [Do(scale(1.01))], measure=False)


def test_every_output_is_measured_by_its_own_size():
    big = fc("data", "big", 2, field='bias_filler { type: "constant" value: 1e6 }')
    net = graph(*NET, big)
    assert "changed 'y'" in refused([Do(scale(1.01))], net)
    optimize(net, [Do(scale(1 + 3e-6, "big:bias"))])


def test_a_lossy_pass_tells_and_is_bounded():
    lossy = Do(scale(1.01), False)
    _, report = optimize(graph(*NET), [lossy])
    change = report.passes[0].max_change
    assert 1e-4 < change < 0.1
    optimize(graph(*NET), [lossy], max_error=change * 1.01)
    found = refused([lossy], max_error=change * 0.99)
    assert found.startswith("GC-T002: with pass 'do', 'y' has changed by")


def test_lossy_passes_are_bounded_together():
    lossy = Do(scale(1.01), False)
    _, report = optimize(graph(*NET), [lossy, lossy])
    first, second = (r.max_change for r in report.passes)
    assert second < 1.5 * first
    refused([lossy, lossy], max_error=1.5 * first)
    optimize(graph(*NET), [lossy], max_error=1.5 * first)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_a_number_is_a_change_unless_it_was_there(value):
    def spoil(graph):
        graph.weights["y:bias"][0] = value

    assert "GC-T002" in refused([Do(spoil)])
    assert "GC-T002" in refused([Do(spoil, False)], max_error=1e30)
    net = graph(*NET)
    net.params["y"][1][0] = value
    _, report = optimize(net, [Do(spoil)])
    assert report.passes[0].max_change == 0.0


def test_pinned_blobs_are_measured_too():
    def act(graph):
        for name, factor in (("a:weight", 2), ("a:bias", 2)):
            graph.weights[name] *= np.float32(factor)

    net = graph(feed(data=(2, 3)), fc("data", "a", 4), layer("Threshold", "a", "y"))
    optimize(net, [Do(act)])
    assert "changed 'a'" in refused([Do(act)], net, keep=["a"])


def test_calibration():
    net = graph(*NET)

    def act(graph):
        graph.weights["a:weight"][:, 0] += 1

    dark = {"data": np.array([[0, 1, 1], [0, 2, 2]])}
    optimize(net, [Do(act)], calibration=dark)
    assert "GC-T002" in refused([Do(act)], net)
    assert "GC-R001" in refused([Do(act)], net, calibration={"dta": np.zeros((2, 3))})
    assert "GC-R001" in refused([Do(act)], net, calibration={"data": "x"})
    one = {"data": np.array([[0, 1, 1]])}  # another batch size
    optimize(net, [Do(act)], calibration=one)


def test_labels_are_fed_with_zeros():
    for shape in ((2,), (2, 1), (2, 1, 1, 1)):
        net = graph(
            feed(data=(2, 3), label=shape),
            fc("data", "y", 4),
            layer("Flatten", "label", "flat", "flatten_param { axis: 0 }"),
            softmax_loss("y", "flat"),
            layer("Accuracy", "y flat", "acc"),
        )
        _, report = optimize(net, [Do(scale(1, "y:weight"))])
        assert report.passes[0].max_change == 0.0


def test_a_net_that_takes_no_random_numbers_is_not_measured():
    net = graph(
        feed(data=(2, 3)),
        layer("Embed", "data", "e", "embed_param { input_dim: 2 num_output: 2 }"),
        layer("Power", "data", "p", "power_param { shift: 5 }"),
        layer("Embed", "p", "f", "embed_param { input_dim: 2 num_output: 2 }"),
    )
    _, report = optimize(net, [Do(scale(3, "e:weight"))])
    assert report.passes[0].max_change is None
    assert "GC-D003" in refused([Do(scale(3, "e:weight"))], net, measure=True)


def test_a_bound_must_be_measured():
    assert "GC-R002" in refused(["remove_dropout"], max_error=0.1, measure=False)


def test_large_nets_are_measured_only_when_asked():
    net = graph(feed(data=(1, 64, 128, 128)), conv("data", "y", 64))
    _, report = optimize(net, [Do(scale(1, "y:weight"))])
    assert report.passes[0].max_change is None


def test_files_are_not_touched_by_measuring(tmp_path):
    target = tmp_path / "out.h5"
    sink = layer("HDF5Output", "y y2", "", f'hdf5_output_param {{ file_name: "{target}" }}', "out")
    net = graph(*NET, fc("t", "y2", 2), sink)
    _, report = optimize(net, [Do(scale(1))])
    assert report.passes[0].max_change is None and not target.exists()


def test_measuring_a_training_net_draws_the_same_dropout():
    net = graph(feed(data=(4, 3)), fc("data", "a", 8), layer("Dropout", "a", "y"), phase="TRAIN")
    _, report = optimize(net, [Do(scale(1))], measure=True)
    assert report.passes[0].max_change == 0.0


# The rest of what a pass is lent.


def test_context():
    seen = {}

    class Look(Pass):
        name = "look"

        def run(self, graph, ctx):
            seen["out"] = ctx.run(graph, {"data": np.ones((2, 3))})
            seen["us"] = ctx.time_us(graph)
            seen["rng"] = [ctx.rng(tag).random() for tag in ("a", "a", "b")]
            seen["pinned"] = ctx.pinned
            seen["calibration"] = ctx.calibration
            return Report(self.name)

    net = graph(*NET)
    optimize(net, [Look], keep="t", calibration={"data": np.ones((2, 3))})
    plain = graphc.compile(net, target="reference", passes=()).run({"data": np.ones((2, 3))})
    np.testing.assert_array_equal(seen["out"]["y"], plain["y"])
    assert sorted(seen["out"]) == ["t", "y"] and seen["us"] > 0
    assert seen["rng"][0] == seen["rng"][1] != seen["rng"][2]
    assert seen["pinned"] == {"t"} and set(seen["calibration"]) == {"data"}


def test_passes_run_on_a_graph_whose_weights_are_there():
    counted = []
    optimize(graph(*NET), [Do(lambda g: counted.append(len(g.weights)))])
    assert counted == [4]


def test_dump(tmp_path):
    class Odd(Do):
        name = "a/b c"

    optimize(graph(*NET), ["remove_dropout", Odd(lambda g: None)], dump=tmp_path / "x" / "y")
    found = sorted(p.name for p in (tmp_path / "x" / "y").iterdir())
    assert found == ["00_input.txt", "01_remove_dropout.txt", "02_a_b_c.txt"]
    text = (tmp_path / "x" / "y" / "00_input.txt").read_text()
    assert text.startswith("graphc 1\nnet") and 'layer "a" InnerProduct' in text
    (tmp_path / "file").write_text("")
    assert "GC-F002" in refused(["remove_dropout"], dump=tmp_path / "file")


def test_an_unexpected_change_of_the_report_is_seen():
    """A pass that says it changed nothing is believed: nothing is run again."""
    silent = Do(lambda g: None)
    record = silent.run(graph(*NET), None)
    assert replace(record, changed=False).changed is False


def test_erase_in_a_pass():
    def act(graph):
        graph.outputs = [v for v in graph.outputs if v.name != "u"]
        erase(graph, {graph.node("u")})

    net = graph(*NET, fc("t", "u", 2))
    assert "lost or changed output 'u'" in refused([Do(act)], net)
