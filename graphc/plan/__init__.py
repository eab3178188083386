"""plan: Program -> Plan, every byte's place before anything runs; and the check of such plans."""

import importlib
import sys
from types import ModuleType
from typing import Any

from graphc.plan.data import Arena, Owner, Place, Plan, Step, StepKind
from graphc.plan.planner import plan_program
from graphc.plan.verify import verify_plan


class _CallablePackage(ModuleType):
    """This package, which has the name of a function of the API: `graphc.plan(net)`."""

    def __call__(self, *args: Any, **options: Any) -> Plan:
        """As `graphc.memory.plan`, which this package knows nothing of until it is called."""
        made: Plan = importlib.import_module("graphc.memory").plan(*args, **options)
        return made


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
