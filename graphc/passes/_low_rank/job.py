"""Job: one layer to be decomposed, its decomposition, and the ranks it may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from graphc.errors import GraphError, fail
from graphc.factor.allocation import Candidate
from graphc.factor.conv import Conv
from graphc.factor.decomposition import Decomposition, Paths
from graphc.factor.methods import METHODS
from graphc.factor.ranks import rank_by
from graphc.factor.separable import Tai
from graphc.factor.tucker import Tucker
from graphc.ir.graph import Graph, Node
from graphc.passes._low_rank.choice import MIXED, Choice
from graphc.passes._low_rank.layers import conv_of, samples_of, sizes_of

SMALL_KERNEL = 3
"""Method mixed separates kernels that are larger, as those of AlexNet's first layers."""


Rng: TypeAlias = Callable[[str], np.random.Generator]
"""A stream of random numbers for each tag."""


class Job:
    """A layer `node`, its `choice`, and its weights `conv`."""

    def __init__(self, graph: Graph, rng: Rng, node: Node, choice: Choice) -> None:
        self.node, self.choice = node, choice
        self.conv: Conv = conv_of(graph, node)
        self.sizes, self.samples = sizes_of(node), samples_of(node)
        self._rng = rng

    @property
    def macs(self) -> int:
        """Multiply-adds of a forward as it is."""
        return self.conv.macs(self.sizes) * self.samples

    def why_not(self, method: str) -> str:
        return METHODS[self.method(method)].why_not(self.conv)

    def method(self, name: str) -> str:
        """The method that `name` stands for: mixed is tai for large kernels, else pca."""
        if name != MIXED:
            return name
        is_large = max(self.conv.kernel, default=1) > SMALL_KERNEL
        return "tai" if is_large and not Tai.why_not(self.conv) else "pca"

    def decomposed(self, method: str) -> Decomposition:
        rng = self._rng(f"low_rank {self.node.name}")
        return METHODS[self.method(method)](self.conv, rng)

    def rank(self, found: Decomposition) -> int:
        """The rank, per group, that the choice gives. Raises GC-T001 for one out of range."""
        choice, width = self.choice, found.width
        if choice.rank is not None:
            if isinstance(found, Tucker) and choice.inner is not None:
                most = found.full_inner * width
                self._check(choice.inner, most, "inputs' rank")
                found.inner = -(-choice.inner // width)
            self._check(choice.rank, found.full * width, "rank")
            return -(-choice.rank // width)
        try:
            return self.rounded(found, rank_by(choice.rule, choice.value, found, self.sizes))
        except GraphError as error:
            error.message = f"low_rank: {self.node.name!r}: {error.message}"
            raise

    def _check(self, rank: int, most: int, what: str) -> None:
        told = f"low_rank: {what} {rank} of {self.node.name!r}"
        if rank < 1:
            fail("GC-T001", f"{told} is none", "ranks count from 1")
        if rank > most:
            hint = f"give at most {most}; at less nothing is lost but by choice: error=0.05"
            fail("GC-T001", f"{told} is above its full {what}, {most}", hint)

    def rounded(self, found: Decomposition, rank: int) -> int:
        """The next rank that is a multiple of the choice's `round`, in all groups together."""
        step, width = self.choice.round, found.width
        return min(found.full, -(-(-(-rank * width // step) * step) // width))

    def candidate(self, found: Decomposition, metric: str) -> Candidate:
        """What a budget sees; `metric`: "macs" or "params". Raises GC-T001 where errors by rank are
        not known."""
        if found.left is None:
            hint = "give a rank or an error"
            fail("GC-T001", f"low_rank: method {found.name} cannot share a budget", hint)
        ranks = range(1, found.full + 1)
        if metric == "macs":
            costs = [found.macs(rank, self.sizes) * self.samples for rank in ranks]
            whole = self.macs
        else:
            costs, whole = [found.params(rank) for rank in ranks], self.conv.params
        step = -(-self.choice.round // found.width)
        return Candidate(found.left, np.array([0, *costs], float), float(whole), step)

    def told(self, found: Decomposition, rank: int, paths: Paths) -> str:
        """The rank in words."""
        width, full = found.width, found.full * found.width
        text = f"{found.name}, rank {rank * width} of {full}"
        if isinstance(found, Tucker):
            return f"{text}, inputs' {paths[0][0].conv.outputs} of {found.full_inner * width}"
        return text


__all__ = ["Job", "Rng"]
