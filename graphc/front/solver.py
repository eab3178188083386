"""Read a solver's definition: text -> SolverParameter in its present form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphc.errors import GraphError, Loc
from graphc.files import map_file
from graphc.front.overrides import Overrides, override_solver
from graphc.front.prototxt import decode_text, parse
from graphc.front.schema import schema_for
from graphc.front.solver_upgrade import upgrade_solver
from graphc.limits import Limits
from graphc.ops import registry


def read_solver(path: str | Path, limits: Limits | None = None, set: Overrides = ()) -> Any:
    """The SolverParameter message of a solver prototxt, upgraded.

    `set`: overrides, path -> value, of its own fields (`split_overrides` tells them from those of
    its networks). Raises GC-F001, GC-L001, GC-P001, GC-P004 with file and line, GC-R002 and GC-R004
    for overrides.
    """
    limits, file = limits or Limits(), str(path)
    try:
        data = map_file(path)
        limits.check("text_bytes", len(data), "the size of the file in bytes")
    except GraphError as error:
        raise error.at(loc=Loc(file)) from None
    schema = schema_for(registry.all_ops().values())
    solver, _ = parse(decode_text(data), "SolverParameter", schema, file=file, limits=limits)
    override_solver(solver, set)
    upgrade_solver(solver, file)
    return solver


__all__ = ["read_solver"]
