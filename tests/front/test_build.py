"""From definition to graph: wiring, versions, loss weights, outputs, rules, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphc.errors import GraphError, Loc
from graphc.front import parse_net, read_net
from graphc.ir.graph import Graph, ParamSpec
from graphc.limits import Limits

DATA = 'layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'


def layer(kind: str, name: str, bottoms: str = "", tops: str = "", more: str = "") -> str:
    """One line of prototxt; blob names are separated by spaces."""
    wires = [f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in tops.split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(wires)} {more} }}\n'


def net(*layers: str, **state: object) -> Graph:
    return parse_net(DATA + "".join(layers), file="n.prototxt", **state)  # type: ignore[arg-type]


def refused(*layers: str, **state: object) -> GraphError:
    with pytest.raises(GraphError) as error:
        net(*layers, **state)
    return error.value


def outputs(graph: Graph) -> list[str]:
    return [value.name for value in graph.outputs]


def test_nodes_and_places() -> None:
    graph = net(layer("InnerProduct", "ip", "x", "y", "inner_product_param { num_output: 4 }"))
    data, ip = graph.nodes
    assert (ip.name, ip.op.type, ip.attrs.num_output) == ("ip", "InnerProduct", 4)
    assert ip.ins["x"] is data.outs["y0"] and ip.outs["y"].producer is ip
    assert ip.loc == Loc("n.prototxt", 2) and graph.inputs == [data.outs["y0"]]
    assert not graph.shaped and ip.params == {}


def test_graph_level_facts(tmp_path: Path) -> None:
    path = tmp_path / "a.prototxt"
    path.write_text('name: "n" force_backward: true state { stage: "s" level: 9 }' + DATA)
    limits = Limits(layers=7)
    graph = read_net(path, phase="TRAIN", level=2, stages=["t"], limits=limits)
    assert (graph.name, graph.phase, graph.level, graph.stages) == ("n", "TRAIN", 2, ("s", "t"))
    assert graph.force_backward and graph.file == str(path) and graph.base == tmp_path
    assert graph.limits is limits


def test_in_place_versions() -> None:
    graph = net(
        layer("Power", "p", "x", "h"),
        layer("ReLU", "r", "h", "h"),
        layer("TanH", "t", "h", "h"),
        layer("Power", "q", "h", "y"),
    )
    names = [node.outs["y"].name for node in graph.nodes[1:]]
    assert names == ["h@p", "h@r", "h", "y"]
    assert graph.nodes[4].ins["x"].name == "h" and outputs(graph) == ["y"]


def test_readers_see_the_version_before_them() -> None:
    graph = net(
        layer("Power", "p", "x", "h"), layer("Power", "a", "h", "y"), layer("ReLU", "r", "h", "h")
    )
    _, p, a, r = graph.nodes
    assert a.ins["x"] is p.outs["y"] and r.ins["x"] is p.outs["y"]
    assert outputs(graph) == ["h", "y"]


def test_version_names_are_unlike_all_blobs() -> None:
    graph = net(
        layer("Power", "p", "x", "h"),
        layer("ReLU", "p", "h", "h"),
        layer("ReLU", "p", "h", "h"),
        layer("Power", "z", "x", "h@p"),
    )
    names = [value.name for value in graph.values()]
    assert names == ["x", "h@p#2", "h@p#3", "h", "h@p"]


def test_losses_without_tops() -> None:
    label = layer("Input", "l", "", "label", "input_param { shape { dim: 2 } }")
    graph = net(label, layer("SoftmaxWithLoss", "loss", "x label"))
    node = graph.nodes[-1]
    (role,) = node.tops
    assert node.loss == {role: 1.0} and node.outs[role].name == f"loss:{role}"
    assert outputs(graph) == []


def test_loss_weights() -> None:
    label = layer("Input", "l", "", "label", "input_param { shape { dim: 2 } }")
    loss = layer("SoftmaxWithLoss", "loss", "x label", "z", "loss_weight: 0.5")
    power = layer("Power", "p", "x", "y", "loss_weight: 2")
    graph = net(label, loss, power)
    assert [list(n.loss.values()) for n in graph.nodes] == [[], [], [0.5], [2.0]]
    off = net(label, layer("SoftmaxWithLoss", "loss", "x label", "z", "loss_weight: 0"))
    assert off.nodes[-1].loss == {} and outputs(off) == ["z"]


def test_weighted_top_that_is_read_keeps_its_weight_and_the_others_lose_theirs() -> None:
    graph = net(
        layer("Slice", "s", "x", "a b c", "loss_weight: 1 loss_weight: 2 loss_weight: 0"),
        layer("Power", "p", "b", "y"),
    )
    assert graph.nodes[1].loss == {"y1": 2.0}
    assert outputs(graph) == ["a", "b", "c", "y"]
    assert any("loss weight of 'a'" in note for note in graph.notes)


def test_default_weight_of_a_read_loss_stays() -> None:
    label = layer("Input", "l", "", "label", "input_param { shape { dim: 2 } }")
    graph = net(
        label,
        layer("SoftmaxWithLoss", "loss", "x label", "z"),
        layer("Power", "p", "z", "y"),
    )
    assert list(graph.nodes[2].loss.values()) == [1.0] and outputs(graph) == ["y"]


def test_outputs_are_alphabetical() -> None:
    graph = net(*(layer("Power", n, "x", n) for n in ("zeta", "Beta", "alpha")))
    assert outputs(graph) == ["Beta", "alpha", "zeta"]


def test_specs_and_propagate() -> None:
    graph = net(
        layer(
            "InnerProduct",
            "ip",
            "x",
            "y",
            "inner_product_param { num_output: 1 } propagate_down: false "
            'param { lr_mult: 0 name: "w" share_mode: PERMISSIVE } param { decay_mult: 2 }',
        )
    )
    node = graph.nodes[1]
    assert node.specs == (
        ParamSpec("w", "PERMISSIVE", 0.0, None),
        ParamSpec("", "STRICT", None, 2.0),
    )
    assert node.propagate == (False,)


def test_phase_of_layers() -> None:
    text = layer("Dropout", "a", "x", "a", "phase: TRAIN") + layer("Dropout", "b", "x", "b")
    assert [n.phase for n in net(text).nodes[1:]] == ["TRAIN", "TEST"]
    assert [n.phase for n in net(text, phase="TRAIN").nodes[1:]] == ["TRAIN", "TRAIN"]


RULES = [
    ("include { phase: TEST }", {}, True),
    ("include { phase: TRAIN }", {}, False),
    ("exclude { phase: TEST }", {}, False),
    ("include { }", {}, True),
    ("exclude { }", {}, False),
    ("include { min_level: 1 }", {"level": 0}, False),
    ("include { min_level: 1 max_level: 2 }", {"level": 2}, True),
    ("include { max_level: -1 }", {"level": 0}, False),
    ('include { stage: "a" stage: "b" }', {"stages": ("a",)}, False),
    ('include { stage: "a" stage: "b" }', {"stages": ("b", "a", "c")}, True),
    ('include { not_stage: "a" }', {"stages": ("a",)}, False),
    ('include { not_stage: "a" }', {}, True),
    ('include { phase: TRAIN } include { stage: "a" }', {"stages": ("a",)}, True),
    ('exclude { phase: TRAIN } exclude { stage: "a" }', {"stages": ("a",)}, False),
    # A layer's own phase is for the layer, not for its rules.
    ("phase: TRAIN include { phase: TEST }", {}, True),
]


@pytest.mark.parametrize(("rules", "state", "kept"), RULES)
def test_rules(rules: str, state: dict[str, object], kept: bool) -> None:
    graph = net(layer("Power", "p", "x", "y", rules), **state)
    assert (len(graph.nodes) == 2) == kept


def test_embedded_blobs_wait_for_inference() -> None:
    more = (
        "inner_product_param { num_output: 1 bias_term: false } "
        "blobs { shape { dim: 1 dim: 3 } data: [1, 2, 3] }"
    )
    graph = net(layer("InnerProduct", "ip", "x", "y", more))
    np.testing.assert_array_equal(graph.pending["ip"][0], [[1, 2, 3]])
    lie = layer("InnerProduct", "ip", "x", "y", more.replace("dim: 3", "dim: 4"))
    error = refused(lie)
    assert error.code == "GC-W003" and error.loc == Loc("n.prototxt", 2)
    error = refused(layer("InnerProduct", "ip", "x", "y", more) * 2)
    assert error.code in ("GC-N003", "GC-U001")


def test_notes_name_the_layer() -> None:
    graph = net(layer("Power", "p", "x", "y", "relu_param { }"))
    assert graph.notes == ["layer 'p': relu_param means nothing to a Power layer, as in Caffe"]


ERRORS = [
    ("GC-N001", layer("Powr", "p", "x", "y"), "'Powr'", "'Power'"),
    ("GC-N001", 'layer { name: "p" }', "no type", "type:"),
    ("GC-N002", layer("Power", "p", "xx", "y"), "'xx'", "'x'"),
    ("GC-N002", layer("Power", "p", "h", "y") + layer("Power", "q", "x", "h"), "'h'", "not before"),
    (
        "GC-N002",
        layer("Power", "q", "x", "h", "include { phase: TRAIN }") + layer("Power", "p", "h", "y"),
        "'h'",
        "phase TEST",
    ),
    ("GC-N002", layer("ReLU", "p", "y", "y"), "'y'", ""),
    ("GC-N003", layer("Power", "p", "x", "y") * 2, "'y'", ""),
    ("GC-N003", layer("Power", "p", "x", "y") + layer("Eltwise", "e", "y x", "x"), "'x'", ""),
    ("GC-N003", layer("Slice", "p", "x", "y y"), "this layer", ""),
    ("GC-N004", layer("Power", "p", "x x", "y"), "2 are given", ""),
    ("GC-N004", layer("Power", "p", "x"), "0 are named", ""),
    ("GC-N005", layer("Power", "p", "x", "y", "include { } exclude { }"), "exclude", "one kind"),
    ("GC-N005", layer("Power", "p", "x", "y", "loss_weight: [1, 2]"), "2 loss_weight", ""),
    ("GC-N005", layer("Power", "p", "x", "y", "propagate_down: [true, true]"), "2 propagate", ""),
    ("GC-U001", layer("Python", "p", "x", "y"), "Python", ""),
    ("GC-U001", layer("Power", "p", "x", "y", "quantization_param { bw_params: 8 }"), "quant", ""),
    ("GC-U001", "bn_stats_batch_size: 3", "bn_stats_batch_size", ""),
]


@pytest.mark.parametrize(("code", "text", "message", "hint"), ERRORS)
def test_errors(code: str, text: str, message: str, hint: str) -> None:
    error = refused(text)
    assert error.code == code
    assert message in error.message and hint in error.hint
    if "layer" in text:
        assert error.loc is not None and error.loc.file == "n.prototxt" and error.loc.line > 1


def test_input_without_shape_is_explained() -> None:
    with pytest.raises(GraphError, match="GC-N002") as error:
        parse_net('input: "d" ' + layer("Power", "p", "d", "y"))
    assert "input_shape" in error.value.hint


def test_names_may_repeat_or_miss() -> None:
    graph = net(
        'layer { type: "Power" bottom: "x" top: "a" }',
        'layer { type: "Power" bottom: "x" top: "b" }',
        'layer { type: "ReLU" bottom: "a" top: "a" }',
    )
    assert [node.name for node in graph.nodes] == ["data", "", "", ""]
    assert [v.name for v in graph.values()] == ["x", "a@", "b", "a"]


def test_explicit_splits_stay() -> None:
    graph = net(layer("Split", "s", "x", "a b"), layer("Power", "p", "a", "y"))
    assert [node.op.type for node in graph.nodes] == ["Input", "Split", "Power"]
    assert outputs(graph) == ["b", "y"]


def test_long_chains_are_linear() -> None:
    graph = net(layer("ReLU", "r", "x", "x") * 20_000)
    assert len({value.name for value in graph.values()}) == 20_001
    assert graph.outputs[0].name == "x"
