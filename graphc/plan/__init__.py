"""plan: Program -> Plan, every byte's place before anything runs; and the check of such plans."""

from graphc.plan.data import Arena, Owner, Place, Plan, Step, StepKind
from graphc.plan.planner import plan_program
from graphc.plan.verify import verify_plan

__all__ = [
    "Arena",
    "Owner",
    "Place",
    "Plan",
    "Step",
    "StepKind",
    "plan_program",
    "verify_plan",
]
