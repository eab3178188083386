"""Bring a SolverParameter of any age to the present form, as Caffe's own upgrade does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphc.errors import GraphError, Loc

TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}


def upgrade_solver(solver: Any, file: str) -> None:
    """Turn `solver_type` into `type`, and settle `snapshot_prefix`, in place.

    A missing prefix becomes the solver's path without its suffix; one that is a folder gets the
    solver's stem appended. Raises GC-P004 if both forms of the type are given.
    """
    if solver.HasField("solver_type"):
        kinds = solver.DESCRIPTOR.enum_types_by_name["SolverType"].values_by_number
        old = kinds[solver.solver_type].name
        if solver.HasField("type"):
            raise GraphError(
                "GC-P004",
                f"the solver has solver_type {old} and type {solver.type!r}",
                "keep type, the present form",
                loc=Loc(file),
            )
        solver.type = TYPES[old]
        solver.ClearField("solver_type")
    path = Path(file)
    if not solver.HasField("snapshot_prefix"):
        solver.snapshot_prefix = str(path.with_suffix("")) if path.name else ""
    elif solver.snapshot_prefix and Path(solver.snapshot_prefix).is_dir():
        solver.snapshot_prefix = str(Path(solver.snapshot_prefix) / path.stem)


__all__ = ["TYPES", "upgrade_solver"]
