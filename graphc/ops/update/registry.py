"""The table of what update nodes may be: solver types, and what else runs for the solver."""

from __future__ import annotations

import importlib
from typing import cast

from graphc.errors import fail, near
from graphc.ops.update.base import SolverOp
from graphc.ops.update.rule import UpdateRule

RULES = {
    "SGD": "sgd",
    "Nesterov": "nesterov",
    "AdaGrad": "adagrad",
    "RMSProp": "rmsprop",
    "AdaDelta": "adadelta",
    "Adam": "adam",
    "AdamW": "adam",
}
"""Type of a solver -> the module of this package that declares it."""
UPDATES = {**RULES, "Accumulate": "accumulate", "ClipGradients": "clip_gradients"}
"""The same of every update node."""


def find_rule(type_name: str) -> type[UpdateRule]:
    """The declaration of a type in `RULES`."""
    return cast("type[UpdateRule]", find_update(type_name))


def find_update(type_name: str) -> type[SolverOp]:
    """The declaration of an update node's type. Raises GC-N001 with near names."""
    if type_name not in UPDATES:
        hint = near(type_name, UPDATES) or f"there are {', '.join(UPDATES)}"
        fail("GC-N001", f"unknown type of update node {type_name!r}", hint)
    module = importlib.import_module(f"{__package__}.{UPDATES[type_name]}")
    return cast("type[SolverOp]", getattr(module, type_name))


__all__ = ["RULES", "UPDATES", "find_rule", "find_update"]
