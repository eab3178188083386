"""plan_within: the cheapest plan known that stays within a budget."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from graphc.errors import fail
from graphc.pauses import uncollected
from graphc.plan.data import Plan, StepKind
from graphc.plan.facts import Facts
from graphc.plan.front import POLICIES, Front
from graphc.plan.planner import plan_fitting
from graphc.plan.recompute import plan_replayed
from graphc.plan.tables import Trial
from graphc.plan.verify import verify_plan
from graphc.plan.wish import NOTHING, Forced
from graphc.program import PERSISTENT, Buffer, Program

if TYPE_CHECKING:
    from graphc.plan.hybrids import Hybrids

NEED_HOST = ("offload", "tensor_cache")
"""Policies that only send."""
LEAVES = 0.9
"""Part of the budget for activations where weights are sent; the rest is for those on their way."""
SAMPLES = 6
"""Plans with replays, of all sizes, that are tried with transfers, too."""


@uncollected
def plan_within(
    program: Program,
    budget_bytes: int,
    policy: str = "ours",
    host_bytes: int = 0,
    forced: Forced = NOTHING,
) -> Plan:
    """A verified plan whose peak is at most `budget_bytes`; of those that a policy knows, the one
    that is estimated to take the least time, with its replays, its stalls for transfers to at most
    `host_bytes` of the host, and the variants that there is room for.

    Never slower for a larger budget, and there is one for every budget from the minimum on that
    GC-M001 tells of. `policy`: "ours" looks for the best of all kinds. "sqrt" keeps the ends of
    segments, as Chen et al. do; "speed", "memory" and "cost_aware" are those of SuperNeurons, and
    so are "offload" and "tensor_cache", which replay nothing, see `graphc.plan.hybrids`. `forced`:
    what is kept, or replayed, in any case. Raises GC-M001, GC-M002, GC-R002 for an unknown policy.
    """
    return Choosing(program, policy, host_bytes, forced).within(budget_bytes)


class Choosing:
    """Plans of one Program, for any budget, of those that a policy knows; see `plan_within`."""

    def __init__(
        self,
        program: Program,
        policy: str = "ours",
        host_bytes: int = 0,
        forced: Forced = NOTHING,
    ) -> None:
        check_policy(policy, host_bytes)
        self.program, self.policy, self.host_bytes = program, policy, host_bytes
        self.facts = Facts(program, forced)
        calls = [index for entry in program.entries.values() for index in entry]
        self.fastest_us = sum(self.facts.us[index] for index in calls)
        """What all calls take at their fastest, without replays."""

    @cached_property
    def front(self) -> Front:
        return Front(self.facts, self.policy)

    @property
    def trials(self) -> list[Trial]:
        return self.front.trials

    def hybrids(self, budget_bytes: int) -> Hybrids:
        """What is sent besides, within a budget of device memory."""
        from graphc.plan.hybrids import Hybrids

        scripts = [self.front.script(t) for t in self.trials[:: 1 + len(self.trials) // SAMPLES]]
        fitting = (trial for trial in self.trials if trial.peak <= LEAVES * budget_bytes)
        alone = [self.front.script(trial) for trial in islice(fitting, 1)]
        return Hybrids(self.facts, self.policy, budget_bytes, scripts, alone)

    @cached_property
    def _thriftiest(self) -> list[Plan]:
        """With a host, the plans that need the least, found without regard to a budget: so that
        every budget has one that is no smaller than the minimum that is told of."""
        return list(self.hybrids(0).smallest(self.host_bytes))

    def within(self, budget_bytes: int) -> Plan:
        """As `plan_within`."""
        plain = None if self.facts.always else plan_fitting(self.program, budget_bytes)
        if plain is not None and plain.est_us <= self.fastest_us * (1 + 1e-9):
            return self._verified(plain)
        fitting = [self._cheapest(budget_bytes, plain)]
        hybrids = self.hybrids(budget_bytes) if self.host_bytes else None
        if hybrids is not None:
            fitting += hybrids.plans(self.host_bytes)
        found = [plan for plan in fitting if plan is not None]
        if found:
            return self._verified(min(found, key=lambda plan: plan.est_us))
        least = self.least(budget_bytes)
        if hybrids is not None:
            smallest = hybrids.smallest(self.host_bytes)
            least = min((least, *smallest, *self._thriftiest), key=lambda plan: plan.peak_bytes)
            if least.peak_bytes <= budget_bytes:
                return self._verified(least)
        where = f", at {least.owner.name!r} ({least.owner.part})" if least.owner else ""
        does = "replays and sends" if hybrids is not None else "replays"
        told = (
            f"the plan for target {self.program.target} needs {least.peak_bytes:,} B at least, "
            f"with what policy {self.policy!r} {does}{where}; the budget is {budget_bytes:,} B"
        )
        fail("GC-M001", told, "`graphc plan --memory SIZE --largest-batch` says which batch fits")

    def least(self, budget_bytes: int = 0, max_overhead: float = inf) -> Plan:
        """The smallest plan, of those that take at most `max_overhead` times `fastest_us` more than
        that; not verified. The room that is left in a budget may go to workspaces."""
        most = self.fastest_us * (1 + max_overhead) * (1 + 1e-9)
        best: Plan | None = None
        for trial in reversed(self.trials):
            if best is not None and trial.peak >= best.work_bytes:
                break
            if self.fastest_us + trial.us > most:
                continue
            plan = self._planned(trial, budget_bytes)
            is_fast = plan.est_us <= most or trial is self.trials[0]
            if is_fast and (best is None or plan.peak_bytes < best.peak_bytes):
                best = plan
        return best or self._planned(self.trials[0], budget_bytes)

    def _cheapest(self, budget_bytes: int, best: Plan | None) -> Plan | None:
        """The plan within a budget that takes the least time, `best` among others. A plan takes no
        less than its replays and `fastest_us`; so most need not be made."""
        weights = sum(b.nbytes for b in self.program.buffers if _persists(b))
        for trial in self.trials:
            if best is not None and self.fastest_us + trial.us >= best.est_us * (1 - 1e-9):
                break
            if trial.peak + weights <= budget_bytes:
                plan = self._planned(trial, budget_bytes)
                fits = plan.peak_bytes <= budget_bytes
                if fits and (best is None or plan.est_us < best.est_us):
                    best = plan
        return best

    def _planned(self, trial: Trial, budget_bytes: int) -> Plan:
        return plan_replayed(self.facts, self.front.script(trial), budget_bytes)

    def _verified(self, plan: Plan) -> Plan:
        verify_plan(self.program, plan)
        return plan


def _persists(buffer: Buffer) -> bool:
    return buffer.kind in PERSISTENT and buffer.view_of is None


def check_policy(policy: str, host_bytes: int = 0) -> None:
    """Raise GC-R002 for a name that no policy has, or one that needs a host where there is none."""
    if policy not in (*POLICIES, *NEED_HOST):
        known = ", ".join((*POLICIES, *NEED_HOST))
        fail("GC-R002", f"no policy {policy!r}", f"policies: {known}")
    if policy in NEED_HOST and not host_bytes:
        fail("GC-R002", f"policy {policy!r} sends to the host", "say how much it has: --host SIZE")


def replay_us(program: Program, plan: Plan) -> float:
    """Estimated microseconds of a plan's replays; `plan.est_us` counts them."""
    steps = [step for step in plan.steps if step.kind is StepKind.RUN and step.instance]
    return sum(program.calls[step.call].variants[step.variant].est_us for step in steps)


__all__ = ["Choosing", "check_policy", "plan_within", "replay_us"]
