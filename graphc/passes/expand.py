"""expand: replace layers that are others in disguise by the stock layers they stand for."""

from __future__ import annotations

from typing import cast

from graphc.errors import GraphError, fail
from graphc.ir.graph import Graph, Node, ParamSpec, Role, Value
from graphc.ir.names import Names
from graphc.ir.op import Kind, Trait
from graphc.ops.spec import Layer, OpSpec
from graphc.passes.base import Pass, PassContext, Report

MAX_DEPTH = 16


class Expand(Pass):
    """Apply every declaration's `expand`, until only primitives are left.

    Always runs first. An expansion may depend on shapes (trait SIZED); then `graph.fixed_size` ties
    the network to the input sizes it has.
    """

    name = "expand"

    def ensures(self, graph: Graph) -> str:
        left = [n.name for n in graph.forward_nodes() if _expansion(graph, n) is not None]
        return f"layers left unexpanded: {left}" if left else ""

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        detail: list[str] = []
        names = Names.of(graph)
        todo = [(node, 0) for node in reversed(graph.nodes)]
        graph.nodes = []
        while todo:
            node, depth = todo.pop()
            try:
                layers = _expansion(graph, node) if node.role is Role.FWD else None
                if layers is None:
                    graph.nodes.append(node)
                    continue
                if depth == MAX_DEPTH:
                    fail("GC-O001", f"its expansion goes over {MAX_DEPTH} levels deep")
                parts = _splice(graph, node, layers, names)
            except GraphError as error:
                raise node.located(error) from None
            detail.append(f"{node.name} ({node.op.type}) -> {', '.join(x.op.type for x in layers)}")
            graph.fixed_size |= node.has(Trait.SIZED)
            todo += [(part, depth + 1) for part in reversed(parts)]
        return Report(self.name, bool(detail), tuple(detail))


def _expansion(graph: Graph, node: Node) -> tuple[Layer, ...] | None:
    return cast("type[OpSpec]", node.op).expand(node.attrs, node.sig(graph.env))


def _splice(graph: Graph, outer: Node, layers: tuple[Layer, ...], names: Names) -> list[Node]:
    """The nodes that stand for `outer`, typed and bound to its values."""
    known: dict[str, Value] = {**outer.ins, **outer.outs}
    alone = len(layers) == 1
    nodes: list[Node] = []
    for layer in layers:
        for local in layer.outs:
            if local not in known:
                known[local] = Value(names.fresh(f"{outer.name}/{local}"))
        in_roles, out_roles = layer.op.roles(layer.attrs, len(layer.ins), len(layer.outs))
        node = Node(
            layer.op,
            outer.name if alone else f"{outer.name}/{layer.name}",
            layer.attrs,
            ins=dict(zip(in_roles, _picked(known, layer.ins), strict=True)),
            outs=dict(zip(out_roles, _picked(known, layer.outs), strict=True)),
            phase=outer.phase,
            propagate=_propagate(outer, layer),
            loc=outer.loc,
        )
        weights = {outer.outs[role]: weight for role, weight in outer.loss.items()}
        node.loss = {role: weights[v] for role, v in node.outs.items() if v in weights}
        _type(graph, node)
        owned = [p.name for p in layer.op.params(layer.attrs, node.sig(graph.env))]
        if len(owned) != len(layer.params):
            fail("GC-O001", f"expand gives {layer.name} {len(layer.params)} of {len(owned)} params")
        node.params = dict(zip(owned, _picked(outer.params, layer.params), strict=True))
        node.specs = _specs(outer, layer)
        nodes.append(node)
    return nodes


def _picked(table: dict[str, Value], roles: tuple[str, ...]) -> list[Value]:
    for role in roles:
        if role not in table:
            fail("GC-O001", f"expand names {role!r}, which is none of {', '.join(table)}")
    return [table[role] for role in roles]


def _propagate(outer: Node, layer: Layer) -> tuple[bool, ...]:
    """`propagate_down` of the outer layer, for those bottoms of `layer` that are the outer's."""
    if not outer.propagate:
        return ()
    flags = dict(zip(outer.ins, outer.propagate, strict=True))
    return tuple(flags.get(local, True) for local in layer.ins)


def _specs(outer: Node, layer: Layer) -> tuple[ParamSpec, ...]:
    """The outer layer's `param` entries, for those parameters that `layer` takes over."""
    blobs = [role for role, value in outer.params.items() if value.kind is not Kind.CARRY]
    given = dict(zip(blobs, outer.specs, strict=False))
    specs = [given.get(role, ParamSpec()) for role in layer.params if role in blobs]
    while specs and specs[-1] == ParamSpec():
        specs.pop()
    return tuple(specs)


def _type(graph: Graph, node: Node) -> None:
    """Infer the tops; those that the outer layer had must keep their types."""
    for role, type_ in node.op.infer(node.attrs, node.sig(graph.env)).items():
        value = node.outs.get(role)
        if value is None:
            continue
        if value.type not in (None, type_):
            fail("GC-O001", f"expand gives {value.name!r} type {type_}, the layer {value.type}")
        value.type = type_
