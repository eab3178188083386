"""run_passes: the one loop that runs passes, verifies around each, measures and records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from graphc.errors import GraphError
from graphc.ir.clone import clone
from graphc.ir.graph import Array, Graph
from graphc.ir.provenance import Record
from graphc.ir.text import print_graph
from graphc.ir.verify import verify
from graphc.passes.base import Pass, PassContext

ROUNDING = 1e-5


def run_passes(
    graph: Graph,
    passes: Sequence[Pass],
    ctx: PassContext,
    *,
    sample: Mapping[str, Array] | None = None,
    max_error: float | None = None,
    dump: Path | None = None,
) -> list[Record]:
    """Run `passes` on `graph` in place; returns their records, also appended to its history.

    `sample`: inputs on which each pass's largest output change is measured (None: not measured).
    Raises GC-T001 when a pass's requirement does not hold, GC-V001 when it leaves an invalid
    graph, GC-T002 when an exact pass changes an output beyond rounding (1e-5 of the largest
    output), or a lossy one beyond `max_error`. `dump`: a folder for the text form of each step.
    """
    records: list[Record] = []
    verify(graph, 1)
    _dump(dump, 0, "input", graph)
    outputs: Mapping[str, Array] | None = None
    if sample is not None:
        outputs = ctx.run(clone(graph), sample)
    for index, each in enumerate(passes, 1):
        reason = each.requires(graph)
        if reason:
            raise GraphError("GC-T001", f"pass {each.name!r} cannot run: {reason}")
        record = each.run(graph, ctx)
        try:
            verify(graph, 2)
        except GraphError as error:
            error.message = f"after pass {each.name!r}: {error.message}"
            raise
        broken = each.ensures(graph)
        if broken:
            raise GraphError("GC-V001", f"pass {each.name!r}: {broken}")
        if sample is not None and outputs is not None:
            record, outputs = _measure(each, record, graph, ctx, sample, outputs, max_error)
        _dump(dump, index, each.name, graph)
        records.append(record)
        graph.history.append(record)
    return records


def _measure(
    each: Pass,
    record: Record,
    graph: Graph,
    ctx: PassContext,
    sample: Mapping[str, Array],
    before: Mapping[str, Array],
    max_error: float | None,
) -> tuple[Record, Mapping[str, Array]]:
    if not record.changed:
        return replace(record, max_change=0.0), before
    after = ctx.run(clone(graph), sample)
    change, scale = 0.0, 1.0
    for name, old in before.items():
        if name not in after or after[name].shape != old.shape:
            raise GraphError("GC-T002", f"pass {each.name!r} lost output {name!r} or its shape")
        if old.size:
            same = np.isclose(old, after[name], rtol=0, atol=0, equal_nan=True)
            difference = np.where(same, 0.0, np.abs(old.astype(np.float64) - after[name]))
            change = max(change, float(np.nan_to_num(difference, nan=np.inf).max()))
            scale = max(scale, float(np.nan_to_num(np.abs(old)).max()))
    bound = ROUNDING * scale if each.exact else max_error
    if bound is not None and change > bound:
        raise GraphError(
            "GC-T002", f"pass {each.name!r} changed an output by {change:.3g}, allowed {bound:.3g}"
        )
    return replace(record, max_change=change), after


def _dump(folder: Path | None, index: int, name: str, graph: Graph) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:02d}_{name}.txt").write_text(print_graph(graph), encoding="utf-8")
