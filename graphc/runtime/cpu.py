"""The CPU executor: runs a plan on the C++ core, host steps in Python.

Float32 throughout. Same interface as `ReferenceExecutor`, of which it is one: a host step is a
node's reference on other arrays.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any, cast

from graphc.errors import GraphError, fail
from graphc.floats import Held
from graphc.ir.graph import Array, Graph, Node, Role, Value, typed
from graphc.ir.op import OURS
from graphc.lower.cpu import ADDEND, Choices, choices_text, lower_again, read_choices
from graphc.numpy_later import np, npt
from graphc.ops.spec import F64, OpSpec
from graphc.plan import Plan
from graphc.plan.wish import Wish, forced_roots
from graphc.program import Call, Program
from graphc.runtime._plans import plan_for, plan_text
from graphc.runtime._prepared import FIRST, Prepared
from graphc.runtime._shown import Shown
from graphc.runtime._steps import PREPARE
from graphc.runtime._weights import SharedWeights, WeightMemory
from graphc.runtime.feeds import double
from graphc.runtime.reference import ReferenceExecutor
from graphc.runtime.threads import checked_threads

MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1


class CpuExecutor(ReferenceExecutor):
    """A compiled network on the C++ core; see `ReferenceExecutor`.

    Lowered and planned anew when the inputs' shapes have changed, or weights written since leave a
    sparse layout's room. `threads` None: as many as this
    process may use. `plan`, `choices`: an artefact's, for the shapes of now. `check`: "poison",
    "audit" and "measure", see csrc/core/session.h; `deterministic` and `fused_update` as in
    `graphc.lower.cpu.lower`, `pin_variants` in `lower_again`; `weights`: parameters that are in
    memory already; `wish`: what plans are asked for. Raises GC-R004 for an impossible number of
    threads, GC-M001 for a plan over the wish's memory, GC-R002 for its layers, GC-M002 where memory
    is short; it can then be used again.
    """

    def __init__(
        self,
        graph: Graph,
        pinned: set[Value],
        seed: int = 0,
        threads: int | None = None,
        plan: str | None = None,
        check: tuple[str, ...] = (),
        *,
        choices: str | None = None,
        deterministic: bool = False,
        fused_update: bool = True,
        pin_variants: bool = False,
        weights: WeightMemory | None = None,
        wish: Wish | None = None,
    ) -> None:
        self.pinned: set[Value] = set()
        self._shapes_of_plan: list[tuple[int, ...]] | None = None
        super().__init__(graph, pinned, seed)
        self.threads = checked_threads(threads)
        self.check = dict.fromkeys(check, True)
        self._deterministic, self._fused_update = deterministic, fused_update
        self._pin_variants, self._wish = pin_variants, wish or Wish()
        self.weights = weights or WeightMemory(graph)
        self._stale = True
        self._losses: dict[Value, F64] = {}
        self.env: Shown = self._nothing_shown()
        self.prepared = self._prepare(plan, choices)
        self._shapes_of_plan = self._input_shapes()

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

    def choices_text(self) -> str:
        return choices_text(self._choices)

    def params(self) -> dict[str, tuple[Array, ...]]:
        """Arrays that may be written; the next run packs them anew."""
        return self.weights.lend()

    def lend(self, graph: Graph, names: Mapping[str, str]) -> WeightMemory:
        shared = SharedWeights(graph, self.weights, names)
        shared.arenas = self.prepared.regions[FIRST:]
        return shared

    def forward(self, feeds: Mapping[Value, Held]) -> None:
        """Run the plan; `feeds` holds every FEED value."""
        self.env, self.shapes, self.sigs, self.drawn = self._nothing_shown(), {}, {}, self.step
        if self._input_shapes() != self._shapes_of_plan:
            self.prepared = self._prepare()
            self._shapes_of_plan, self._stale = self._input_shapes(), True
        self._stale |= self.weights.changed()
        if self._stale:
            self._pack()
            self._stale = False
        for value, array in feeds.items():
            self.prepared.put(self.program.values[value.name], array)
        self._run("forward")
        self._show_pinned("forward")
        self._losses = {
            node.outs[role]: self.env[node.outs[role]].copy()
            for node in self.forward_nodes
            for role in node.loss
            if node.outs[role] in self.env
        }
        self.step += 1

    def times(self, entries: Sequence[str] = ("forward",)) -> list[float]:
        """Microseconds of each call of the last run of some entries, in the plan's order; without
        transfers, which run beside them."""
        prepared, found = self.prepared, []
        for entry in entries:
            times = prepared.session.times(prepared.entries.index(entry)).tolist()
            calls = prepared.calls(entry)
            found += [us for us, call in zip(times, calls, strict=True) if call is not None]
        return found

    def backward(self, seeds: Mapping[str, F64]) -> None:
        """As `ReferenceExecutor`."""
        tops = self.graph.by_name() if self.graph.seeds else {}
        for name, value in self.graph.seeds.items():
            given = seeds[name] if name in seeds else self._default_seed(tops[name])
            _live(self._array(value), given.shape)[...] = given
            self.shapes[value] = given.shape
        for name, value in self.graph.step_params.items():
            self._array(value)[...] = self.step_params[name]
        if "backward" in self.prepared.entries:
            self._run("backward")
            self._stale |= self.updates
        self.env = self._nothing_shown()
        self.env.update(self._losses)
        self._show_pinned("backward")

    def update(self) -> None:
        """As `ReferenceExecutor`; nothing is left to do where the backward has updated already."""
        if "update" in self.prepared.entries:
            self._run("update")
            self._stale = True

    def _pack(self) -> None:
        """Pack weights; where a sparse layout has no room for those of now, lower anew."""
        keep = self.weights.is_lent
        try:
            self._run(PREPARE, drop=not keep)
        except GraphError as error:
            if error.code != "GC-W004":
                raise
            self.prepared = self._prepare()
            self._run(PREPARE, drop=not keep)

    def _input_shapes(self) -> list[tuple[int, ...]]:
        return [typed(v).shape for v in self.graph.inputs]

    def _prepare(self, plan: str | None = None, choices: str | None = None) -> Prepared:
        """Lower and plan the graph as it is now; what we keep from run to run moves to the new
        memory."""
        known = None if choices is None else read_choices(choices)
        try:
            made = self._lowered(plan, known)
        except GraphError as error:
            if known is None or error.code not in ("GC-A001", "GC-M002"):
                raise
            made = self._lowered(plan)  # kernels need something else than was known of them
        for value in self.graph.param_values():
            if value.kind in OURS:
                array = made.array(made.program.values[value.name])
                array[...] = self.graph.weight(value)
                self.graph.weights[value.name] = array
        return made

    def _lowered(self, plan: str | None, known: Choices | None = None) -> Prepared:
        """The graph's Program in memory. A backward that updates weights is never repeated."""
        repeatable = not self.updates
        program, self._choices = lower_again(
            self.graph,
            self.pinned,
            self.threads,
            repeatable=repeatable,
            fused_update=self._fused_update,
            deterministic=self._deterministic,
            known=known,
            pin_variants=self._pin_variants,
        )
        made = plan_for(program, plan, self._wish, forced_roots(program, self.graph, self._wish))
        return Prepared(program, made, self.weights, self.threads)

    def _array(self, value: Value) -> npt.NDArray[Any]:
        return self.prepared.array(self.prepared.program.values[value.name])

    def _show_pinned(self, entry: str) -> None:
        """Let the kept values be seen that an entry made or was given, as far as they are alive."""
        program = self.prepared.program
        for value in self.pinned:
            made_by = value.producer.role if value.producer is not None else Role.GRAD
            is_here = (made_by is Role.FWD) == (entry == "forward")
            if is_here and value.name in program.values:
                self.shapes.setdefault(value, typed(value).shape)
                self.env.show(value)

    def _nothing_shown(self) -> Shown:
        """Whose arrays are made by us, who own it: a reference back would keep all memory until
        garbage is looked for."""
        own = weakref.proxy(self)
        return Shown(lambda value: own._seen(value))

    def _seen(self, value: Value) -> npt.NDArray[Any]:
        return _live(self._array(value), self.shapes[value])

    def result(self, value: Value) -> Held:
        """As `ReferenceExecutor`."""
        if self.shapes[value] == typed(value).shape and value.name in self.program.values:
            found = self.prepared.copy(self.program.values[value.name])
            if found is not None:
                return found
        return super().result(value)

    def _run(self, entry: str, **checks: bool) -> None:
        prepared = self.prepared
        calls = prepared.calls(entry)

        def host(at: int) -> None:
            call, arrays = calls[at], prepared.operands(entry, at)
            assert call is not None  # transfers never call back
            node = self.graph.nodes[call.node]
            self._guarded(node, lambda node: self._run_host(node, call, arrays))

        try:
            order = {"seed": self.seed & MASK64, "step": self.drawn & MASK32, "measure": True}
            prepared.run(entry, host, **order | self.check | checks)
        except GraphError as error:
            at = prepared.session.failed
            call = calls[at] if at >= 0 else None
            if call is None:
                raise
            node = self.graph.nodes[call.node]
            raise node.located(self._traced(node, error)) from None

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
                self._check_live(value, operand.role, result.shape)
                self.shapes[value] = result.shape
                target = _live(target, result.shape)
            with np.errstate(over="ignore", invalid="ignore"):
                target[...] = (result if before is None else before + result).reshape(target.shape)

    def _host_operand(self, node: Node, role: str, array: npt.NDArray[Any]) -> F64:
        value = node.ins.get(role)
        if value is not None and value in self.shapes:
            array = _live(array, self.shapes[value])
        operand = double(array)
        operand.flags.writeable = False
        return operand

    def _check_live(self, value: Value, role: str, shape: tuple[int, ...]) -> None:
        """Data-dependent extents may be below what was planned, all others are as inferred."""
        self._check(value, role, shape)
        if np.prod(shape, dtype=np.int64) > typed(value).size:
            told = f"its {role} has shape {shape}, planned was {typed(value).shape} at most"
            fail("GC-O001", told)


def _live(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The first elements of a dense array, as many as `shape` has."""
    if array.shape == shape:
        return array
    return array.reshape(-1)[: int(np.prod(shape, dtype=np.int64))].reshape(shape)


__all__ = ["CpuExecutor"]
