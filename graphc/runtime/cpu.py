"""The CPU executor: runs a plan on the C++ core, host steps in Python.

Float32 throughout. Same interface as `ReferenceExecutor`, of which it is one: a host step is a
node's reference on other arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.errors import GraphError
from graphc.floats import Held
from graphc.ir.graph import Array, Graph, Value, typed
from graphc.ir.op import OURS
from graphc.lower.cpu import Choices, choices_text, lower_again, read_choices
from graphc.numpy_later import npt
from graphc.ops.spec import F64
from graphc.plan.wish import Wish, forced_roots
from graphc.runtime._planned import PlannedExecutor, live
from graphc.runtime._plans import plan_for
from graphc.runtime._prepared import FIRST, Prepared
from graphc.runtime._steps import PREPARE
from graphc.runtime._weights import SharedWeights, WeightMemory
from graphc.runtime.threads import checked_threads

UPDATING = ("backward", "update")
MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1


class CpuExecutor(PlannedExecutor):
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

    prepared: Prepared

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
        super().__init__(graph, pinned, seed)
        self.threads = checked_threads(threads)
        self.check = {"measure": True} | dict.fromkeys(check, True)
        self._deterministic, self._fused_update = deterministic, fused_update
        self._pin_variants, self._wish = pin_variants, wish or Wish()
        self.weights = weights or WeightMemory(graph)
        self._stale = True
        self.prepared = self._prepare(plan, choices)
        self._shapes_of_plan = self._input_shapes()

    def choices_text(self) -> str:
        return choices_text(self._choices)

    def params(self) -> dict[str, tuple[Array, ...]]:
        """Arrays that may be written; the next run packs them anew."""
        return self.weights.lend()

    def lend(self, graph: Graph, names: Mapping[str, str]) -> WeightMemory:
        shared = SharedWeights(graph, self.weights, names)
        shared.arenas = self.prepared.regions[FIRST:]
        return shared

    def times(self, entries: Sequence[str] = ("forward",)) -> list[float]:
        """Microseconds of each call of the last run of some entries, in the plan's order; without
        transfers, which run beside them."""
        prepared, found = self.prepared, []
        for entry in entries:
            times = prepared.session.times(prepared.entries.index(entry)).tolist()
            calls = prepared.calls(entry)
            found += [us for us, call in zip(times, calls, strict=True) if call is not None]
        return found

    def _ready(self) -> None:
        self._stale |= self.weights.changed()
        if self._stale:
            self._pack()
            self._stale = False

    def _moved(self) -> None:
        self._stale = True

    def _put_feed(self, value: Value, array: Held) -> None:
        self.prepared.put(self.program.values[value.name], array)

    def _fill(self, value: Value, array: F64) -> None:
        live(self._array(value), array.shape)[...] = array

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

    def _seen(self, value: Value) -> npt.NDArray[Any]:
        return live(self._array(value), self.shapes[value])

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

        if entry in UPDATING:
            self._stale |= self.updates
        try:
            seed, step = self.seed & MASK64, self.drawn & MASK32
            prepared.run(entry, host, seed=seed, step=step, **self.check, **checks)
        except GraphError as error:
            at = prepared.session.failed
            call = calls[at] if at >= 0 else None
            if call is None:
                raise
            node = self.graph.nodes[call.node]
            raise node.located(self._traced(node, error)) from None


__all__ = ["CpuExecutor"]
