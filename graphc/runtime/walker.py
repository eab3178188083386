"""DeviceExecutor: runs plans of target "cuda" on a device, host steps in Python.

It only obeys: what runs, where everything is and who waits for whom is in the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.cuda.variants import Variants, raw_alone
from graphc.errors import GraphError, fail
from graphc.floats import Held
from graphc.ir.graph import Array, Graph, Value, typed
from graphc.lower.cuda import lower
from graphc.numpy_later import npt
from graphc.ops.spec import F64
from graphc.plan.data import WORK
from graphc.plan.wish import Wish, forced_roots
from graphc.program import Call
from graphc.runtime._loaded import Loaded
from graphc.runtime._mirror import DeviceWeights
from graphc.runtime._planned import PlannedExecutor, live
from graphc.runtime._plans import plan_for
from graphc.runtime.device import Device

MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1


class DeviceExecutor(PlannedExecutor):
    """A compiled network on a device; see `ReferenceExecutor`.

    `plan`: an artefact's, for the shapes of now; `variants`: what libraries of the device offer;
    `deterministic`, `fused_update`, `pin_variants`: as in `graphc.lower.cuda.lower`; `weights`:
    parameters that are on the device already; `wish`: what plans are asked for. Raises GC-M001 for
    a plan over the wish's memory, GC-R002 for its layers, GC-M002 where memory is short.
    """

    prepared: Loaded

    def __init__(
        self,
        device: Device,
        graph: Graph,
        pinned: set[Value],
        seed: int = 0,
        plan: str | None = None,
        *,
        variants: Variants = raw_alone,
        deterministic: bool = False,
        fused_update: bool = True,
        pin_variants: bool = False,
        weights: DeviceWeights | None = None,
        wish: Wish | None = None,
    ) -> None:
        super().__init__(graph, pinned, seed)
        self.device, self._variants = device, variants
        self._deterministic, self._fused_update = deterministic, fused_update
        self._pin_variants, self._wish = pin_variants, wish or Wish()
        self.weights = weights or DeviceWeights(device, graph)
        self.prepared = self._prepare(plan)
        self._shapes_of_plan = self._input_shapes()

    def lend(self, graph: Graph, names: Mapping[str, str]) -> DeviceWeights:
        shared = DeviceWeights(self.device, graph, self.weights, names)
        plan, memories = self.prepared.plan, self.prepared.arenas
        free = ((plan.arenas[at].nbytes, memory) for at, memory in memories.items()
                if plan.arenas[at].name == WORK)  # fmt: skip
        shared.arenas = tuple(free)
        return shared

    def times(self, entries: Sequence[str] = ("forward",)) -> list[float]:
        """Raises GC-R003."""
        told = f"target {self.prepared.plan.target!r} times no calls"
        fail("GC-R003", told, "use target='cpu'")

    def _prepare(self, plan: str | None = None) -> Loaded:
        program = lower(
            self.graph,
            self.pinned,
            repeatable=not self.updates,
            fused_update=self._fused_update,
            deterministic=self._deterministic,
            pin_variants=self._pin_variants,
            variants=self._variants,
        )
        made = plan_for(program, plan, self._wish, forced_roots(program, self.graph, self._wish))
        return Loaded(self.device, program, made, self.weights, self._host_step)

    def _host_step(self, call: Call, arrays: list[npt.NDArray[Any]]) -> None:
        node = self.graph.nodes[call.node]
        self._guarded(node, lambda node: self._run_host(node, call, arrays))

    def _moved(self) -> None:
        pass

    def _ready(self) -> None:
        pass

    def _put_feed(self, value: Value, array: Held) -> None:
        self.prepared.put(self.program.values[value.name], array)

    def _fill(self, value: Value, array: F64) -> None:
        self.prepared.put(self.program.values[value.name], array)

    def _run(self, entry: str) -> None:
        wrong = self.prepared.run(entry, self.seed & MASK64, self.drawn & MASK32)
        if wrong is not None:
            call, place = wrong
            node = self.graph.nodes[call.node]
            told = f"the label at element {place} is no class"
            error = GraphError("GC-D003", told, "labels are whole numbers from 0 on")
            raise node.located(self._traced(node, error))

    def _seen(self, value: Value) -> npt.NDArray[Any]:
        found = self.prepared.get(self.program.values[value.name])
        return live(found, self.shapes.get(value, typed(value).shape))

    def params(self) -> dict[str, tuple[Array, ...]]:
        """Arrays that may be written; the next run copies them to the device."""
        return self.graph.params


__all__ = ["DeviceExecutor"]
