"""plan: Program -> Plan, every byte's place before anything runs; and the check of such plans.

The planner is imported on first use, so that a plan that is there already does without it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from graphc.plan.data import Arena, Owner, Place, Plan, Step, StepKind

if TYPE_CHECKING:
    from graphc.plan.planner import plan_program
    from graphc.plan.verify import verify_plan

_HOME = {"plan_program": "graphc.plan.planner", "verify_plan": "graphc.plan.verify"}


class _CallablePackage(ModuleType):
    """This package, which has the name of a function of the API: `graphc.plan(net)`."""

    def __call__(self, *args: Any, **options: Any) -> Plan:
        """As `graphc.memory.plan`, which this package knows nothing of until it is called."""
        made: Plan = importlib.import_module("graphc.memory").plan(*args, **options)
        return made


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


sys.modules[__name__].__class__ = _CallablePackage

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
