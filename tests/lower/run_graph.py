"""Runs the model's Program of a graph on plan.machine: each call is a declaration's reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from plan.machine import Array, Compute, Machine

import graphc
from graphc.autodiff import differentiate
from graphc.ir.graph import Graph, Role, Value
from graphc.ir.infer import infer
from graphc.ir.op import Kind
from graphc.lower._draft import ADDEND
from graphc.lower.model import lower
from graphc.ops.spec import Ctx
from graphc.plan import Plan, plan_program, verify_plan
from graphc.program import PERSISTENT, Call, Program
from graphc.rng import uniform


@dataclass
class Lowered:
    """A graph, its Program, and its verified plan."""

    graph: Graph
    program: Program
    plan: Plan

    def run(
        self, *, planned: bool = True, feeds: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Kept values by name, weights and states included. Without `feeds` inputs are random."""
        given = self._given(feeds)
        plan = self.plan if planned else None
        results = Machine(self.program, plan, given, computes(self.graph)).run()
        return {self.program.buffers[b].name: array for b, array in results.items()}

    def _given(self, feeds: Mapping[str, Array] | None) -> dict[int, Array]:
        rng = np.random.default_rng(0)
        values = {v.name: v for v in self.graph.values()}
        given: dict[int, Array] = {}
        for buffer in self.program.buffers:
            if buffer.kind in PERSISTENT and buffer.view_of is None:
                given[buffer.id] = self.graph.weight(values[buffer.name])
        for name, index in self.program.inputs.items():
            dims = self.program.buffers[index].dims
            given[index] = feed(rng, name, dims) if feeds is None else feeds[name]
        for name, index in self.program.seeds.items():
            node = values[name].producer
            weights = {} if node is None else {node.outs[r].name: w for r, w in node.loss.items()}
            dims = self.program.buffers[index].dims
            weight = weights.get(name)
            given[index] = rng.standard_normal(dims) if weight is None else np.full(dims, weight)
        return given


def feed(rng: np.random.Generator, name: str, dims: tuple[int, ...]) -> Array:
    """Whole numbers 0 or 1 for labels and the like, else normal ones."""
    if name in ("label", "cont", "index"):
        return rng.integers(0, 2, dims).astype(np.float32)
    return rng.standard_normal(dims).astype(np.float32)


def computes(graph: Graph) -> Compute:
    """What a call of the graph's Program computes, in float64."""

    def compute(call: Call, reads: list[Array]) -> list[Any]:
        if call.variants[0].symbol == "copy":
            return list(reads)
        node = graph.nodes[call.node]
        values = {o.role: r.astype(np.float64) for o, r in zip(call.reads, reads, strict=True)}
        if node.role is Role.GRAD and node.of is None:
            return [node.op.reference(node.attrs, values, Ctx(node.sig()))["y"]]
        owner = node.of or node

        def draw(shape: tuple[int, ...], tag: int) -> Array:
            return uniform(shape, seed=0, step=0, layer=node.name, tag=tag)

        ctx = Ctx(owner.sig(graph.env), call.part, draw)
        if node.role is Role.GRAD:
            before = values.pop(ADDEND, 0.0)
            return [before + node.op.vjp(node.attrs, call.part, values, ctx)]
        made = node.op.reference(node.attrs, values, ctx)
        return [made[o.role] for o in call.writes]

    return compute


def load(text: str, folder: Path, *, train: bool = False, batch: int | None = None) -> Graph:
    path = folder / "net.prototxt"
    path.write_text(text)
    return prepared(path, train=train, batch=batch)


def prepared(path: Path, *, train: bool = False, batch: int | None = None) -> Graph:
    """A net as it is before lowering, without passes."""
    graph = graphc.load(path, phase="TRAIN" if train else "TEST")
    infer(graph, batch=batch)
    if train:
        differentiate(graph)
    return graph


def learned(graph: Graph) -> set[Value]:
    """Gradients of parameters and net inputs: what training hands back."""
    kinds = {v.name: v.kind for v in graph.values()}
    names = {v.name for v in graph.inputs}
    return {g for n, g in graph.grads.items() if kinds.get(n) is Kind.PARAM or n in names}


def lowered(graph: Graph, pinned: Mapping[str, Value] | set[Value] | None = None) -> Lowered:
    kept = set(pinned.values()) if isinstance(pinned, Mapping) else set(pinned or ())
    program = lower(graph, kept | learned(graph))
    plan = plan_program(program)
    verify_plan(program, plan)
    return Lowered(graph, program, plan)
