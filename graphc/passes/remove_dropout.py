"""remove_dropout: at test time dropout passes its input on; drop it."""

from __future__ import annotations

from graphc.ir.edit import bypass_all
from graphc.ir.graph import Graph
from graphc.ops.dropout import Dropout
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class RemoveDropout(Pass):
    """y = Dropout(x) in phase TEST is y = x; readers of y read x. Training dropout stays."""

    name = "remove_dropout"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        idle = [n for n in graph.nodes if n.op is Dropout and n.phase == "TEST"]
        removed = set(bypass_all(graph, ((n, n.outs["y"], n.ins["x"]) for n in idle), ctx.pinned))
        detail = [
            f"removed {n.name}" if n in removed else f"{n.name} stays: a name or a loss needs it"
            for n in idle
        ]
        return Report(self.name, bool(removed), tuple(detail))
