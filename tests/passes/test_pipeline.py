"""run_passes through graphc.optimize: what it refuses, records, lends and dumps."""

from dataclasses import replace

import numpy as np
import pytest
from passes.do_pass import NET, Do, refused, scale
from texts import fc, feed, graph

import graphc
from graphc.driver import optimize
from graphc.ir.edit import erase
from graphc.ir.graph import Value
from graphc.passes.base import Pass, Report


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
