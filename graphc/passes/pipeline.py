"""run_passes: runs passes, verifies around each, measures and records."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from graphc.errors import GraphError, fail
from graphc.files import write_file
from graphc.ir.clone import clone
from graphc.ir.graph import Graph
from graphc.ir.op import Op
from graphc.ir.provenance import Record
from graphc.ir.text import print_graph
from graphc.ir.verify import verify
from graphc.ir.versions import blob_of
from graphc.ops.registry import is_stock
from graphc.passes.base import Pass, PassContext
from graphc.passes.meter import Meter

T = TypeVar("T")
MAX_ROUNDS = 8
"""How often `run_until_stable` begins anew at most."""


def run_passes(
    graph: Graph,
    passes: Sequence[Pass],
    ctx: PassContext,
    *,
    meter: Meter | None = None,
    dump: Path | None = None,
) -> list[Record]:
    """Run `passes` on `graph` in place; returns their records, also appended to its history.

    `meter` measures each pass's largest output change (None: not measured). `dump`: a folder for
    the text form of each step. Raises GC-T001 when a pass's requirement does not hold, its code
    fails or it puts in a layer that Caffe lacks and may not, GC-V001 when it leaves an invalid
    graph or one with other inputs, outputs or pinned blobs, GC-T002 when it changes outputs too
    much, GC-F002 for a dump that cannot be written. When it raises, the graph is in no usable
    state.
    """
    pipeline = _Pipeline(graph, ctx, meter, dump)
    return [pipeline.kept(each, pipeline.step(each)) for each in passes]


def run_until_stable(
    graph: Graph,
    passes: Sequence[Pass],
    ctx: PassContext,
    *,
    meter: Meter | None = None,
    dump: Path | None = None,
) -> tuple[list[Pass], list[Record]]:
    """Run exact `passes` in turn until each has found nothing more to do; as `run_passes`.

    Returns what ran, and the records; after the first round of those that changed something alone,
    so that running these once does the same. A pass that would change an output beyond rounding,
    as where the network itself magnifies rounding, is undone and left out from then on.
    """
    pipeline = _Pipeline(graph, ctx, meter, dump)
    ran: list[Pass] = []
    records: list[Record] = []
    undone: list[Pass] = []
    idle = 0  # passes in a row that changed nothing
    for turn in range(MAX_ROUNDS * len(passes)):
        each = passes[turn % len(passes)]
        if idle == len(passes):
            break
        if each in undone:
            idle += 1
            continue
        before = clone(graph) if meter is not None else None
        try:
            record = pipeline.step(each)
        except GraphError as error:
            if before is None or error.code != "GC-T002":
                raise
            record = pipeline.undo(each, before, error)
            undone.append(each)
        idle = 0 if record.changed else idle + 1
        if record.changed or turn < len(passes) or each in undone:
            records.append(pipeline.kept(each, record))
            ran += [] if each in undone else [each]
    return ran, records


class _Pipeline:
    """Runs passes one by one on a graph, with all that is around each."""

    def __init__(
        self, graph: Graph, ctx: PassContext, meter: Meter | None, dump: Path | None
    ) -> None:
        self.graph, self.ctx, self.meter, self.dump = graph, ctx, meter, dump
        self.steps = 0
        verify(graph, 1)
        self.surface = _surface(graph, ctx)
        _dump(dump, 0, "input", graph)

    def step(self, each: Pass) -> Record:
        graph, ctx = self.graph, self.ctx
        known = {node.op for node in graph.forward_nodes()}
        reason = _guarded(each, each.requires, graph)
        if reason:
            fail("GC-T001", f"pass {each.name!r} cannot run: {reason}")
        record: object = _guarded(each, each.run, graph, ctx)
        if not isinstance(record, Record):
            told = f"pass {each.name!r} returned a {type(record).__name__}"
            fail("GC-T001", told, "end run() with: return Report(self.name, changed, details)")
        _verify(each, graph)
        for lost in sorted(self.surface - _surface(graph, ctx)):
            fail("GC-V001", f"pass {each.name!r} lost or changed {lost}")
        if not ctx.allow_extensions:
            _check_stock(each, graph, known)
        broken = _guarded(each, each.ensures, graph)
        if broken:
            fail("GC-V001", f"pass {each.name!r}: {broken}")
        if self.meter is not None:
            record = self.meter.check(each, record, graph)
        return record

    def undo(self, each: Pass, before: Graph, error: GraphError) -> Record:
        """Make the graph what it was before `each`, which raised `error`."""
        for field in fields(Graph):
            setattr(self.graph, field.name, getattr(before, field.name))
        return Record(each.name, False, (f"undone: {error.message}",), 0.0)

    def kept(self, each: Pass, record: Record) -> Record:
        """`record`, after it was told in the graph's history, and the graph dumped."""
        self.steps += 1
        _dump(self.dump, self.steps, each.name, self.graph)
        self.graph.history.append(record)
        return record


def _guarded(each: Pass, method: Callable[..., T], *args: object) -> T:
    """The result of a pass's own code, which may be a user's and raise anything."""
    try:
        return method(*args)
    except GraphError:
        raise
    except Exception as error:
        told = f"pass {each.name!r} failed: {type(error).__name__}: {error}"
        raise GraphError("GC-T001", told, "GRAPHC_DEBUG=1 shows where") from error


def _verify(each: Pass, graph: Graph) -> None:
    try:
        verify(graph, 2)
    except GraphError as error:
        error.message = f"after pass {each.name!r}: {error.message}"
        raise
    except Exception as error:  # the pass left something that is no graph at all
        told = f"pass {each.name!r} left a broken graph: {type(error).__name__}: {error}"
        raise GraphError("GC-V001", told) from error


def _check_stock(each: Pass, graph: Graph, known: set[type[Op]]) -> None:
    """Raise GC-T001 for a layer of a type that Caffe lacks and that no layer had before."""
    for node in graph.forward_nodes():
        if node.op not in known and not is_stock(node.op):
            told = f"pass {each.name!r} put in {node.name!r}, a {node.op.type}, which Caffe lacks"
            fail("GC-T001", told, "--allow-extensions (allow_extensions=True) lets it")


def _surface(graph: Graph, ctx: PassContext) -> set[str]:
    """What users of the graph rely on, in words: inputs, outputs, pinned blobs, with types."""
    order = ", ".join(value.name for value in graph.outputs)
    told = {f"output {v.name!r} {v.type}" for v in graph.outputs} | {f"the outputs' order, {order}"}
    told |= {f"input {blob_of(v)!r} {v.type}" for v in graph.inputs}
    return told | {
        f"pinned blob {value.name!r} {value.type}"
        for node in graph.forward_nodes()
        for value in node.outs.values()
        if value.name in ctx.pinned
    }


def _dump(folder: Path | None, index: int, name: str, graph: Graph) -> None:
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise GraphError("GC-F002", f"cannot make folder {str(folder)!r}: {error}") from None
    file = re.sub(r"[^\w.-]", "_", name)
    write_file(folder / f"{index:02d}_{file}.txt", print_graph(graph))
