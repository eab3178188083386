"""Graph -> prototxt -> Graph gives an equal graph, and text that people can read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from small_graphs import Builder, attrs, shape, small_graph

from graphc.errors import GraphError
from graphc.front import parse_net, read_net
from graphc.front.blobs import blob_names
from graphc.front.export import to_prototxt
from graphc.front.printer import print_message
from graphc.front.schema import union
from graphc.ir.compare import difference
from graphc.ir.edit import bypass
from graphc.ir.graph import Graph
from graphc.ir.infer import infer
from graphc.ir.provenance import Record
from graphc.ir.types import Phase

PHASES: tuple[Phase, ...] = ("TRAIN", "TEST")


def there_and_back(graph: Graph) -> Graph:
    text = to_prototxt(graph)
    again = parse_net(text, phase=graph.phase, level=graph.level, file=graph.file)
    if graph.shaped:
        infer(again)
    assert difference(graph, again) == ""
    assert to_prototxt(again) == text
    return again


def layer(name: str, type_: str, bottoms: str, tops: str, more: str = "") -> str:
    lines = [f'name: "{name}" type: "{type_}"']
    lines += [f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in tops.split()]
    return "layer { " + " ".join([*lines, more]) + " }\n"


DATA = layer("in", "Input", "", "x t", "input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } }")
FC = "inner_product_param { num_output: 3 }"
NETS = {
    "in place, three times": layer("a", "InnerProduct", "x", "y", FC)
    + layer("r", "ReLU", "y", "y")
    + layer("s", "Sigmoid", "y", "y"),
    "in place, layers of one name": layer("a", "InnerProduct", "x", "y", FC)
    + layer("r", "ReLU", "y", "y") * 3,
    "in place after a split": layer("a", "InnerProduct", "x", "y", FC)
    + layer("b", "Sigmoid", "y", "z")
    + layer("r", "ReLU", "y", "y"),
    "in place with two bottoms": layer("a", "InnerProduct", "x", "y", FC)
    + layer("e", "Eltwise", "y x", "y"),
    "twice the same bottom": layer("a", "InnerProduct", "x", "y", FC)
    + layer("e", "Eltwise", "y y", "y"),
    "second bottom's name": layer("a", "InnerProduct", "x", "y@b", FC)
    + layer("b", "Eltwise", "x y@b", "z"),
    "in place split": layer("s", "Split", "x", "x u"),
    "loss without top": layer("a", "SoftmaxWithLoss", "x t", ""),
    "loss without top, weighted": layer("a", "SoftmaxWithLoss", "x t", "", "loss_weight: 3"),
    "loss weight 0": layer("a", "SoftmaxWithLoss", "x t", "l", "loss_weight: 0"),
    "loss weight 1 of a loss that is read": layer(
        "a", "SoftmaxWithLoss", "x t", "l", "loss_weight: 1"
    )
    + layer("b", "ReLU", "l", "m"),
    "default weight of a loss that is read": layer("a", "SoftmaxWithLoss", "x t", "l")
    + layer("b", "ReLU", "l", "m"),
    "a loss that is none": layer("r", "ReLU", "x", "y", "loss_weight: 0.1"),
    "weights of two tops": layer("s", "Slice", "x", "a b", "loss_weight: 0 loss_weight: 2 "
                                 "slice_param { axis: 0 }"),
    "phase": layer("r", "Dropout", "x", "y", "phase: TRAIN") + layer("s", "Dropout", "x", "z"),
    "propagate_down": layer("r", "InnerProduct", "x", "y", FC + " propagate_down: false"),
    "shared": layer("a", "InnerProduct", "x", "y", FC + ' param { name: "W" lr_mult: 0.1 }')
    + layer("b", "InnerProduct", "x", "z", FC + ' param { name: "W" } param { decay_mult: 0 }'),
    "shared by count": layer("a", "InnerProduct", "x", "y", FC + ' param { name: "W" }')
    + layer(
        "b",
        "InnerProduct",
        "y",
        "z",
        FC + ' param { name: "W" share_mode: PERMISSIVE }',
    ),
    "quotes and more": layer('a\\"b\\\\', "ReLU", "x", "y\\n\\001z\u00e9\\t'"),
    "numbers": layer("p", "Power", "x", "y", "power_param { scale: 1e-9 shift: -1.1e20 }"),
    "special numbers": layer("p", "Power", "x", "y", "power_param { scale: inf shift: nan }"),
    "nested": layer("c", "InnerProduct", "x", "y", "inner_product_param { num_output: 3 "
                    'weight_filler { type: "gaussian" std: 0.01 } bias_filler { value: 0.5 } }'),
    "force_backward": "force_backward: true\n",
    "stages": 'state { stage: "deploy" stage: "x" }\n' + layer("r", "ReLU", "x", "y"),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("with_shapes", [False, True])
def test_round_trip(name: str, with_shapes: bool) -> None:
    graph = parse_net('name: "n"\n' + DATA + NETS[name], phase="TEST")
    if with_shapes:
        infer(graph)
    there_and_back(graph)


def test_in_place_layers_stay_in_place() -> None:
    text = to_prototxt(parse_net(DATA + NETS["in place, three times"]))
    assert text.count('top: "y"') == 3 and "@" not in text


def test_a_version_that_is_read_later_gets_a_name_of_its_own() -> None:
    """Caffe could not write this: the old version is read after the new one is made."""
    graph = parse_net(DATA + NETS["in place after a split"] + layer("c", "ReLU", "x", "y_a"))
    head, a, b, r, c = graph.nodes
    graph.nodes = [head, a, r, b, c]
    assert sorted(blob_names(graph).values()) == ["t", "x", "y", "y_a", "y_a_2", "z"]
    again = parse_net(to_prototxt(graph))
    assert again.node("b").ins["x"] is again.node("r").ins["x"] is again.node("a").outs["y"]
    assert again.node("r").outs["y"].name == "y"


def test_a_version_that_is_an_output_gets_a_name_of_its_own() -> None:
    graph = parse_net(DATA + NETS["in place, three times"])
    graph.outputs.append(graph.node("a").outs["y"])
    assert 'top: "y_a"' in to_prototxt(graph)


def test_after_a_layer_was_taken_out() -> None:
    for name in ("r", "s"):
        graph = parse_net(DATA + NETS["in place, three times"])
        node = graph.node(name)
        assert bypass(graph, node, node.outs["y"], node.ins["x"], ())
        again = there_and_back(graph)
        assert [n.name for n in again.nodes] == ["in", "a", "s" if name == "r" else "r"]
        assert again.outputs[0].name == "t" or again.outputs[-1].name == "y"


def test_an_input_keeps_its_name() -> None:
    """What was made in place of it is gone, or has become another blob."""
    head = layer("p", "Power", "x", "x") + layer("a", "InnerProduct", "x", "y", FC)
    graph = parse_net(DATA + head)
    node = graph.node("p")
    graph.node("a").ins["x"] = node.ins["x"]
    graph.nodes.remove(node)
    again = parse_net(to_prototxt(graph))
    assert [v.name for v in again.inputs] == ["x", "t"] and again.node("a").ins["x"].name == "x"
    graph = parse_net(DATA + layer("p", "Power", "x", "x") + layer("q", "Power", "x", "z"))
    graph.node("q").ins["x"] = graph.node("p").ins[
        "x"
    ]  # read by another layer after it was written
    assert [v.name for v in parse_net(to_prototxt(graph)).inputs] == ["x_in", "t"]


def test_what_nobody_reads_any_more_becomes_no_output() -> None:
    cut = "slice_param { axis: 0 }"
    graph = parse_net(
        DATA + layer("s", "Slice", "x", "a b", cut) + layer("silence", "ReLU", "b", "c")
    )
    graph.nodes.remove(graph.node("silence"))
    graph.outputs = [v for v in graph.outputs if v.name != "c"]
    text = to_prototxt(graph)
    again = parse_net(text)
    assert [v.name for v in again.outputs] == [v.name for v in graph.outputs] == ["a", "t"]
    last = again.nodes[-1]
    assert last.name == "silence" and [v.name for v in last.ins.values()] == ["b"]
    assert to_prototxt(again) == text


def test_parameters_that_a_pass_made_shared() -> None:
    graph = parse_net(DATA + layer("a", "InnerProduct", "x", "y", FC)
                      + layer("b", "InnerProduct", "x", "z", FC))  # fmt: skip
    infer(graph)
    a, b = graph.node("a"), graph.node("b")
    b.params["bias"] = a.params["bias"]
    again = parse_net(to_prototxt(graph))
    infer(again)
    assert again.node("a").params["bias"] is again.node("b").params["bias"]
    assert again.node("a").params["weight"] is not again.node("b").params["weight"]


def test_inputs_state_their_real_shapes() -> None:
    graph = parse_net(layer("in", "Input", "", "x") + layer("r", "ReLU", "x", "y"))
    infer(graph, {"x": (1, 3, 8, 8)})
    assert "shape { dim: 1 dim: 3 dim: 8 dim: 8 }" in to_prototxt(graph)


def test_history_stands_in_comments() -> None:
    graph = small_graph()
    graph.history.append(Record("evil", True, ("a\nlayer { }",)))
    graph.history.append(Record("idle", False, ("nothing",)))
    text = to_prototxt(graph)
    assert text.startswith("# fold: one; two\n# evil: a layer { }\nname:") and "idle" not in text
    parse_net(text, phase="TRAIN")


def test_gradients_are_left_out() -> None:
    from graphc.autodiff import differentiate

    graph = small_graph()
    text = to_prototxt(graph)
    assert to_prototxt(differentiate(graph)) == text


def test_built_graph() -> None:
    graph = small_graph()
    graph.history.clear()
    there_and_back(graph)


def test_layout() -> None:
    graph = parse_net('name: "n"\n' + DATA + NETS["nested"])
    assert to_prototxt(graph).endswith(
        """\
layer {
  name: "c"
  type: "InnerProduct"
  bottom: "x"
  top: "y"
  inner_product_param {
    num_output: 3
    weight_filler { type: "gaussian" std: 0.01 }
    bias_filler { value: 0.5 }
  }
}
"""
    )


def test_values_that_no_field_holds() -> None:
    b = Builder()
    b.add("Input", "in", [], ["x"], attrs=attrs("Input", shape=(shape(1, 1 << 70),)))
    with pytest.raises(GraphError, match=r"GC-N008.*'in'"):
        to_prototxt(b.graph)
    b = Builder()
    b.add("Input", "\ud800", [], ["x"], attrs=attrs("Input", shape=(shape(1),)))
    with pytest.raises(GraphError, match="GC-N008"):
        to_prototxt(b.graph)


@pytest.mark.parametrize("phase", PHASES)
def test_networks_of_the_zoo(shared: Path, phase: Phase) -> None:
    tried = 0
    for path in sorted((shared / "zoo").glob("*/*.prototxt")):
        if "solver" not in path.name and "autoencoder" not in path.name:
            there_and_back(read_net(path, phase=phase))
            tried += 1
    assert tried > 20


@pytest.mark.parametrize("phase", PHASES)
def test_networks_of_the_goldens(shared: Path, phase: Phase) -> None:
    for path in sorted((shared / "golden/layers").glob("*.prototxt")):
        there_and_back(read_net(path, phase=phase))


@given(st.floats(width=32))
def test_floats_are_shortest_and_exact(value: float) -> None:
    message = union().new("FillerParameter")
    message.value = value
    [line] = print_message(message)
    again = union().new("FillerParameter")
    text_format.Parse(line, again)
    assert np.float32(again.value).tobytes() == np.float32(value).tobytes() or math.isnan(value)
    if math.isfinite(value):
        text = line.removeprefix("value: ")
        assert len(text.strip("-").replace(".", "").split("e")[0].strip("0")) <= 9


@given(st.text(st.characters(codec="utf-8")))
def test_strings(value: str) -> None:
    message = union().new("NetParameter")
    message.name = value
    again = union().new("NetParameter")
    text_format.Parse("\n".join(print_message(message)), again)
    assert again.name == value


def test_difference_finds_the_line() -> None:
    a, b = small_graph(), small_graph()
    assert difference(a, b) == ""
    b.node("fc").outs["y"].name = "other"
    assert "'  top y \"fc\" f32[2,5]' / '  top y \"other\" f32[2,5]'" in difference(a, b)
    b.nodes.pop()
    assert difference(a, b)
