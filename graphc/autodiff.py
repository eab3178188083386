"""autodiff: a graph with gradient nodes, one per backward part that somebody needs.

Follows Caffe's rules on what is differentiated: parameters with lr_mult 0 get no gradient,
`propagate_down` overrides per bottom, `force_backward` turns everything on. Fan-out becomes an
explicit sum; parts nobody needs are left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from graphc.errors import GraphError
from graphc.ir.graph import Graph, Node, Role, Value
from graphc.ir.op import Kind, Trait
from graphc.ops.eltwise import Eltwise, EltwiseAttrs
from graphc.ops.spec import Grad, OpSpec


def differentiate(graph: Graph, *, inputs: bool = True, outputs: bool = True) -> Graph:
    """Append gradient nodes to `graph` (in place; returned for chaining).

    `inputs`: also differentiate with respect to net inputs. `outputs`: give every net output a
    seed, not only the losses. Fills `graph.seeds` (value name -> its seed, which the executor
    sets to the loss weight, zero, or what the caller gives) and `graph.grads` (value name -> its
    gradient). Raises GC-N007 where a loss needs a gradient that cannot pass.
    """
    return _Reverse(graph, inputs, outputs).run()


class _Reverse:
    """One reverse sweep. `want` and `learn` say which values need a gradient, and which of them
    because of a parameter; `partial` collects the summands of each value's gradient."""

    def __init__(self, graph: Graph, inputs: bool, outputs: bool) -> None:
        self.graph = graph
        self.outputs = outputs
        self.forward = list(graph.forward_nodes())
        self.added: list[Node] = []
        self.partial: dict[Value, list[Value]] = {}
        self.want: set[Value] = set()
        self.learn: set[Value] = set()
        self.lossy: set[Value] = set()
        self._mark_needed(inputs or graph.force_backward)
        self._mark_lossy()

    def run(self) -> Graph:
        self._seed()
        for node in reversed(self.forward):
            try:
                self._node(node)
            except GraphError as error:
                raise node.located(error) from None
        for value in list(self.partial):
            self._gradient(value)
        self.graph.nodes += self.added
        return self.graph

    def learnable(self, value: Value) -> bool:
        owner = value.storage
        return owner.kind is Kind.PARAM and (owner.lr_mult != 0 or self.graph.force_backward)

    def _mark_needed(self, inputs: bool) -> None:
        for node in self.forward:
            if inputs and node.has(Trait.FEED):
                self.want.update(node.outs.values())
            learns = any(self.learnable(v) for v in node.params.values())
            flows = [v for r, v in node.ins.items() if self._edge(node, r)]
            if learns or flows:
                self.want.update(node.outs.values())
            if learns or any(v in self.learn for v in flows):
                self.learn.update(node.outs.values())

    def _edge(self, node: Node, role: str) -> bool:
        """Does a gradient flow from `node` to its bottom `role`?"""
        index = list(node.ins).index(role)
        if node.propagate:
            return node.propagate[index]
        return node.ins[role] in self.want

    def _mark_lossy(self) -> None:
        for node in reversed(self.forward):
            if any(node.loss.values()) or any(v in self.lossy for v in node.outs.values()):
                self.lossy.update(v for r, v in node.ins.items() if self._edge(node, r))

    def _seed(self) -> None:
        for node in self.forward:
            for role, value in node.outs.items():
                is_seeded = self.outputs and value in self.graph.outputs and value in self.want
                if node.loss.get(role) or is_seeded:
                    self.partial.setdefault(value, []).append(self._new_seed(value))

    def _new_seed(self, value: Value) -> Value:
        seed = Value(f"seed({value.name})", value.type)
        self.graph.seeds[value.name] = seed
        return seed

    def _node(self, node: Node) -> None:
        op = cast("type[OpSpec]", node.op)
        silenced = self.outputs and not node.outs
        if not silenced and not any(v in self.partial for v in node.outs.values()):
            return
        parts = op.grads(node.attrs, node.sig(self.graph.env))
        self._check_refusals(node, parts)
        for part in parts:
            target = node.ins.get(part.out) or node.params.get(part.out)
            assert target is not None, f"{op.type}: part {part.part} is for no bottom or param"
            if part.out in node.params:
                wanted = self.learnable(target)
            else:
                # a silenced blob gets its zeros only where nothing else gives it a gradient
                wanted = self._edge(node, part.out) and not (silenced and target in self.partial)
            if wanted:
                self._add(node, op, part, target)

    def _check_refusals(self, node: Node, parts: tuple[Grad, ...]) -> None:
        if not (any(node.loss.values()) or any(v in self.lossy for v in node.outs.values())):
            return
        possible = {p.out for p in parts}
        for role, value in node.ins.items():
            if role not in possible and self._edge(node, role) and value in self.learn:
                raise GraphError(
                    "GC-N007",
                    f"no gradient can pass to bottom {value.name!r} ({role}), "
                    "but a learnable layer lies behind it",
                    "stop it with propagate_down: false for this bottom",
                )

    def _add(self, node: Node, op: type[OpSpec], part: Grad, target: Value) -> None:
        result = Value(f"d({target.name})@{node.name}.{part.part}", target.type)
        self.added.append(
            Node(
                op,
                node.name,
                node.attrs,
                ins={role: self._operand(node, op, role) for role in part.reads},
                outs={f"d{part.out}": result},
                phase=node.phase,
                role=Role.GRAD,
                of=node,
                part=part.part,
                loc=node.loc,
            )
        )
        self.partial.setdefault(target, []).append(result)

    def _operand(self, node: Node, op: type[OpSpec], role: str) -> Value:
        """The value a part reads as `role`; makes aux outputs and zero gradients on demand."""
        for table in (node.ins, node.params, node.outs):
            if role in table:
                return table[role]
        if role.startswith("d") and role[1:] in node.outs:
            top = node.outs[role[1:]]
            if top not in self.partial:
                self.partial[top] = [self._new_seed(top)]
            return self._gradient(top)
        sig = node.sig(self.graph.env)
        type_ = op.aux(node.attrs, replace(sig, outs=dict(sig.outs)))[role]
        node.outs[role] = Value(f"{node.name}:{role}", type_, producer=node)
        return node.outs[role]

    def _gradient(self, value: Value) -> Value:
        """The gradient of `value`: its one summand, or an explicit sum."""
        summands = self.partial[value]
        if len(summands) > 1:
            total = Value(f"d({value.name})", value.type)
            self.added.append(
                Node(
                    Eltwise,
                    f"sum of d({value.name})",
                    EltwiseAttrs(),
                    ins={f"x{i}": v for i, v in enumerate(summands)},
                    outs={"y": total},
                    role=Role.GRAD,
                )
            )
            self.partial[value] = [total]
        self.graph.grads[value.name] = self.partial[value][0]
        return self.partial[value][0]
