"""expand: replace layers that are others in disguise by the stock layers they stand for."""

from __future__ import annotations

from typing import cast

from graphc.errors import GraphError
from graphc.ir.graph import Graph, Node, Value
from graphc.ops.spec import Layer, OpSpec
from graphc.passes.base import Pass, PassContext, Report


class Expand(Pass):
    """Apply every declaration's `expand`, until only primitives are left.

    Always runs first. An expansion may depend on shapes (SPP's windows do); then the network is
    tied to the shapes it was compiled for.
    """

    name = "expand"

    def ensures(self, graph: Graph) -> str:
        left = [n.name for n in graph.nodes if _expansion(graph, n) is not None]
        return f"layers left unexpanded: {left}" if left else ""

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        detail: list[str] = []
        todo, graph.nodes = list(reversed(graph.nodes)), []
        while todo:
            node = todo.pop()
            layers = _expansion(graph, node)
            if layers is None:
                graph.nodes.append(node)
                continue
            detail.append(f"{node.name} ({node.op.type}) -> {', '.join(x.op.type for x in layers)}")
            todo += reversed(_splice(graph, node, layers))
        return Report(self.name, bool(detail), tuple(detail))


def _expansion(graph: Graph, node: Node) -> tuple[Layer, ...] | None:
    return cast("type[OpSpec]", node.op).expand(node.attrs, node.sig(graph.env))


def _splice(graph: Graph, outer: Node, layers: tuple[Layer, ...]) -> list[Node]:
    """The nodes that stand for `outer`, typed and bound to its values."""
    known: dict[str, Value] = {**outer.ins, **outer.outs}
    alone = len(layers) == 1
    nodes: list[Node] = []
    for layer in layers:
        name = outer.name if alone else f"{outer.name}/{layer.name}"
        in_roles, out_roles = layer.op.roles(layer.attrs, len(layer.ins), len(layer.outs))
        for local in layer.outs:
            if local not in known:
                known[local] = Value(f"{outer.name}/{local}")
        outs = dict(zip(out_roles, (known[x] for x in layer.outs), strict=True))
        node = Node(
            layer.op,
            name,
            layer.attrs,
            ins=dict(zip(in_roles, (known[x] for x in layer.ins), strict=True)),
            outs=outs,
            phase=outer.phase,
            specs=outer.specs if alone else (),
            propagate=outer.propagate if alone else (),
            loc=outer.loc,
        )
        node.loss = {
            r: outer.loss[o]
            for r, v in outs.items()
            for o, w in outer.outs.items()
            if w is v and o in outer.loss
        }
        for role, type_ in layer.op.infer(layer.attrs, node.sig(graph.env)).items():
            if role in outs:
                outs[role].type = type_
        owned = [p.name for p in layer.op.params(layer.attrs, node.sig(graph.env))]
        if len(owned) != len(layer.params):
            raise GraphError("GC-O001", f"expand gives {layer.name} {len(layer.params)} params")
        node.params = {p: outer.params[o] for p, o in zip(owned, layer.params, strict=True)}
        nodes.append(node)
    return nodes
