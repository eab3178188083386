"""Before and after a pass, both as the IR's text form, and what both compute."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import numpy as np

from graphc.driver import assemble, compile
from graphc.ir.clone import clone
from graphc.ir.graph import Graph, typed
from graphc.ir.op import Kind
from graphc.ir.text import parse_graph, print_graph
from graphc.ir.verify import verify
from graphc.ops.registry import find
from graphc.passes.base import Pass, Report
from graphc.services import Services, sample_inputs

TOLERANCE = 1e-6
"""Of the largest element: the reference executor computes in float64, weights are float32."""


def parsed(text: str) -> Graph:
    graph = parse_graph("graphc 1\n" + dedent(text), find)
    verify(graph, 2)
    return graph


def check(
    each: Pass,
    before: str,
    expected: str,
    *pinned: str,
    weights: dict[str, Any] | None = None,
    train: bool = False,
) -> Report:
    """Run a pass on a graph's text; it must give the expected one, which computes the same.

    `weights`: arrays (or one number for all elements) by parameter; others are random. Returns the
    report.
    """
    graph = parsed(before)
    fill(graph, weights or {})
    ctx = Services(assemble, frozenset(pinned), train=train)
    old = outputs(graph)
    report = each.run(graph, ctx)
    verify(graph, 2)
    assert print_graph(graph, places=False) == print_graph(parsed(expected), places=False)
    assert report.name == each.name and report.changed is (before != expected)
    new = outputs(graph)
    for name in {v.name for v in graph.outputs} | set(pinned):
        close(new[name], old[name], name)
    return report


def close(new: Any, old: Any, what: str = "", tolerance: float = TOLERANCE) -> None:
    """Equal within `tolerance` of the largest element."""
    scale = np.abs(old[np.isfinite(old)]).max(initial=1e-30)
    np.testing.assert_allclose(new, old, rtol=0, atol=tolerance * scale, err_msg=what)


def outputs(graph: Graph, target: str = "reference") -> dict[str, Any]:
    """Every blob of the graph on random inputs."""
    feeds = sample_inputs(graph)
    with compile(clone(graph), target=target, passes=(), keep="all") as exe:
        return exe.forward(feeds)


def fill(graph: Graph, given: dict[str, Any]) -> None:
    """Random weights, statistics as they are after training."""
    rng = np.random.default_rng(7)
    for value in graph.param_values():
        shape = typed(value).shape
        array = rng.normal(size=shape) + 0.1
        if value.kind is Kind.STATE and not value.name.endswith("mean"):
            array = rng.uniform(0.5, 2, shape)
        found = np.broadcast_to(given.get(value.name, array), shape)
        graph.weights[value.name] = found.astype(np.float32)
    assert set(given) <= set(graph.weights), "weights are given for no parameter"
