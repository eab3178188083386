"""run_passes: the one loop that runs passes, verifies around each, measures and records."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from graphc.errors import GraphError, fail
from graphc.files import write_file
from graphc.ir.graph import Graph
from graphc.ir.provenance import Record
from graphc.ir.text import print_graph
from graphc.ir.verify import verify
from graphc.ir.versions import blob_of
from graphc.passes.base import Pass, PassContext
from graphc.passes.meter import Meter

T = TypeVar("T")


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
    the text form of each step. Raises GC-T001 when a pass's requirement does not hold or its code
    fails, GC-V001 when it leaves an invalid graph or one with other inputs, outputs or pinned
    blobs, GC-T002 when it changes outputs too much, GC-F002 for a dump that cannot be written.
    When it raises, the graph is in no usable state.
    """
    records: list[Record] = []
    verify(graph, 1)
    surface = _surface(graph, ctx)
    _dump(dump, 0, "input", graph)
    for index, each in enumerate(passes, 1):
        reason = _guarded(each, each.requires, graph)
        if reason:
            fail("GC-T001", f"pass {each.name!r} cannot run: {reason}")
        record: object = _guarded(each, each.run, graph, ctx)
        if not isinstance(record, Record):
            told = f"pass {each.name!r} returned a {type(record).__name__}"
            fail("GC-T001", told, "end run() with: return Report(self.name, changed, details)")
        _verify(each, graph)
        for lost in sorted(surface - _surface(graph, ctx)):
            fail("GC-V001", f"pass {each.name!r} lost or changed {lost}")
        broken = _guarded(each, each.ensures, graph)
        if broken:
            fail("GC-V001", f"pass {each.name!r}: {broken}")
        if meter is not None:
            record = meter.check(each, record, graph)
        _dump(dump, index, each.name, graph)
        records.append(record)
        graph.history.append(record)
    return records


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
