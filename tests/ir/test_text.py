"""The text form: prints and parses exactly; anything else ends in GC-V002 with the line."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
from fuzz.mutations import mutate_text
from hypothesis import given
from hypothesis import strategies as st
from small_graphs import Builder, attrs, shape, small_graph

from graphc.autodiff import differentiate
from graphc.errors import GraphError, Loc
from graphc.ir.graph import Graph, Node, ParamSpec, Role, Value
from graphc.ir.op import Filler, Kind, Op, Param
from graphc.ir.text import parse_graph, print_graph
from graphc.ir.types import Type
from graphc.ir.verify import verify
from graphc.limits import Limits
from graphc.ops.registry import all_ops, find


@dataclass(frozen=True)
class Inner:
    a: int = 1
    b: tuple[float, ...] = ()


@dataclass(frozen=True)
class OddAttrs:
    count: int = 0
    ratio: float = 1.0
    flag: bool = False
    text: str = "x"
    mode: Literal["MAX", "AVE"] = "MAX"
    maybe: int | None = None
    pair: tuple[int, str] = (0, "")
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()
    nested: tuple[tuple[int, ...], ...] = ()
    filler: Filler | None = None


class Odd(Op):
    type = "Odd type"
    Attrs = OddAttrs
    bottoms, tops = (), ("y",)


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
    with pytest.raises(GraphError, match="GC-V001.*list"):
        print_graph(odd(OddAttrs(count=[1])))  # type: ignore[arg-type]


def test_a_lost_forward_node_is_refused() -> None:
    graph = small_graph()
    differentiate(graph)
    graph.nodes.remove(graph.node("fc2"))
    with pytest.raises(GraphError, match="GC-V001.*fc2"):
        print_graph(graph)


HEAD = 'graphc 1\nnet "n"\n'
ODD = HEAD + 'layer "n" "Odd type"\n'
BAD = {
    "": "ends before",
    "\n\nhello": "begin with",
    'graphc 2\nnet "n"': "version 2",
    "graphc 1\nlayer x Odd": "expected 'net'",
    HEAD + 'layer "n" Odd': "unknown",
    HEAD + "  top y x f32[1]": "means nothing here",
    HEAD + 'output "x"': "not stated before",
    HEAD + "free x f32[1]\nfree x f32[1]": "stated twice",
    HEAD + "free x f32[-1]": "out of range",
    HEAD + "free x f32[1": "end of the line",
    HEAD + "free x f64[1]": "f64",
    HEAD + "free x f32[1] lr_mult=2.0": "no parameter",
    HEAD + "free x f32[1.5]": "an integer",
    HEAD + 'free x kind=PARAM view_of="y"': "view_of='y'",
    HEAD + 'seed "a" "b"': "not stated before",
    ODD + "  attr count=1.5": "type int",
    ODD + "  attr count=99999999999999999999999999": "too large",
    ODD + "  attr ratio=1e999": "too large",
    ODD + "  attr ratio=1.2.3": "no number",
    ODD + "  attr flag=1": "type bool",
    ODD + "  attr mode=MIN": "one of",
    ODD + '  attr mode="MIN"': "one of",
    ODD + '  attr text="a': "unexpected",
    ODD + r'  attr text="\x"': "no string",
    ODD + "  attr pair=(1)": "1 values, expected 2",
    ODD + '  attr pair=(1, "a", 2)': "expected 2 values",
    ODD + "  attr inner=Outer(a=1)": "Inner",
    ODD + "  attr inner=Inner(c=1)": "no field 'c'",
    ODD + "  attr inner=Inner(a=1, a=2)": "there twice",
    ODD + "  attr countt=1": "did you mean 'count'",
    ODD + "  attr count=1\n  attr count=1": "there twice",
    ODD + "  attr count=1 2": "expected the end",
    ODD + "  attr count": "expected '='",
    ODD + "  attr nested=" + "(" * 100_000: "type int",
    ODD + "  in x y": "not stated before",
    ODD + "  top y y f32[1]\n  aux y z f32[1]": "there twice",
    ODD + "  top y y f32[1]\n  loss y": "ends too early",
    ODD + "  propagate true": "expected '('",
    HEAD + 'grad "n" "Odd type" of=0 part="dx"': "0 layers stand before",
    HEAD + 'layer "n" "Odd type" phase=NEVER': "one of",
    HEAD + 'layer "n" "Odd type" colour=3': "colour",
}


@pytest.mark.parametrize("text", BAD)
def test_errors(text: str) -> None:
    with pytest.raises(GraphError, match=BAD[text].replace("(", r"\(")) as caught:
        parse_graph(text, lambda n: Odd if n == Odd.type else find(n), file="g.txt")
    assert caught.value.code in ("GC-V002", "GC-S001", "GC-N001")
    assert caught.value.loc is not None and caught.value.loc.file == "g.txt"


def test_the_line_is_named() -> None:
    with pytest.raises(GraphError) as caught:
        parse_graph(ODD + "  attr count=1\n  attr flag=3\n", lambda n: Odd)
    assert str(caught.value.loc) == "graph.txt:5"


def test_missing_fields_are_told_at_the_header() -> None:
    @dataclass(frozen=True)
    class Needs:
        n: int

    class Needy(Odd):
        Attrs = Needs

    with pytest.raises(GraphError, match="graph.txt:3: GC-V002") as caught:
        parse_graph(HEAD + "layer a Needy\n\n\n# end", lambda n: Needy)
    assert "Needs" in caught.value.message


def test_limits() -> None:
    text = print_graph(small_graph())
    for limits in (Limits(text_bytes=100), Limits(text_tokens=50), Limits(layers=3)):
        with pytest.raises(GraphError, match="GC-L001"):
            parse_graph(text, find, limits=limits)


def test_mutated_text_gives_only_graph_errors() -> None:
    graph = small_graph()
    differentiate(graph)
    text = print_graph(graph)
    refused = 0
    for seed in range(400):
        try:
            parse_graph(mutate_text(text, np.random.default_rng(seed)), find)
        except GraphError as error:
            refused += 1
            assert str(error)
    assert refused > 100


def test_truncated_text_gives_only_graph_errors() -> None:
    text = print_graph(small_graph())
    for end in range(0, len(text), 7):
        try:
            parse_graph(text[:end], find)
        except GraphError as error:
            assert error.code in ("GC-V002", "GC-N001")


def test_parsing_imports_only_the_ir() -> None:
    script = (
        "import sys, graphc.ir.text\n"
        "rooms = {m.split('.')[1] for m in sys.modules if m.startswith('graphc.')}\n"
        "print(sorted(rooms - {'ir', 'errors', 'codes', 'limits', 'config'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
