"""cost: what a draft computes and moves, and what that takes on a device that is nothing but a
roofline."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from graphc.ir.graph import Graph, Sigs, Value, typed
from graphc.lower._draft import Draft
from graphc.ops.kernel import Cost
from graphc.ops.spec import OpSpec
from graphc.ops.update.rule import gradient_of
from graphc.records import record


@record(frozen=True, slots=True)
class Roofline:
    """`flops`: FLOP/s that sums of products reach; `bandwidth`: bytes/s; `start_us` per call."""

    flops: float
    bandwidth: float
    start_us: float

    def microseconds(self, cost: Cost) -> float:
        """The longer of computing (2 FLOP per multiply-add) and moving the operands, and start."""
        compute, move = 2 * cost.macs / self.flops, (cost.read + cost.write) / self.bandwidth
        return self.start_us + 1e6 * max(compute, move)


V100 = Roofline(flops=0.7 * 15.7e12, bandwidth=0.8 * 900e9, start_us=5.0)
"""NVIDIA V100 in float32 at shares of its peaks that libraries reach: the device of published
figures."""

H200 = Roofline(flops=0.7 * 67e12, bandwidth=0.9 * 4.8e12, start_us=3.0)
"""NVIDIA H200 in float32 without tensor cores, at such shares."""


def costs_of(graph: Graph) -> Callable[[Draft], Cost]:
    """A function from a draft of `graph` to what it computes and moves."""
    sigs = Sigs(graph.env)

    def macs(draft: Draft) -> int:
        node = graph.nodes[draft.node]
        if draft.mover or draft.is_sum:
            return 0
        owner = node.of or node
        part = gradient_of(draft.part)
        return cast("type[OpSpec]", owner.op).macs(owner.attrs, part, sigs[owner])

    return lambda draft: Cost(macs(draft), _nbytes(draft.reads), _nbytes(draft.writes))


def _nbytes(operands: list[tuple[str, Value]]) -> int:
    return sum(typed(value).nbytes for _, value in operands)


__all__ = ["H200", "V100", "Roofline", "costs_of"]
