"""Budgets: ranks for all layers together, by multiply-adds, bytes, measured time or accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from graphc.count import macs
from graphc.errors import fail
from graphc.factor.allocation import allocate, least
from graphc.factor.ranks import rank_by
from graphc.ir.clone import clone
from graphc.ir.graph import Graph, Node
from graphc.passes._low_rank.chain import put_chains
from graphc.passes._low_rank.job import Job
from graphc.passes._low_rank.layers import top
from graphc.passes._low_rank.timing import fastest_us
from graphc.passes._scoring import accuracy
from graphc.passes.base import PassContext
from graphc.records import record

STEPS = 7
"""Halvings of the range in which a share of the multiply-adds, or an error, is looked for."""
MOST_ERROR = 0.9
Ranks = dict[Job, int]
T = TypeVar("T")


@record(frozen=True)
class Budget:
    """`metric` "macs", "bytes" or "latency": the share of the network's that may be left; or
    "accuracy_drop": the share of samples by which fewer may be right."""

    metric: str
    value: float


class Allocator:
    """Finds ranks for `jobs` of one method each within a budget."""

    def __init__(self, graph: Graph, ctx: PassContext, jobs: Sequence[Job], budget: Budget) -> None:
        self.graph, self.ctx, self.jobs, self.budget = graph, ctx, jobs, budget
        self.found = {job: job.decomposed(job.choice.method) for job in jobs}

    def ranks(self) -> Ranks:
        """The ranks; a job that is not there stays as it is. Raises GC-T001 for a budget that
        cannot be reached, GC-R001 for labels that do not fit."""
        metric, value = self.budget.metric, self.budget.value
        if metric == "accuracy_drop":
            return self._by_accuracy(value)
        if metric == "latency":
            return self._by_time(value)
        return self._shared("macs" if metric == "macs" else "params", value)

    def _shared(self, cost: str, share: float) -> Ranks:
        candidates = [job.candidate(self.found[job], cost) for job in self.jobs]
        whole = self._whole(cost)
        fixed = whole - sum(c.whole for c in candidates)
        if fixed + least(candidates) > share * whole:
            self._unreachable((fixed + least(candidates)) / whole)
        ranks = allocate(candidates, share * whole - fixed)
        return {job: r for job, r in zip(self.jobs, ranks, strict=True) if r is not None}

    def _whole(self, cost: str) -> float:
        if cost == "macs":
            return float(sum(map(macs, self.graph.forward_nodes())))
        return float(sum(v.type.size for v in self.graph.param_values() if v.type is not None))

    def _unreachable(self, lowest: float) -> None:
        metric, value = self.budget.metric, self.budget.value
        told = f"low_rank: {metric}={value:g} cannot be reached"
        fail("GC-T001", told, f"with every rank at 1, {lowest:.3g} is left: the least reachable")

    def _by_time(self, share: float) -> Ranks:
        """The largest share of multiply-adds whose measured time is within the budget."""
        before = self._us({})
        lowest = self._lowest()
        ranks = self._shared("macs", lowest)
        us = self._us(ranks)
        if us > share * before:
            self._unreachable(us / before)

        def fits(part: float) -> Ranks | None:
            some = self._shared("macs", part)
            return some if self._us(some) <= share * before else None

        return self._bisected(fits, lowest, 1.0, ranks)

    def _lowest(self) -> float:
        candidates = [job.candidate(self.found[job], "macs") for job in self.jobs]
        whole = self._whole("macs")
        return (whole - sum(c.whole for c in candidates) + least(candidates)) / whole + 1e-9

    def _by_accuracy(self, drop: float) -> Ranks:
        """The largest error of the weights, the same for all layers, at which not too many samples
        are wrong."""
        if self.ctx.calibration is None or self.ctx.labels is None:
            told = "low_rank: accuracy_drop needs calibration inputs and their labels"
            fail("GC-T001", told, "give --calibration F.npz with an array 'label' in it")
        before = self._accuracy({})

        def fits(error: float) -> Ranks | None:
            some = {job: self._by_error(job, error) for job in self.jobs}
            return some if self._accuracy(some) >= before - drop else None

        return self._bisected(fits, 0.0, MOST_ERROR, fits(0.0) or {})

    def _by_error(self, job: Job, error: float) -> int:
        found = self.found[job]
        return job.rounded(found, rank_by("error", error, found, job.sizes))

    def _bisected(self, fits: Callable[[float], T | None], good: float, bad: float, found: T) -> T:
        """What `fits` gives nearest to `bad`, from `found` at `good` on."""
        for _ in range(STEPS):
            middle = (good + bad) / 2
            some = fits(middle)
            good, bad = (good, middle) if some is None else (middle, bad)
            found = found if some is None else some
        return found

    def _us(self, ranks: Ranks) -> float:
        (us,) = fastest_us(self.ctx, [self._made(ranks)])
        return us

    def _accuracy(self, ranks: Ranks) -> float:
        assert self.ctx.calibration is not None and self.ctx.labels is not None
        outputs = self.ctx.run(self._made(ranks), self.ctx.calibration)
        return accuracy(outputs, self.ctx.labels)

    def _made(self, ranks: Ranks) -> Graph:
        """A copy of the graph at these ranks."""
        other = clone(self.graph)
        table = other.by_name()
        places: dict[Job, Node | None] = {job: table[top(job.node).name].producer for job in ranks}
        put_chains(
            other,
            {
                node: self.found[job].factor(ranks[job])
                for job, node in places.items()
                if node is not None
            },
        )
        return other


__all__ = ["Allocator", "Budget"]
