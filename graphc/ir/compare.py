"""difference: where two graphs differ, by their text form; weights are not compared."""

from __future__ import annotations

from itertools import zip_longest

from graphc.ir.graph import Graph
from graphc.ir.text import print_graph


def difference(a: Graph, b: Graph) -> str:
    """The first line that differs, as `n: 'line of a' / 'line of b'`; empty if there is none.

    Everything but weights, source places, notes and history counts: names, order, attributes,
    types, parameters and how they are shared, losses, outputs, gradients.
    """
    lines = zip_longest(*(print_graph(g, places=False).split("\n") for g in (a, b)), fillvalue="")
    for number, (left, right) in enumerate(lines, 1):
        if left != right:
            return f"{number}: {left!r} / {right!r}"
    return ""


__all__ = ["difference"]
