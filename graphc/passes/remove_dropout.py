"""remove_dropout: at test time dropout passes its input on; drop it."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.edit import bypass
from graphc.ir.graph import Graph
from graphc.ops.dropout import Dropout
from graphc.passes.base import Pass, PassContext, Report


@dataclass(frozen=True)
class RemoveDropout(Pass):
    """y = Dropout(x) in phase TEST is y = x; readers of y read x. Training dropout stays."""

    name = "remove_dropout"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        detail: list[str] = []
        for node in list(graph.nodes):
            if node.op is Dropout and node.phase == "TEST":
                done = bypass(graph, node, node.outs["y"], node.ins["x"], ctx.pinned)
                reason = "" if done else ": kept, both its blobs are asked for"
                detail.append(f"removed {node.name}" if done else f"{node.name}{reason}")
        changed = any(line.startswith("removed") for line in detail)
        return Report(self.name, changed, tuple(detail))
