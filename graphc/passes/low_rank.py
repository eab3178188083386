"""low_rank: convolutions and inner products become chains of smaller ones."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Literal, NoReturn

import numpy as np

from graphc.errors import fail
from graphc.factor.ranks import RULES
from graphc.ir.graph import Graph
from graphc.passes._folding import OFF
from graphc.passes._low_rank.budget import Budget
from graphc.passes._low_rank.choice import AUTO, Choice, checked_rule
from graphc.passes._low_rank.choosing import Wish, jobs_of, order_of
from graphc.passes._low_rank.work import Terms, Work
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record

BUDGETS = ("macs", "bytes", "latency", "accuracy_drop")
USUAL_ERROR = 0.05


@record(frozen=True)
class LowRank(Pass):
    """Replace convolutions and inner products by chains of smaller ones of lower rank.

    `method`: pca, svd, kmeans (a basis of filters and its 1x1 combinations), tai (a column and a
    row), tucker, cp, jaderberg, decouple, bilinear (see graphc/factor); mixed: tai for kernels over
    3 wide, else pca; auto: the fastest of pca, tai, tucker and decouple.

    How far, one of: `error`, ||W - W'||^2 / ||W||^2 at most (0.05 if nothing is said); `energy` r,
    error 1 - r; `amplitude` r, energy r^2; `threshold`, singular values from it on; `speedup`, of
    multiply-adds; `evbmf`; `rank`, one number for all layers or one for each; `config`, a JSON file
    (see Config); or for all layers together `macs`, `bytes` or `latency`, the share of the
    network's that may be left, or `accuracy_drop`, the share of labelled samples by which fewer may
    be right. A layer's rank is that of all its groups together, rounded up to equal groups and to
    multiples of `round`.

    `response`: with method pca and calibration inputs, what a layer computes is kept, not its
    weights: symmetric, asymmetric (of what it gets from the layers before, decomposed), or relu
    (after the ReLU that follows).

    A layer stays where it does not pay (`when`=faster: in fewer multiply-adds, and by `gain` of its
    measured time; smaller: in fewer multiply-adds; always). `layers`: patterns of names, `skip`:
    of those left alone. The last layer of a chain makes the old top under its name. With `measure`
    the report tells how far what each layer computes has moved, if that takes no long.
    """

    name = "low_rank"
    exact = False
    strength = "rank"

    method: Literal[
        "pca", "svd", "kmeans", "tai", "mixed", "tucker", "cp", "jaderberg", "decouple",
        "bilinear", "auto",
    ] = "pca"  # fmt: skip
    error: float | None = None
    energy: float | None = None
    amplitude: float | None = None
    threshold: float | None = None
    speedup: float | None = None
    evbmf: bool = False
    rank: tuple[int, ...] = ()
    config: str = ""
    macs: float | None = None
    bytes: float | None = None
    latency: float | None = None
    accuracy_drop: float | None = None
    response: Literal["none", "symmetric", "asymmetric", "relu"] = "none"
    layers: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    round: int = 1
    when: Literal["faster", "smaller", "always"] = "faster"
    gain: float = 0.05
    measure: bool = True

    def __post_init__(self) -> None:
        """Raises GC-T001 for options that contradict each other or cannot be."""
        told: Any = self.rank
        if isinstance(told, int):  # one for all layers
            object.__setattr__(self, "rank", (told,))
        given = [n for n in (*RULES, "rank", "config", *BUDGETS) if self._given(n)]
        if len(given) > 1:
            fail("GC-T001", f"low_rank: {given[0]} contradicts {given[1]}", "leave one of them out")
        for rule in set(given) & set(RULES) - {"evbmf"}:
            checked_rule(rule, getattr(self, rule))
        for budget in set(given) & set(BUDGETS):
            if not 0 <= getattr(self, budget) <= 1:
                self._wrong(budget, "a share from 0 to 1")
        if self.round < 1:
            self._wrong("round", "a whole number from 1 on")
        if not 0 <= self.gain < 1:
            self._wrong("gain", "a share from 0 to 1")
        if self.rank and min(self.rank) < 1:
            told = f"low_rank: rank is {min(self.rank)}, expected numbers from 1 on"
            fail("GC-T001", told, "error=0.05 finds ranks by how far the weights may change")
        if self.response != "none" and (self.method != "pca" or set(given) & set(BUDGETS)):
            fail("GC-T001", "low_rank: response is for method pca, and for no budget")
        if self.method == AUTO and set(given) & set(BUDGETS):
            fail("GC-T001", f"low_rank: method auto takes no {given[0]}", "name a method")

    def _given(self, name: str) -> bool:
        value = getattr(self, name)
        return (value is not None and value not in (False, (), "")) or isinstance(value, float)

    def _wrong(self, option: str, expected: str) -> NoReturn:
        fail("GC-T001", f"low_rank: {option} is {getattr(self, option)}, expected {expected}")

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        if self.response != "none" and ctx.calibration is None:
            told = f"low_rank: response={self.response} needs calibration inputs"
            fail("GC-T001", told, "give --calibration, or calibration= in Python")
        order = order_of(graph)
        jobs, stays = jobs_of(graph, ctx.rng, self._wish())
        work = Work(graph, ctx, Terms(self.when, self.gain, self.response, self.measure))
        found = sorted([*stays, *work.run(jobs, self._budget())], key=lambda c: order[c.layer])
        detail = [f"{name} becomes {', '.join(new)}" for name, new in work.replaced.items()]
        return Report(self.name, bool(detail), tuple(detail), layers=tuple(found))

    def strengths(self, graph: Graph, count: int) -> dict[str, list[Any]]:
        """Ranks of each layer that can be decomposed, evenly spaced below the full one."""
        if self.method == AUTO:
            fail("GC-T001", "low_rank: method auto has no ranks to try", "name a method")
        jobs, _ = jobs_of(graph, _unseeded, replace(self._wish(), ranks=()))
        found = {}
        for job in jobs:
            made = job.decomposed(job.choice.method)
            ranks = (made.full * k // (count + 1) for k in range(count, 0, -1))
            found[job.node.name] = [r * made.width for r in dict.fromkeys(ranks) if r]
        return found

    def at(self, layer: str, value: Any) -> LowRank:
        return LowRank(
            self.method,
            rank=(value,),
            response=self.response,
            layers=(re.escape(layer),),
            when="always",
            measure=False,
        )

    def _wish(self) -> Wish:
        rule, value = "error", USUAL_ERROR
        for name in RULES:
            if self._given(name):
                rule, value = name, float(getattr(self, name))
        usual = Choice(self.method, rule, value, round=self.round)
        return Wish(usual, self.config, self.rank, self.layers, self.skip)

    def _budget(self) -> Budget | None:
        given = [name for name in BUDGETS if self._given(name)]
        return Budget(given[0], getattr(self, given[0])) if given else None


def _unseeded(tag: str) -> np.random.Generator:
    return np.random.default_rng(0)


__all__ = ["LowRank"]
