"""PlannedExecutor: what executors of plans share; host steps are references on the plan's memory.

Same interface as `ReferenceExecutor`, of which they are some. A backend says how an entry runs and
how values get into its memory and out of it.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from graphc.errors import fail
from graphc.floats import Held
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.lower._draft import ADDEND
from graphc.numpy_later import np, npt
from graphc.ops.spec import F64, OpSpec
from graphc.plan import Plan
from graphc.program import Call, Program
from graphc.runtime._plans import plan_text
from graphc.runtime._shown import ShapedValues, Shown, shown_after
from graphc.runtime.feeds import double
from graphc.runtime.reference import ReferenceExecutor


class InMemory(Protocol):
    """A planned Program in memory."""

    program: Program
    plan: Plan
    entries: list[str]


class PlannedExecutor(ReferenceExecutor):
    """A compiled network that runs by a plan; see `ReferenceExecutor`.

    Lowered and planned anew when the inputs' shapes have changed. `prepared`: the plan in memory.
    """

    prepared: InMemory

    def __init__(self, graph: Graph, pinned: set[Value], seed: int = 0) -> None:
        self.pinned: set[Value] = set()
        self._inputs = graph.inputs
        self._shapes_of_plan: list[tuple[int, ...]] | None = None
        super().__init__(graph, pinned, seed)
        self._losses: dict[Value, F64] = {}
        self._loss_tops = [n.outs[role] for n in self.forward_nodes for role in n.loss]
        # Arrays are made by us, who own what shows them: a reference back would keep all memory
        # until garbage is looked for.
        own = weakref.proxy(self)
        self._make: Callable[[Value], npt.NDArray[Any]] = lambda value: own._seen(value)
        self.env: Shown = Shown(self._make)
        self._shown: tuple[Program, dict[str, ShapedValues]] | None = None

    def adopt(self, pinned: set[Value]) -> None:
        """As `ReferenceExecutor`; the next forward plans anew."""
        super().adopt(pinned)
        self.pinned, self._shapes_of_plan = pinned, None

    @property
    def plan(self) -> Plan:
        return self.prepared.plan

    @property
    def program(self) -> Program:
        return self.prepared.program

    def plan_text(self) -> str:
        return plan_text(self.prepared.program, self.prepared.plan)

    def forward(self, feeds: Mapping[Value, Held]) -> None:
        """Run the plan; `feeds` holds every FEED value."""
        self.env, self.shapes, self.sigs, self.drawn = Shown(self._make), {}, {}, self.step
        shapes = self._input_shapes()
        if shapes != self._shapes_of_plan:
            self.prepared = self._prepare()
            self._shapes_of_plan = shapes
            self._moved()
        self._ready()
        for value, array in feeds.items():
            self._put_feed(value, array)
        self._run("forward")
        self._show_pinned("forward")
        self._losses = {top: self.env[top].copy() for top in self._loss_tops if top in self.env}
        self.step += 1

    def backward(self, seeds: Mapping[str, F64]) -> None:
        """As `ReferenceExecutor`."""
        tops = self.graph.by_name() if self.graph.seeds else {}
        for name, value in self.graph.seeds.items():
            given = seeds[name] if name in seeds else self._default_seed(tops[name])
            self._fill(value, given)
            self.shapes[value] = given.shape
        for name, value in self.graph.step_params.items():
            self._fill(value, np.full(typed(value).shape, self.step_params[name]))
        if "backward" in self.prepared.entries:
            self._run("backward")
        self.env = Shown(self._make)
        self.env.update(self._losses)
        self._show_pinned("backward")

    def update(self) -> None:
        """As `ReferenceExecutor`; nothing is left to do where the backward has updated already."""
        if "update" in self.prepared.entries:
            self._run("update")

    @abstractmethod
    def _prepare(self) -> InMemory:
        """Lower and plan the graph as it is now; what we keep from run to run moves to the new
        memory."""

    @abstractmethod
    def _moved(self) -> None:
        """Called when there is a new plan."""

    @abstractmethod
    def _ready(self) -> None:
        """Called before a forward: weights may have been written since the last one."""

    @abstractmethod
    def _put_feed(self, value: Value, array: Held) -> None:
        """Fill an input."""

    @abstractmethod
    def _fill(self, value: Value, array: F64) -> None:
        """Fill the first elements of a value that the caller gives, a seed or a step parameter."""

    @abstractmethod
    def _run(self, entry: str) -> None:
        """Run an entry to its end."""

    @abstractmethod
    def _seen(self, value: Value) -> npt.NDArray[Any]:
        """What is in a value's memory, of the shape that it has now."""

    def _input_shapes(self) -> list[tuple[int, ...]]:
        return [typed(v).shape for v in self._inputs]

    def _show_pinned(self, entry: str) -> None:
        """Let the kept values be seen that an entry made or was given, as far as they are alive."""
        if self._shown is None or self._shown[0] is not self.program:
            self._shown = self.program, {}
        after = self._shown[1].get(entry)
        if after is None:
            after = self._shown[1][entry] = shown_after(self.program, self.pinned, entry)
        for value, shape in after:
            self.shapes.setdefault(value, shape)
            self.env.show(value)

    def _run_host(self, node: Node, call: Call, arrays: list[npt.NDArray[Any]]) -> None:
        """A Forward or Grad part by its reference, from and to the plan's memory; `arrays`: its
        reads, then its writes."""
        op = cast("type[OpSpec]", node.op)
        count = len(call.reads)
        reads = zip(call.reads, arrays[:count], strict=True)
        operands = {o.role: self._host_operand(node, o.role, array) for o, array in reads}
        before = operands.pop(ADDEND, None)
        ctx = self._ctx(node, call.part)
        if node.of is not None:
            results = {call.writes[0].role: op.vjp(node.attrs, call.part, operands, ctx)}
        else:
            results = op.reference(node.attrs, operands, ctx)
        for operand, target in zip(call.writes, arrays[count:], strict=True):
            if operand.role not in results:
                fail("GC-O001", f"its reference gives no {operand.role!r}")
            result, value = np.asarray(results[operand.role]), node.outs.get(operand.role)
            if value is not None:
                self._checklive(value, operand.role, result.shape)
                self.shapes[value] = result.shape
                target = live(target, result.shape)
            with np.errstate(over="ignore", invalid="ignore"):
                target[...] = (result if before is None else before + result).reshape(target.shape)

    def _host_operand(self, node: Node, role: str, array: npt.NDArray[Any]) -> F64:
        value = node.ins.get(role)
        if value is not None and value in self.shapes:
            array = live(array, self.shapes[value])
        operand = double(array)
        operand.flags.writeable = False
        return operand

    def _checklive(self, value: Value, role: str, shape: tuple[int, ...]) -> None:
        """Data-dependent extents may be below what was planned, all others are as inferred."""
        self._check(value, role, shape)
        if np.prod(shape, dtype=np.int64) > typed(value).size:
            told = f"its {role} has shape {shape}, planned was {typed(value).shape} at most"
            fail("GC-O001", told)


def live(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The first elements of a dense array, as many as `shape` has."""
    if array.shape == shape:
        return array
    return array.reshape(-1)[: int(np.prod(shape, dtype=np.int64))].reshape(shape)


__all__ = ["InMemory", "PlannedExecutor", "live"]
