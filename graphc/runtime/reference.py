"""The reference executor: runs a graph node by node from the declarations, in float64.

Slow but right; the oracle of every other backend. Parameters stay float32 between steps, as in
Caffe. No plan: an activation lives until its last reader has run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from graphc.errors import GraphError
from graphc.ir.graph import Graph, Node, Role, Value, typed
from graphc.ir.op import Effect, Kind, Sig, Trait
from graphc.ir.types import Type
from graphc.ops.spec import F64, Ctx, OpSpec
from graphc.rng import uniform


class ReferenceExecutor:
    """State of one compiled network: its sources, random step, and the values of the last forward.

    `pinned`: values that outlive their last reader, because the caller asked for them.
    """

    def __init__(self, graph: Graph, pinned: set[Value], seed: int = 0) -> None:
        self.graph = graph
        self.seed = seed
        self.step = 0
        self.env: dict[Value, F64] = {}
        self.sources: dict[Node, Any] = {}
        self.dynamic = any(n.has(Trait.DYNAMIC) for n in graph.nodes)
        self.forward_nodes = [n for n in graph.nodes if n.role is Role.FWD]
        self.grad_nodes = [n for n in graph.nodes if n.role is Role.GRAD]
        self.release = self._last_readers(pinned)
        self.shapes: dict[Value, tuple[int, ...]] = {}

    def _last_readers(self, pinned: set[Value]) -> dict[Node, list[Value]]:
        last: dict[Value, Node] = {}
        for node in self.graph.nodes:
            for value in (*node.outs.values(), *node.ins.values()):
                last[value] = node
        table: dict[Node, list[Value]] = {}
        for value, node in last.items():
            made_by = value.producer.role if value.producer is not None else Role.GRAD
            # what a forward leaves for the backward stays, so that a second backward finds it
            if value not in pinned and node.role is made_by:
                table.setdefault(node, []).append(value)
        return table

    def forward(self, feeds: Mapping[Value, F64]) -> None:
        """Run the forward nodes; `feeds` holds every FEED value."""
        self.env = dict(feeds)
        self.shapes = {value: array.shape for value, array in feeds.items()}
        for node in self.forward_nodes:
            if not node.has(Trait.FEED):
                self._guarded(node, self._run_forward)
            for value in self.release.get(node, ()):
                self.env.pop(value, None)
        self.step += 1

    def backward(self, seeds: Mapping[str, F64]) -> None:
        """Run the gradient nodes; `seeds` maps blob names to gradients, others are defaults."""
        for name, value in self.graph.seeds.items():
            self.env[value] = seeds[name] if name in seeds else self._default_seed(name)
        for node in self.grad_nodes:
            self._guarded(node, self._run_grad)
            for value in self.release.get(node, ()):
                self.env.pop(value, None)

    def _default_seed(self, name: str) -> F64:
        top = self.graph.value(name)
        weight = 0.0
        if top.producer is not None:
            role = next(r for r, v in top.producer.outs.items() if v is top)
            weight = top.producer.loss.get(role, 0.0)
        return np.full(self.shapes.get(top, typed(top).shape), weight)

    def loss(self) -> float:
        """Sum over all tops of loss weight times sum of elements, of the last forward."""
        total = 0.0
        for node in self.forward_nodes:
            for role, weight in node.loss.items():
                if weight and node.outs[role] in self.env:
                    total += weight * float(self.env[node.outs[role]].sum())
        return total

    def source(self, node: Node) -> Any:
        """The opened source or sink behind a data layer; opened on first use."""
        if node not in self.sources:
            op = cast("type[OpSpec]", node.op)
            self.sources[node] = op.open(node.attrs, node.sig(self.graph.env), self.seed)
        return self.sources[node]

    def reset(self) -> None:
        """Zero CARRY values, rewind sources and the random step."""
        self.step = 0
        for value in self.graph.param_values():
            if value.kind is Kind.CARRY:
                self.graph.weight(value)[...] = 0
        for source in self.sources.values():
            if hasattr(source, "reset"):
                source.reset()

    def close(self) -> None:
        """Close files behind sources and sinks."""
        for source in self.sources.values():
            if hasattr(source, "close"):
                source.close()
        self.sources.clear()

    def _guarded(self, node: Node, run: Any) -> None:
        try:
            run(node)
        except GraphError as error:
            raise node.located(error) from None
        except MemoryError:
            raise node.located(
                GraphError("GC-M002", "out of memory", "use a smaller --batch")
            ) from None

    def _sig(self, node: Node) -> Sig:
        """The node's signature; with live shapes where data-dependent extents are about."""
        sig = node.sig(self.graph.env)
        if not self.dynamic:
            return sig

        def live(table: Mapping[str, Value]) -> dict[str, Type]:
            found = {r: v for r, v in table.items() if v.type is not None}
            return {r: Type(self.shapes.get(v, typed(v).shape)) for r, v in found.items()}

        return replace(sig, ins=live(node.ins), outs=live(node.outs))

    def _operand(self, node: Node, role: str) -> F64:
        value = node.ins.get(role) or node.params.get(role) or node.outs.get(role)
        assert value is not None, f"{node!r} has no role {role!r}"
        return self.env[value] if value.kind is Kind.ACT else self._param(value)

    def _ctx(self, node: Node, part: str) -> Ctx:
        def draw(shape: tuple[int, ...], tag: int) -> F64:
            # the step a gradient belongs to is that of the forward before it
            step = self.step - (node.role is Role.GRAD)
            return uniform(shape, seed=self.seed, step=step, layer=node.name, tag=tag)

        is_host = node.has(Effect.SOURCE) or node.has(Effect.SINK)
        forward = node.of or node
        return Ctx(self._sig(forward), part, draw, self.source(node) if is_host else None)

    def _run_forward(self, node: Node) -> None:
        op = cast("type[OpSpec]", node.op)
        state: dict[str, F64] = {}
        inner: dict[str, F64] = {}
        for part in op.forwards(node.attrs, self._sig(node)):
            reads = (*node.ins, *node.params) if part.reads is None else part.reads
            operands = {r: inner[r] if r in inner else self._operand(node, r) for r in reads}
            results = op.reference(node.attrs, operands, self._ctx(node, part.name))
            for role, array in results.items():
                if role in node.params:
                    state[role] = array
                else:
                    inner[role] = np.asarray(array, np.float64)
        for role, value in node.outs.items():
            self.env[value] = inner[role]
            self.shapes[value] = inner[role].shape
        for role, array in state.items():
            weight = self.graph.weight(node.params[role])
            weight[...] = np.asarray(array).reshape(weight.shape)

    def _run_grad(self, node: Node) -> None:
        op = cast("type[OpSpec]", node.op)
        operands = {role: self._operand(node, role) for role in node.ins}
        if node.of is None:
            results = op.reference(node.attrs, operands, Ctx(node.sig()))
            self.env[node.outs["y"]] = results["y"]
            return
        (out,) = node.outs.values()
        result = op.vjp(node.attrs, node.part, operands, self._ctx(node, node.part))
        self.env[out] = np.asarray(result, np.float64)

    def _param(self, value: Value) -> F64:
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            array: F64 = np.asarray(self.graph.weight(value), np.float64)
        return array.reshape(typed(value).shape)
