"""Every sample as a graph of one layer: expanded, differentiated, verified, run, printed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from graphc.autodiff import differentiate
from graphc.check.case import Case, all_cases, draw, forward, frozen, is_expanded, vjp, with_inner
from graphc.ir.clone import clone
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.infer import infer
from graphc.ir.op import Effect, Trait
from graphc.ir.text import print_graph
from graphc.ir.text_parser import parse_graph
from graphc.ir.types import Type
from graphc.ir.verify import verify
from graphc.ops.registry import all_ops, find
from graphc.ops.spec import F64
from graphc.passes.expand import Expand
from graphc.runtime.reference import ReferenceExecutor

CASES = all_cases()
each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
FEED = next(op for op in all_ops().values() if Trait.FEED in op.traits)


def one_layer(case: Case) -> Graph:
    """A feed for every bottom, then the layer; all tops are outputs. Weights as drawn."""
    bottoms = {r: Value(f"b_{r}", Type(t.shape)) for r, t in case.sig.ins.items()}
    role = FEED.roles(FEED.Attrs(), 0, 1)[1][0]
    nodes = [Node(FEED, f"feed_{r}", FEED.Attrs(), outs={role: v}) for r, v in bottoms.items()]
    tops = {role: Value(f"t_{role}") for role in case.sig.tops}
    nodes.append(Node(case.op, "layer", case.attrs, bottoms, tops, phase=case.sig.phase))
    graph = Graph("one", case.sig.phase, nodes, list(tops.values()))
    infer(graph, {v.name: typed(v).shape for v in bottoms.values()})
    values = draw(case)
    for role, value in nodes[-1].params.items():
        graph.weights[value.name] = np.array(values[role], np.float32)
    return graph


def expanded(case: Case) -> Graph:
    graph = one_layer(case)
    Expand().run(graph, None)  # type: ignore[arg-type]
    return graph


def execute(
    graph: Graph, values: Mapping[str, F64], seeds: Mapping[str, F64] | None = None
) -> dict[str, F64]:
    """All values of a forward, and with `seeds` of the backward, by name."""
    pinned = {v for n in graph.nodes for v in n.outs.values()}
    executor = ReferenceExecutor(clone(graph), pinned)
    graph = executor.graph
    executor.release.clear()
    executor.forward({v: values[v.name.removeprefix("b_")] for v in graph.inputs})
    if seeds is not None:
        executor.backward(seeds)
    return {value.name: array for value, array in executor.env.items()}


def as_executed(case: Case) -> dict[str, F64]:
    """The drawn values, parameters rounded to float32 as the executor keeps them."""
    values = draw(case)
    return {r: frozen(np.float32(a)) if r in case.sig.params else a for r, a in values.items()}


@each_case
def test_expansion_keeps_types_and_parameters(case: Case) -> None:
    before, after = one_layer(case), expanded(case)
    verify(before, 2)
    verify(after, 2)
    assert Expand().ensures(after) == ""
    assert [v.type for v in after.outputs] == [v.type for v in before.outputs]
    params = {v.name: v.type for v in before.param_values()}
    assert {v.name: v.type for v in after.param_values()} == params


@each_case
def test_gradient(case: Case) -> None:
    """Autodiff and executor give what the parts give; for an expanded layer, the differences."""
    if Effect.RNG in case.op.effects:
        pytest.skip("the executor draws its own random numbers")
    graph = expanded(case)
    plain = execute(graph, as_executed(case))
    differentiate(graph)
    verify(graph, 2)
    rng = np.random.default_rng(7)
    seeds = {v.name: rng.standard_normal(plain[v.name].shape) for v in graph.outputs}
    seeds = {name: seed for name, seed in seeds.items() if name in graph.seeds}
    found = execute(graph, as_executed(case), seeds)
    for role in case.sig.ins:
        grad = graph.grads.get(f"b_{role}")
        if grad is None:
            assert is_expanded(case) or not seeds or role not in {g.out for g in case.grads}
        elif is_expanded(case):
            slope = differences(graph, as_executed(case), role, seeds)
            assert np.allclose(found[grad.name], slope, rtol=1e-6, atol=1e-6), role
        else:
            assert np.allclose(found[grad.name], by_parts(case, role, seeds), rtol=1e-9), role


def by_parts(case: Case, role: str, seeds: Mapping[str, F64]) -> F64:
    """The sum of the layer's own backward parts for `role`."""
    values = forward(case, as_executed(case))
    tops = {f"d{t}": frozen(seeds.get(f"t_{t}", 0 * values[t])) for t in case.sig.tops}
    values = with_inner(case, {**values, **tops})
    summands = [vjp(case, g, values) for g in case.grads if g.out == role]
    return np.sum(summands, axis=0)


def differences(
    graph: Graph, values: Mapping[str, F64], role: str, seeds: Mapping[str, F64]
) -> F64:
    """Central differences of sum <top, seed> with respect to every element of `role`."""
    slopes = np.zeros(values[role].shape)
    for index in np.ndindex(slopes.shape):
        ends = []
        for step in (1e-5, -1e-5):
            moved = np.array(values[role])
            moved[index] += step
            tops = execute(graph, {**values, role: frozen(moved)})
            ends.append(sum(float((tops[name] * seed).sum()) for name, seed in seeds.items()))
        slopes[index] = (ends[0] - ends[1]) / 2e-5
    return slopes


@each_case
def test_inference_may_be_repeated(case: Case) -> None:
    """On a clone without types, which leaves the original alone."""
    graph = one_layer(case)
    copy = clone(graph)
    for node in copy.nodes:
        for value in node.outs.values():
            value.type = None
    infer(copy, {v.name: typed(v).shape for v in graph.inputs})
    verify(copy, 2)
    assert [v.type for v in copy.outputs] == [v.type for v in graph.outputs]
    copy.weights.clear()
    assert all(v.name in graph.weights for v in graph.param_values())


@each_case
def test_text_form(case: Case) -> None:
    """What is printed parses to a valid graph that prints the same; gradient nodes included."""
    graph = expanded(case)
    differentiate(graph)
    text = print_graph(graph)
    parsed = parse_graph(text, find)
    verify(parsed, 2)
    assert print_graph(parsed) == text
