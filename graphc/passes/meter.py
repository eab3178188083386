"""Meter: how much each pass changes the outputs, and whether it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from graphc.errors import fail
from graphc.ir.graph import Array, Graph
from graphc.ir.provenance import Record
from graphc.passes.base import Pass, PassContext

ROUNDING = 1e-5
"""What an exact pass may change in an output, as a share of its largest element ..."""
FLOOR = 1e-2
"""... or of this, if all elements are smaller."""


class Meter:
    """Runs a graph on sample inputs before the first pass and after each that changed it.

    `max_error`: the largest change of an output's element that lossy passes may make together
    (None: any). Pinned blobs count as outputs. Raises what running `graph` on `sample` raises.
    """

    def __init__(
        self,
        ctx: PassContext,
        graph: Graph,
        sample: Mapping[str, Array],
        max_error: float | None = None,
    ) -> None:
        self.ctx = ctx
        self.sample = sample
        if max_error is not None and not max_error >= 0:
            told = f"max_error is {max_error:g}"
            fail("GC-T001", told, "give the largest change of an output, from 0 on")
        self.max_error = max_error
        self.first = self.last = ctx.run(graph, sample)

    def check(self, each: Pass, record: Record, graph: Graph) -> Record:
        """`record` with its largest output change. Raises GC-T002 if that is too much."""
        if not record.changed:
            return replace(record, max_change=0.0)
        after = self.ctx.run(graph, self.sample)
        changes = {name: change(old, after[name]) for name, old in self.last.items()}
        for name, moved in changes.items():
            bound = ROUNDING * max(FLOOR, _largest(self.last[name]))
            if each.exact and moved > bound:
                told = f"pass {each.name!r} is exact, but changed {name!r} by {moved:.3g}"
                fail("GC-T002", f"{told}, rounding allows {bound:.3g}")
            total = change(self.first[name], after[name])
            if not each.exact and self.max_error is not None and not total <= self.max_error:
                told = f"with pass {each.name!r}, {name!r} has changed by {total:.3g} in all"
                fail("GC-T002", f"{told}, allowed {self.max_error:.3g}")
        self.last = after
        return replace(record, max_change=max(changes.values(), default=0.0))


def change(old: Array, new: Array) -> float:
    """The largest absolute difference; infinite where only one is NaN, or shapes differ."""
    if old.shape != new.shape:
        return np.inf
    if not old.size:
        return 0.0
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    with np.errstate(invalid="ignore"):
        moved = np.abs(old.astype(np.float64) - new)
    return float(np.where(same, 0.0, np.where(np.isnan(moved), np.inf, moved)).max())


def _largest(array: Array) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max(initial=0.0))
