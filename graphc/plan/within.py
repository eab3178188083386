"""plan_within: the cheapest plan known that stays within a budget."""

from __future__ import annotations

from graphc.errors import fail
from graphc.plan.data import Plan, StepKind
from graphc.plan.facts import Facts
from graphc.plan.front import POLICIES, Front
from graphc.plan.planner import plan_program
from graphc.plan.recompute import plan_replayed
from graphc.plan.verify import verify_plan
from graphc.program import Program

NEED_HOST = ("offload", "tensor_cache")
"""Policies that only send."""
SAMPLES = 6
"""Plans with replays, of all sizes, that are tried with transfers, too."""


def plan_within(
    program: Program, budget_bytes: int, policy: str = "ours", host_bytes: int = 0
) -> Plan:
    """A verified plan whose peak is at most `budget_bytes`; of those that a policy knows, the one
    whose replays, and stalls for transfers to at most `host_bytes` of the host, are estimated to
    take the least time.

    Never slower for a larger budget, and there is one for every budget from the minimum on that
    GC-M001 tells of. `policy`: "ours" looks for the best of all kinds. "sqrt" keeps the ends of
    segments, as Chen et al. do; "speed", "memory" and "cost_aware" are those of SuperNeurons, and
    so are "offload" and "tensor_cache", which replay nothing, see `graphc.plan.hybrids`.
    Raises GC-M001, GC-M002, GC-R002 for an unknown policy.
    """
    check_policy(policy, host_bytes)
    plain = plan_program(program)
    if plain.peak_bytes <= budget_bytes:
        verify_plan(program, plain)
        return plain
    facts = Facts(program)
    front = Front(facts, policy)
    trials = front.trials
    rest = plain.peak_bytes - plain.work_bytes
    fitting: list[Plan] = []
    for trial in trials:
        if trial.peak + rest <= budget_bytes:
            plan = plan_replayed(facts, front.script(trial))
            if plan.peak_bytes <= budget_bytes:
                fitting.append(plan)
                break
    hybrids = None
    if host_bytes:
        from graphc.plan.hybrids import Hybrids

        choices = [front.script(t) for t in trials[:: 1 + len(trials) // SAMPLES]]
        hybrids = Hybrids(facts, policy, budget_bytes, choices)
        fitting += hybrids.plans(host_bytes)
    if fitting:
        plan = min(fitting, key=lambda plan: plan.est_us)
        verify_plan(program, plan)
        return plan
    least = plain
    for trial in reversed(trials):
        if trial.peak + rest >= least.peak_bytes:
            break
        least = min(least, plan_replayed(facts, front.script(trial)), key=lambda p: p.peak_bytes)
    if hybrids is not None:
        least = min((least, *hybrids.smallest(host_bytes)), key=lambda p: p.peak_bytes)
    where = f", at {least.owner.name!r} ({least.owner.part})" if least.owner is not None else ""
    does = "replays and sends" if hybrids is not None else "replays"
    told = (
        f"the plan for target {program.target} needs {least.peak_bytes:,} B at least, with what "
        f"policy {policy!r} {does}{where}; the budget is {budget_bytes:,} B"
    )
    fail("GC-M001", told, "`graphc plan --memory SIZE --largest-batch` says which batch fits")


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


__all__ = ["check_policy", "plan_within", "replay_us"]
