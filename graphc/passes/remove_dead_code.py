"""remove_dead_code: drop layers whose results nobody can see."""

from __future__ import annotations

from typing import cast

from graphc.ir.edit import erase
from graphc.ir.graph import Graph, Node
from graphc.ir.op import Effect, Trait
from graphc.ops.spec import OpSpec
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class RemoveDeadCode(Pass):
    """Keep what leads to an output, a pinned blob, a loss, or an effect; drop the rest.

    Net inputs and data layers stay: they are the network's interface.
    """

    name = "remove_dead_code"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        live = set(graph.outputs)
        dead: list[Node] = []
        for node in reversed(graph.nodes):
            tops = node.outs.values()
            if any(v in live or v.name in ctx.pinned for v in tops) or _is_root(node):
                live.update(node.ins.values())
            else:
                dead.append(node)
        erase(graph, set(dead))
        detail = tuple(f"removed {n.name} ({n.op.type})" for n in reversed(dead))
        return Report(self.name, bool(dead), detail)


def _is_root(node: Node) -> bool:
    """Does the layer matter beside its tops? Drawing random numbers is no such effect."""
    if any(node.has(what) for what in (Trait.FEED, Effect.SOURCE, Effect.SINK)):
        return True
    calls = cast("type[OpSpec]", node.op).forwards(node.attrs, node.sig())
    keeps_state = any({Effect.STATE, Effect.CARRY} & call.effects for call in calls)
    return keeps_state or any(node.loss.values())
