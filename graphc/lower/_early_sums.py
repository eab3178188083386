"""sum_early: the gradient of a bias before maximum pooling is summed behind it, of fewer numbers.

Maximum pooling hands each gradient on to one element, so that the sum over a channel stays what it
is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from graphc.ir.graph import Graph, Node, Sigs, typed
from graphc.lower._draft import Draft
from graphc.ops.convolution import Convolution
from graphc.ops.deconvolution import Deconvolution
from graphc.ops.pooling import Pooling


def sum_early(
    drafts: Sequence[Draft],
    graph: Graph,
    sigs: Sigs,
    is_plain: Callable[[Draft], bool] = lambda draft: True,
) -> list[Draft]:
    """The drafts, of which those that sum what maximum pooling hands on run right before it, on
    what it is given, where that is less. Nothing is done about drafts that are not `is_plain`."""

    def layer(draft: Draft) -> Node:
        node = graph.nodes[draft.node]
        return node.of or node

    pools = {
        draft.writes[0][1]: at
        for at, draft in enumerate(drafts)
        if draft.part == "dx" and layer(draft).op is Pooling and "index" in dict(draft.reads)
    }

    def sums_channels(draft: Draft) -> bool:
        node = layer(draft)
        if not draft.part.startswith("dbias") or node.op not in (Convolution, Deconvolution):
            return False
        return sigs[node]["x0"].axis(node.attrs.axis) == 1

    ahead: dict[int, list[Draft]] = {}
    moved: set[int] = set()
    for at, draft in enumerate(drafts):
        if not sums_channels(draft):
            continue
        ((role, slope),) = draft.reads
        pool = pools.get(slope)
        if pool is None or not (is_plain(draft) and is_plain(drafts[pool])):
            continue
        given = dict(drafts[pool].reads)["dy"]
        if typed(given).size < typed(slope).size:
            ahead.setdefault(pool, []).append(replace(draft, reads=[(role, given)]))
            moved.add(at)
    left: list[Draft] = []
    for at, draft in enumerate(drafts):
        left += ahead.get(at, ())
        left += () if at in moved else (draft,)
    return left


__all__ = ["sum_early"]
