"""sweep_memory: what time training takes in less and less memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphc.budget import wish_of
from graphc.errors import fail
from graphc.ir.graph import Graph
from graphc.lowering import Lowering
from graphc.memory.plans import lowered
from graphc.plan import StepKind
from graphc.plan.wish import Wish, forced_roots
from graphc.plan.within import Choosing
from graphc.records import record

POINTS = 12


@record(frozen=True, slots=True)
class MemoryPoint:
    """The fastest plan known for a budget of `memory` bytes: it takes `peak_bytes` of them and
    `est_us`, `overhead` more than without a budget, as a part of that; `replays` of its steps are
    replays."""

    memory: int
    peak_bytes: int
    est_us: float
    overhead: float
    replays: int


def sweep_memory(
    net: Graph | str | Path, *, points: int = POINTS, train: bool = True, **how: Any
) -> list[MemoryPoint]:
    """Plans for budgets in equal steps from what training takes without one down to the smallest
    plan there is; `how`: as in `graphc.plan`, but no `memory`. Raises GC-R002, and what `plan`
    raises."""
    if not train or "memory" in how:
        fail("GC-R002", "budgets are swept of training alone", "say train=True, without a memory")
    policy, overrides = how.pop("policy", "ours"), how.pop("overrides", None)
    how = {"target": "model"} | how
    wish = wish_of(None, policy, overrides)
    return swept(lowered(net, train=True, wish=Wish(policy=policy), **how), wish, points)


def swept(low: Lowering, wish: Wish, points: int = POINTS) -> list[MemoryPoint]:
    """As `sweep_memory`, of what was lowered; `wish`: its policy and layers."""
    forced = forced_roots(low.program, low.graph, wish)
    choosing = Choosing(low.program, wish.policy, wish.host, forced)
    most, least = low.plan.peak_bytes, choosing.least().peak_bytes
    most = max(most, least)
    budgets = [most - (most - least) * at // max(1, points - 1) for at in range(points)]
    found: list[MemoryPoint] = []
    for budget in dict.fromkeys(budgets):
        plan = choosing.within(budget)
        replays = sum(s.kind is StepKind.RUN and s.instance > 0 for s in plan.steps)
        over = plan.est_us / choosing.fastest_us - 1 if choosing.fastest_us else 0.0
        found.append(MemoryPoint(budget, plan.peak_bytes, plan.est_us, max(0.0, over), replays))
    return found


__all__ = ["POINTS", "MemoryPoint", "sweep_memory", "swept"]
