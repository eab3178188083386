"""clone: an independent copy of a graph, so that a stage may rewrite it."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.graph import Graph, Node, Role, Value


def clone(graph: Graph) -> Graph:
    """Copy nodes, values and weight arrays; only what nobody can change is shared."""
    copy = _copy(graph)
    copy.weights = {name: array.copy() for name, array in graph.weights.items()}
    return copy


def forward_part(graph: Graph) -> Graph:
    """A copy without gradient and update nodes, and aux values made for them; shares weights."""
    copy = _copy(graph)
    drop_gradients(copy)
    return copy


def drop_gradients(graph: Graph) -> None:
    """Undo `autodiff.differentiate`, and updates that follow it, in place."""
    graph.nodes = [n for n in graph.nodes if n.role is Role.FWD]
    for node in graph.nodes:
        node.outs = {role: value for role, value in node.outs.items() if role in node.tops}
    graph.seeds, graph.grads, graph.step_params = {}, {}, {}


def _copy(graph: Graph) -> Graph:
    values: dict[Value, Value] = {}

    def copied(value: Value) -> Value:
        if value not in values:
            owner = copied(value.view_of) if value.view_of is not None else None
            values[value] = replace(value, producer=None, view_of=owner)
        return values[value]

    nodes: dict[Node, Node] = {}
    for node in graph.nodes:
        nodes[node] = replace(
            node,
            ins={r: copied(v) for r, v in node.ins.items()},
            params={r: copied(v) for r, v in node.params.items()},
            outs={r: copied(v) for r, v in node.outs.items()},
            loss=dict(node.loss),
            of=nodes[node.of] if node.of is not None else None,
        )
    return replace(
        graph,
        nodes=list(nodes.values()),
        outputs=[copied(v) for v in graph.outputs],
        pending={name: list(arrays) for name, arrays in graph.pending.items()},
        history=list(graph.history),
        notes=list(graph.notes),
        seeds={name: copied(v) for name, v in graph.seeds.items()},
        grads={name: copied(v) for name, v in graph.grads.items()},
        step_params={name: copied(v) for name, v in graph.step_params.items()},
    )
