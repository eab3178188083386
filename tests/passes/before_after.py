"""Before and after a pass, both as the IR's text form."""

from __future__ import annotations

from textwrap import dedent
from types import SimpleNamespace

from graphc.ir.graph import Graph
from graphc.ir.text import parse_graph, print_graph
from graphc.ir.verify import verify
from graphc.ops.registry import find
from graphc.passes.base import Pass, Report


def parsed(text: str) -> Graph:
    graph = parse_graph("graphc 1\n" + dedent(text), find)
    verify(graph, 2)
    return graph


def check(each: Pass, before: str, expected: str, *pinned: str) -> Report:
    """Run a pass on a graph's text; it must give the expected one. Returns the report."""
    graph = parsed(before)
    report = each.run(graph, SimpleNamespace(pinned=frozenset(pinned)))  # type: ignore[arg-type]
    verify(graph, 2)
    assert print_graph(graph, places=False) == print_graph(parsed(expected), places=False)
    assert report.name == each.name and report.changed is (before != expected)
    return report
