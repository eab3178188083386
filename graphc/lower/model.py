"""lower: the Program behind published memory figures: plain float32 NCHW, no workspace.

No kernel is chosen: every call is a host step, that is, its declaration's reference, and its time
is a roofline's. So the plan can be run by anything that can run references.
"""

from __future__ import annotations

from collections.abc import Collection

from graphc.ir.graph import Graph, Value
from graphc.lower._buffers import given_values, program_of
from graphc.lower._cost import V100, costs_of
from graphc.lower._draft import Draft
from graphc.lower._exchange import exchange
from graphc.lower._forest import Forest
from graphc.lower._overlay import Overlay
from graphc.lower._sums import accumulate
from graphc.lower._trace import trace
from graphc.lower._updates import update_early
from graphc.lower._views import place_views
from graphc.pauses import uncollected
from graphc.program import HOST, Attrs, Program, Variant


@uncollected
def lower(graph: Graph, pinned: Collection[Value] = (), fused_update: bool = True) -> Program:
    """The Program of a shaped graph, with gradient and update nodes or without.

    `pinned`: values that must hold until their entry ends, beside the net's outputs. Reshaping,
    slicing and joining layers become views, in-place pairs are named, sums of weight gradients add
    to one buffer. `fused_update`: parameters are updated in the backward, as soon as that is right.
    """
    kept = {*graph.outputs, *pinned}
    fixed = set(given_values(graph))
    forest = Forest()
    drafts = accumulate(exchange(trace(graph), graph, kept), kept)
    drafts = update_early(drafts, fused_update)
    drafts = place_views(drafts, forest, fixed)
    Overlay(drafts, forest, fixed, kept).run()
    cost = costs_of(graph)

    def variants(draft: Draft) -> tuple[Variant, ...]:
        return (Variant(draft.mover or HOST, est_us=V100.microseconds(cost(draft))),)

    def attrs(draft: Draft) -> Attrs:
        return {"accumulate": True} if draft.adds else {}

    return program_of("model", graph, drafts, forest, pinned=kept, variants=variants, attrs=attrs)


__all__ = ["lower"]
