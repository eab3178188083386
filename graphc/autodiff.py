"""autodiff: a graph with gradient nodes, one per backward part that somebody needs.

Follows Caffe's rules on what is differentiated: parameters with lr_mult 0 get no gradient,
`propagate_down` overrides per bottom, `force_backward` turns everything on. Fan-out becomes an
explicit sum; parts nobody needs are left out.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from graphc.errors import GraphError, fail
from graphc.ir.graph import Graph, Node, Role, Value
from graphc.ir.names import Names
from graphc.ir.op import Kind, Trait
from graphc.ops.eltwise import Eltwise, EltwiseAttrs
from graphc.ops.spec import Grad, OpSpec


def differentiate(
    graph: Graph, *, inputs: bool = True, outputs: bool = True, seeds: Collection[str] = ()
) -> Graph:
    """Append gradient nodes to `graph` (in place; returned for chaining).

    `inputs`: also differentiate with respect to net inputs. `outputs`: give every net output a
    seed, not only the losses; `seeds`: names of further blobs that get one. Fills `graph.seeds`
    (value name -> its seed, which the executor sets to the loss weight, zero, or what the caller
    gives) and `graph.grads` (value name -> its gradient). Raises GC-N007 where a loss needs a
    gradient that cannot pass, GC-O001 for a layer whose parts contradict its roles.
    """
    return _Reverse(graph, inputs, outputs, frozenset(seeds)).run()


class _Reverse:
    """One reverse sweep. `want` and `learn` say which values need a gradient, and which of them
    because of a parameter; `partial` collects the summands of each value's gradient; `inner` holds
    the gradients of inner roles, by forward node and role."""

    def __init__(self, graph: Graph, inputs: bool, outputs: bool, seeds: frozenset[str]) -> None:
        self.graph = graph
        self.outputs = outputs
        self.names = Names.of(graph)
        self.seeded = {v for v in graph.values() if v.name in seeds}
        self.seeded.update(graph.outputs if outputs else ())
        self.forward = list(graph.forward_nodes())
        self.added: list[Node] = []
        self.partial: dict[Value, list[Value]] = {}
        self.inner: dict[tuple[Node, str], Value] = {}
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
            flows = self._flows(node).values()
            if learns or flows:
                self.want.update(node.outs.values())
            if learns or any(v in self.learn for v in flows):
                self.learn.update(node.outs.values())

    def _flows(self, node: Node) -> dict[str, Value]:
        """The bottoms, by role, to which a gradient flows from `node`."""
        if node.propagate:
            return {r: v for (r, v), p in zip(node.ins.items(), node.propagate, strict=True) if p}
        return {r: v for r, v in node.ins.items() if v in self.want}

    def _mark_lossy(self) -> None:
        for node in reversed(self.forward):
            if any(node.loss.values()) or any(v in self.lossy for v in node.outs.values()):
                self.lossy.update(self._flows(node).values())

    def _seed(self) -> None:
        for node in self.forward:
            for role, value in node.outs.items():
                is_seeded = value in self.seeded and value in self.want
                if node.loss.get(role) or is_seeded:
                    self.partial.setdefault(value, []).append(self._new_seed(value))

    def _new_seed(self, value: Value) -> Value:
        seed = Value(self.names.fresh(f"seed({value.name})"), value.type)
        self.graph.seeds[value.name] = seed
        return seed

    def _node(self, node: Node) -> None:
        op = cast("type[OpSpec]", node.op)
        silenced = self.outputs and not node.outs
        if not silenced and not any(v in self.partial for v in node.outs.values()):
            return
        sig = node.sig(self.graph.env)
        parts, inner = op.grads(node.attrs, sig), op.inner(node.attrs, sig)
        flows = self._flows(node)
        self._check_refusals(node, parts, flows)
        for part in parts:
            if part.out in inner:
                continue  # made when a wanted part reads it
            target = node.ins.get(part.out) or node.params.get(part.out)
            if target is None:
                fail("GC-O001", f"part {part.part!r} is for {part.out!r}, no bottom or parameter")
            if part.out in node.params:
                wanted = self.learnable(target)
            else:
                # a silenced blob gets its zeros only where nothing else gives it a gradient
                wanted = part.out in flows and not (silenced and target in self.partial)
            if wanted:
                self._add(node, op, part, target)

    def _check_refusals(self, node: Node, parts: tuple[Grad, ...], flows: dict[str, Value]) -> None:
        if not (any(node.loss.values()) or any(v in self.lossy for v in node.outs.values())):
            return
        possible = {p.out for p in parts}
        for role, value in flows.items():
            if role not in possible and value in self.learn:
                raise GraphError(
                    "GC-N007",
                    f"no gradient can pass to bottom {value.name!r} ({role}), "
                    "but a learnable layer lies behind it",
                    "stop it with propagate_down: false for this bottom",
                )

    def _add(self, node: Node, op: type[OpSpec], part: Grad, target: Value) -> None:
        name = self.names.fresh(f"d({target.name})@{node.name}.{part.part}")
        result = Value(name, target.type)
        self._append(node, op, part, result)
        self.partial.setdefault(target, []).append(result)

    def _append(self, node: Node, op: type[OpSpec], part: Grad, result: Value) -> None:
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
        if role.startswith("d") and role[1:] in op.inner(node.attrs, sig):
            return self._inner(node, op, role[1:])
        aux = op.aux(node.attrs, sig)
        if role not in aux:
            fail("GC-O001", f"a gradient part reads {role!r}, which the layer does not have")
        name = self.names.fresh(f"{node.name}:{role}")
        node.outs[role] = Value(name, aux[role], producer=node)
        return node.outs[role]

    def _inner(self, node: Node, op: type[OpSpec], role: str) -> Value:
        """The gradient of an inner role; its part is added for the first reader."""
        if (node, role) not in self.inner:
            sig = node.sig(self.graph.env)
            part = next((p for p in op.grads(node.attrs, sig) if p.out == role), None)
            if part is None:
                fail("GC-O001", f"no part gives the inner gradient d{role}")
            name = self.names.fresh(f"d({node.name}:{role})@{node.name}.{part.part}")
            self.inner[node, role] = Value(name, op.inner(node.attrs, sig)[role])
            self._append(node, op, part, self.inner[node, role])
        return self.inner[node, role]

    def _gradient(self, value: Value) -> Value:
        """The gradient of `value`: its one summand, or an explicit sum."""
        summands = self.partial[value]
        if len(summands) > 1:
            total = Value(self.names.fresh(f"d({value.name})"), value.type)
            self.added.append(
                Node(
                    Eltwise,
                    f"sum of d({value.name})",
                    EltwiseAttrs(),
                    ins={f"x{i}": v for i, v in enumerate(summands)},
                    outs={"y": total},
                    role=Role.GRAD,
                    samples=_samples(summands),
                )
            )
            self.partial[value] = [total]
        self.graph.grads[value.name] = self.partial[value][0]
        return self.partial[value][0]


def _samples(summands: list[Value]) -> tuple[int, int] | None:
    """The slice of the batch that gradients are of, if it is one."""
    made = {v.producer.of.samples if v.producer and v.producer.of else None for v in summands}
    return made.pop() if len(made) == 1 else None
