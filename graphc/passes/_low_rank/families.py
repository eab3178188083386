"""Families: the layers that stand in place of one, found by their names and how they are joined."""

from __future__ import annotations

import re
from collections import Counter

from graphc.factor.decomposition import Factor, Paths
from graphc.ir.graph import Graph, Node, Value
from graphc.ops.convolution import Convolution
from graphc.ops.eltwise import Eltwise
from graphc.passes._low_rank.layers import LAYERS, bottom, conv_of, top
from graphc.records import record

CHAINS = (
    ("lowrank", "linear"),
    ("v", "h"),
    ("tkin", "tkcore", "tkout"),
    ("cpin", "cpv", "cph", "cpout"),
    ("dv", "dh", "mix"),
)
"""What the layers' names end in, after the original's and `_`, for methods of one path."""
SUM = "sum"
_PATH = re.compile(r"(.*)_(nd|bl)0_pw", re.DOTALL)


@record(frozen=True)
class Family:
    """`paths` from the bottom to the layer whose top is the original's; `sum` adds several up."""

    stem: str
    paths: tuple[tuple[Node, ...], ...]
    sum: Node | None = None

    @property
    def nodes(self) -> list[Node]:
        found = [node for path in self.paths for node in path]
        return found if self.sum is None else [*found, self.sum]

    @property
    def first(self) -> Node:
        return self.paths[0][0]

    @property
    def last(self) -> Node:
        return self.sum or self.paths[0][-1]

    @property
    def suffixes(self) -> tuple[str, ...]:
        return tuple(node.name.removeprefix(f"{self.stem}_") for node in self.paths[0])

    def factors(self, graph: Graph) -> Paths:
        """What the layers compute. Raises GC-T001 for weights that are not finite."""
        cut = len(self.stem) + 1
        return tuple(
            tuple(Factor(node.name[cut:], conv_of(graph, node)) for node in path)
            for path in self.paths
        )


def families(graph: Graph) -> list[Family]:
    """All of a graph, in the order of their first layers. Each inner top is read once, there."""
    finder = _Finder(graph)
    found = (finder.family(node) for node in graph.forward_nodes())
    return [family for family in found if family is not None]


class _Finder:
    def __init__(self, graph: Graph) -> None:
        self.users = graph.users()
        self.outputs = set(graph.outputs)
        self.shares = Counter(v.storage for n in graph.nodes for v in n.params.values())

    def family(self, node: Node) -> Family | None:
        """The family of which `node` is the first layer."""
        for suffixes in CHAINS:
            stem = node.name.removesuffix(f"_{suffixes[0]}")
            if stem != node.name:
                path = self._chain(node, [f"{stem}_{suffix}" for suffix in suffixes])
                return Family(stem, (path,)) if path else None
        match = _PATH.fullmatch(node.name)
        return self._sum(node, match[1], match[2]) if match else None

    def _chain(self, node: Node, names: list[str]) -> tuple[Node, ...]:
        """`node` and those after it, called `names`; nothing if there are no such."""
        path: list[Node] = []
        while node.name == names[len(path)] and self._is_plain(node):
            path.append(node)
            if len(path) == len(names):
                return tuple(path)
            follower = self._follower(top(node))
            if follower is None:
                break
            node = follower
        return ()

    def _is_plain(self, node: Node) -> bool:
        shared = any(self.shares[v.storage] > 1 for v in node.params.values())
        return node.op in LAYERS and len(node.ins) == 1 and not shared

    def _follower(self, value: Value) -> Node | None:
        readers = self.users.get(value, [])
        return readers[0][0] if len(readers) == 1 and value not in self.outputs else None

    def _sum(self, node: Node, stem: str, kind: str) -> Family | None:
        first = self._chain(node, [f"{stem}_{kind}0_pw", f"{stem}_{kind}0_dw"])
        if not first:
            return None
        adder = self._follower(top(first[-1]))
        if adder is None or adder.name != f"{stem}_{SUM}" or adder.op is not Eltwise:
            return Family(stem, (first,))
        if adder.attrs.operation != "SUM" or set(adder.attrs.coeff) - {1.0}:
            return None
        paths = []
        for at, value in enumerate(adder.ins.values()):
            last = value.producer
            start = bottom(last).producer if last is not None and last.op is Convolution else None
            if start is None or bottom(start) is not bottom(node):
                return None
            path = self._chain(start, [f"{stem}_{kind}{at}_pw", f"{stem}_{kind}{at}_dw"])
            if not path or path[-1] is not last:
                return None
            paths.append(path)
        return Family(stem, tuple(paths), adder)


__all__ = ["CHAINS", "SUM", "Family", "families"]
