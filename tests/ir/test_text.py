"""The text form: prints and parses exactly; anything else ends in GC-V002 with the line."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir.odd_layer import Inner, Odd, OddAttrs
from small_graphs import Builder, attrs, shape, small_graph

from graphc.autodiff import differentiate
from graphc.errors import GraphError, Loc
from graphc.ir.graph import Graph, Node, ParamSpec, Role, Value
from graphc.ir.op import Filler, Kind, Param
from graphc.ir.text import parse_graph, print_graph
from graphc.ir.types import Type
from graphc.ir.verify import verify
from graphc.ops.registry import all_ops, find


def odd(given: OddAttrs) -> Graph:
    return Graph(nodes=[Node(Odd, "n", given, outs={"y": Value("y", Type((1,)))})])


def there_and_back(graph: Graph) -> Graph:
    text = print_graph(graph)
    again = parse_graph(text, lambda name: Odd if name == Odd.type else find(name))
    assert print_graph(again) == text
    return again


def node_facts(node: Node) -> dict[str, Any]:
    """All of a node but its links, which are given by name."""
    facts = {f.name: getattr(node, f.name) for f in dataclasses.fields(node)}
    facts["of"] = node.of and node.of.name
    for table in ("ins", "outs", "params"):
        facts[table] = [(role, value_facts(v)) for role, v in facts[table].items()]
    return facts


def value_facts(value: Value) -> dict[str, Any]:
    facts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    facts["producer"] = value.producer and value.producer.name
    facts["view_of"] = value.view_of and value.view_of.name
    return facts


@pytest.mark.parametrize("with_gradients", [False, True])
def test_every_fact_survives(with_gradients: bool) -> None:
    graph = small_graph()
    if with_gradients:
        differentiate(graph)
    again = there_and_back(graph)
    assert [node_facts(n) for n in again.nodes] == [node_facts(n) for n in graph.nodes]
    for name in ("name", "phase", "level", "stages", "force_backward", "file"):
        assert getattr(again, name) == getattr(graph, name)
    assert [v.name for v in again.outputs] == [v.name for v in graph.outputs]
    for table in ("seeds", "grads"):
        assert {k: value_facts(v) for k, v in getattr(again, table).items()} == {
            k: value_facts(v) for k, v in getattr(graph, table).items()
        }
    again.weights = graph.weights
    verify(again, 2)


def test_links_are_the_same_objects() -> None:
    graph = small_graph()
    differentiate(graph)
    again = there_and_back(graph)
    fc, fc2 = again.node("fc"), again.node("fc2")
    assert fc.params["weight"] is fc2.params["weight"]
    grads = [n for n in again.nodes if n.role is Role.GRAD and n.of is fc]
    assert {n.part for n in grads} == {"dx", "dweight", "dbias"}
    assert grads[0].ins["weight"] is fc.params["weight"]


def test_a_view_and_its_owner() -> None:
    graph = small_graph()
    fc = graph.node("fc")
    owner = fc.params["weight"]
    view = Value("v", Type((64, 5)), Kind.PARAM, spec=Param("weight", (64, 5)), view_of=owner)
    graph.node("fc2").params["weight"] = view
    again = there_and_back(graph)
    assert again.node("fc2").params["weight"].view_of is again.node("fc").params["weight"]
    graph.nodes.remove(fc)  # the owner is then stated by itself
    del graph.outputs[:]
    graph.nodes = [n for n in graph.nodes if n.name != "loss"]
    again = there_and_back(graph)
    found = again.node("fc2").params["weight"].view_of
    assert found is not None and found.spec == owner.spec and found.kind is Kind.PARAM


def test_unshaped_graph() -> None:
    b = Builder()
    b.add("Input", "in", [], ["data"])
    b.add("ReLU", "r", ["data"], ["data"])
    assert there_and_back(b.graph).nodes[1].outs["y"].type is None


def test_phase_of_a_layer_and_place_in_another_file() -> None:
    b = Builder(phase="TEST", level=2, stages=("a", 'b"'))
    node = b.add("Input", "in", [], ["d"], attrs=attrs("Input", shape=(shape(1),)))
    node.phase, node.loc = "TRAIN", Loc("other file\n", 0)
    again = there_and_back(b.done())
    assert again.nodes[0].phase == "TRAIN" and again.nodes[0].loc == Loc("other file\n", 0)
    assert again.level == 2 and again.stages == ("a", 'b"')
    text = print_graph(b.graph, places=False)
    assert "other file" not in text and parse_graph(text, find).nodes[0].loc is None


FLOATS = [0.1, -0.0, 1e-300, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, 1.0, 3]


@pytest.mark.parametrize("number", FLOATS)
def test_floats_exactly(number: float) -> None:
    found = there_and_back(odd(OddAttrs(ratio=number))).nodes[0].attrs.ratio
    assert repr(found) == repr(number)


def test_nan() -> None:
    assert math.isnan(there_and_back(odd(OddAttrs(ratio=math.nan))).nodes[0].attrs.ratio)


texts = st.text(st.characters(codec=None), max_size=20)
inner = st.builds(Inner, st.integers(-(2**63), 2**64), st.tuples(st.floats(allow_nan=False)))


@given(
    st.builds(
        OddAttrs,
        st.integers(-(2**63), 2**64),
        st.floats(allow_nan=False),
        st.booleans(),
        texts,
        st.sampled_from(["MAX", "AVE"]),
        st.none() | st.integers(-5, 5),
        st.tuples(st.integers(0, 3), texts),
        inner,
        st.lists(inner, max_size=3).map(tuple),
        st.lists(st.lists(st.integers(0, 9), max_size=2).map(tuple), max_size=3).map(tuple),
        st.none() | st.builds(Filler, texts, st.floats(allow_nan=False)),
    ),
    texts,
)
def test_any_attributes_and_names(given_attrs: OddAttrs, name: str) -> None:
    graph = odd(given_attrs)
    graph.nodes[0].name = graph.name = graph.file = name
    graph.nodes[0].specs = (ParamSpec(name, "PERMISSIVE", 0.5, None),)
    again = there_and_back(graph)
    assert again.nodes[0].attrs == given_attrs
    assert (again.name, again.nodes[0].name, again.nodes[0].specs) == (
        name,
        name,
        graph.nodes[0].specs,
    )


@pytest.mark.parametrize("type_", list(all_ops()))
def test_attributes_of_every_layer(type_: str) -> None:
    op = find(type_)
    for sample in op.samples:
        if sample.attrs is None:
            continue
        value = Value("y", Type((1,)))
        graph = Graph(nodes=[Node(op, "n", sample.attrs, outs={"y": value})])
        assert there_and_back(graph).nodes[0].attrs == sample.attrs


def test_strange_attributes_are_refused() -> None:
    with pytest.raises(GraphError, match=r"GC-V001.*list"):
        print_graph(odd(OddAttrs(count=[1])))  # type: ignore[arg-type]


def test_a_lost_forward_node_is_refused() -> None:
    graph = small_graph()
    differentiate(graph)
    graph.nodes.remove(graph.node("fc2"))
    with pytest.raises(GraphError, match=r"GC-V001.*fc2"):
        print_graph(graph)


def test_parsing_imports_only_the_ir() -> None:
    script = (
        "import sys, graphc.ir.text\n"
        "rooms = {m.split('.')[1] for m in sys.modules if m.startswith('graphc.')}\n"
        "below = {'errors', 'codes', 'limits', 'config', 'records', 'floats', 'numpy_later'}\n"
        "print(sorted(rooms - below - {'ir'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
