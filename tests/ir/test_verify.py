"""One mutant per rule of the verifier: each must be refused by that very rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ir.mutants import MUTANTS, no_type, reads_nothing, wrong_top_type
from ir.verify_sample import Double, node, sample, top, with_inner_gradients

from graphc.errors import GraphError
from graphc.ir.graph import Graph, Node, Value
from graphc.ir.verify import RULES, verify
from graphc.ops.inner_product import InnerProductAttrs

CASES = [(rule, mutate) for rule, mutants in MUTANTS.items() for mutate in mutants]


def test_a_right_graph_passes_every_level() -> None:
    for level in (0, 1, 2):
        verify(sample(), level)


def test_inner_gradients_pass_every_level() -> None:
    graph = sample()
    with_inner_gradients(graph)
    verify(graph, 2)


def test_every_rule_has_a_mutant() -> None:
    assert [rule.__name__ for _, rule in RULES] == list(MUTANTS)


@pytest.mark.parametrize(("rule", "mutate"), CASES, ids=[f"{r}-{m.__name__}" for r, m in CASES])
def test_a_mutant_is_refused_by_its_rule(rule: str, mutate: Callable[[Graph], None]) -> None:
    graph = sample()
    mutate(graph)
    with pytest.raises(GraphError) as caught:
        verify(graph, 2)
    assert caught.value.code == "GC-V001"
    assert f"(rule {rule})" in caught.value.message


def test_the_message_names_layer_and_value() -> None:
    graph = sample()
    reads_nothing(graph)
    with pytest.raises(GraphError) as caught:
        verify(graph, 0)
    assert caught.value.layer == "double"
    assert caught.value.type_ == "Double"
    assert "'ghost'" in caught.value.message


def test_levels_are_cumulative() -> None:
    graph = sample()
    wrong_top_type(graph)
    node(graph, 3).attrs = InnerProductAttrs(num_output=5, bias_term=False)
    verify(graph, 1)
    with pytest.raises(GraphError):
        verify(graph, 2)
    no_type(graph)
    verify(graph, 0)
    with pytest.raises(GraphError):
        verify(graph, 1)


def test_a_repeated_input_is_read_twice() -> None:
    """One value under two roles is no second write."""
    graph = sample()
    graph.nodes.append(Node(Double, "again", None, {"x": top(graph, 2)}, {"y": Value("a")}))
    verify(graph, 0)
