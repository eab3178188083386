"""Lower a graph for the C++ core: float32 NCHW, kernels where there are any, else host steps."""

from __future__ import annotations

from collections.abc import Collection

from graphc import _core
from graphc.ir.graph import Graph, Value
from graphc.lower._buffers import program_of
from graphc.lower._cost import Roofline, estimate
from graphc.lower._draft import Uses
from graphc.lower._forest import Forest
from graphc.lower._fuse import fuse
from graphc.lower._kernels import with_kernels
from graphc.lower._layout import Layout
from graphc.lower._overlay import Overlay
from graphc.lower._rows import Rows, without_views
from graphc.lower._trace import trace
from graphc.lower._views import place_views
from graphc.program import Program

CORE = Roofline(flops=50e9, bandwidth=10e9, start_us=1.0)
"""One ordinary core, for estimates where nothing was measured."""


def lower(graph: Graph, pinned: Collection[Value] = (), threads: int = 1) -> Program:
    """The Program of a shaped graph's forward; entries "prepare" (packs weights) and "forward".

    `pinned`: values that must hold until the forward ends, beside the net's outputs. Net inputs
    are buffers that somebody fills before; data layers and layers without a kernel are host steps.
    Raises GC-O001 for a declaration that contradicts itself or its kernel.
    """
    kept = {*graph.outputs, *pinned}
    rows = Rows(graph, "cpu", _core.kernel_symbols())
    drafts = [d for d in trace(graph) if not d.is_backward]
    drafts, told = fuse(without_views(drafts, rows), rows, kept)
    uses = Uses(drafts)

    def accepts(value: Value, layout: Layout) -> bool:
        places = (*uses.reads(value), *uses.writes(value))
        return rows.accepts((drafts[at] for at in places), value, layout)

    storage = Forest(accepts=accepts)
    placed = place_views(drafts, storage, graph.inputs)
    Overlay(placed, storage, graph.inputs, kept).run()
    program = program_of("cpu", graph, placed, storage, pinned=kept, variants=lambda draft: ())
    return with_kernels(program, placed, graph, rows, told, estimate(graph, CORE), threads)


__all__ = ["lower"]
