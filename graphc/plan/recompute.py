"""plan_replayed: a plan that drops activations after the forward and computes them once more."""

from __future__ import annotations

from graphc.plan.data import Plan
from graphc.plan.facts import Facts
from graphc.plan.planner import Names, at_home, plan_program
from graphc.plan.replays import Choice, Script, unrolled


def plan_replayed(facts: Facts, choice: Choice | Script, budget: int | None = None) -> Plan:
    """The plan of a Program that replays what a choice drops; see `Choice`. `budget`: as in
    `plan_program`.

    Results are the same to the bit, for replays run the same calls on the same bytes, if with the
    same variants. Raises what `unrolled` and `plan_program` raise.
    """
    made = unrolled(facts, choice)
    plan = plan_program(made.program, budget, Names(made.calls, made.buffers))
    asked = at_home(facts.program)
    return Plan(
        plan.target,
        plan.steps,
        plan.entries,
        plan.arenas,
        {root: home for root, home in plan.homes.items() if root in asked},
        plan.breakdown,
        plan.live,
        plan.op_bound,
        plan.est_us,
        plan.owner,
    )


__all__ = ["plan_replayed"]
