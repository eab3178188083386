"""TrainingNet: a network that is run forward, backward and updated as one; what a Solver drives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

from graphc.errors import fail
from graphc.floats import Held
from graphc.ir.graph import Array, Graph, Value, typed
from graphc.ir.op import Kind
from graphc.ir.versions import blob_of
from graphc.numpy_later import npt
from graphc.ops.update.accumulate import PASS
from graphc.runtime.executable import Executable, Gradients
from graphc.runtime.feeds import Shape, checked_feeds, single

if TYPE_CHECKING:
    from graphc.runtime.targets import Lent

Positions = dict[str, dict[str, int]]


class SolverNet(Executable):
    """An executable that a run which was stopped can go on with. Data sources read ahead, see
    `graphc.data.prefetch`."""

    reads_ahead = True

    @property
    def passed(self) -> int:
        """How many forwards there were, on which random draws depend."""
        return self._executor.step

    def positions(self) -> Positions:
        """Where the data layers that were opened will go on, by layer."""
        sources = self._executor.sources.items()
        return {node.name: source.state() for node, source in sources if hasattr(source, "state")}

    def go_on(self, passed: int, positions: Mapping[str, Mapping[str, int]]) -> None:
        """Be where another run was. Raises GC-D002 for positions that do not fit the data."""
        with self._lock:
            self._executor.go_to(positions)
            self._executor.step = passed


class TrainingNet(SolverNet):
    """An executable whose graph has update nodes (`graphc.updates`).

    Gradients live no longer than their last reader, so that nobody can ask for them. `told`: the
    outputs of the last forward that was to tell them.
    """

    told: Mapping[str, Array] = {}

    def _pinned(self) -> set[Value]:
        return {v for v in super()._pinned() if v.kind is Kind.ACT} - set(self.graph.grads.values())

    def _told_slopes(self) -> dict[str, Value]:
        return {}

    def step(
        self,
        feeds: Mapping[str, npt.ArrayLike] | None,
        tune: Callable[[float], Mapping[str, float]],
        passes: int = 1,
        tell: bool = False,
    ) -> float:
        """Forward and backward, `passes` times, and one update; returns the mean loss before it.

        `feeds`: input name -> array, shaped as compiled; `tune`: from the mean loss what the
        graph's updates read, "rate" for one. Raises GC-R001 for wrong feeds, GC-R005 for a loss
        that is no number; no parameter is changed then.
        """
        with self._lock:
            arrays = self._checked(feeds)
            total = 0.0
            for number in range(passes):
                loss = self._run_forward(arrays, tell)
                if not math.isfinite(loss):
                    fail("GC-R005", f"the loss is {loss}")
                self._after("forward")
                total += loss
                self._tell({PASS: float(number)})
                if number == passes - 1:
                    self._tell(tune(total / passes))
                self._executor.backward({})
                self._after("backward")
            self._executor.update()
            return total / passes

    def look(self, feeds: Mapping[str, npt.ArrayLike] | None = None) -> float:
        """The loss of one more batch, from which nothing is learned. Raises GC-R001."""
        with self._lock:
            return self._run_forward(self._checked(feeds), True)

    def _checked(self, feeds: Mapping[str, npt.ArrayLike] | None) -> Mapping[str, Held]:
        arrays = checked_feeds({} if feeds is None else feeds, self.inputs)
        self._reshape(self.inputs, {name: array.shape for name, array in arrays.items()})
        return arrays

    def _tell(self, step_params: Mapping[str, float]) -> None:
        known = self._executor.step_params
        known.update({name: value for name, value in step_params.items() if name in known})

    def _run_forward(self, arrays: Mapping[str, Held], tell: bool) -> float:
        self._ran = False
        self._executor.forward({v: arrays[blob_of(v)] for v in self.graph.inputs})
        self._ran = True
        if tell:
            self.told = {name: single(self._executor.env[v]) for name, v in self._blobs.items()}
        return self._executor.loss()

    def _after(self, entry: str) -> None:
        """Called when an entry has run."""

    def lend(self, graph: Graph, names: Mapping[str, str]) -> Lent | None:
        """Let a graph have this one's parameters: the name of each there -> the name here."""
        return self._executor.lend(graph, names)

    def times(self) -> list[float]:
        """Microseconds that each call of the last step took, in the order of the plan's entries.
        Raises GC-R003 on the reference target, or if no step came first."""
        with self._lock:
            if not self._ran:
                fail("GC-R003", "times need a step first")
            return self._executor.times(list(self._executor.plan.entries))

    def backward(self, seeds: Mapping[str, npt.ArrayLike] | None = None) -> Gradients:
        """Raises GC-R003: see `step`, or compile the network with train=True."""
        _refuse()

    def _reshape(self, old: Mapping[str, Shape], new: Mapping[str, Shape]) -> None:
        for name, shape in new.items():
            if shape != old[name]:
                told = f"input {name!r} has shape {shape}, the solver trains on {old[name]}"
                fail("GC-R001", told, "batches are as large as the network says")


class TestedNet(SolverNet):
    """A network that is run on parameters which another one learns, see `TrainingNet.lend`."""

    @property
    def own_bytes(self) -> int:
        """Memory that it has beside the parameters and arenas of the other; 0 for target
        reference, which plans none."""
        prepared = getattr(self._executor, "prepared", None)
        return prepared.own_bytes if prepared is not None else 0


def _refuse() -> NoReturn:
    hint = "graphc.compile(net, train=True) gives gradients and updates nothing"
    fail("GC-R003", "a solver's network keeps no gradients", hint)


def paired(graph: Graph, trained: Graph) -> dict[str, str]:
    """Name of each parameter of `graph` -> that of `trained` which is in the same place of a layer
    of the same name.

    Raises GC-W002 for one that there is not, GC-W001 for another shape.
    """
    theirs, names = trained.layer_params(), {}
    for layer, values in graph.layer_params().items():
        others = theirs.get(layer, [])
        for index, value in enumerate(values):
            told = f"the network that is trained has no parameter {index} of layer {layer!r}"
            if index >= len(others):
                fail("GC-W002", told, "layers that share weights have the same name in both")
            other = others[index].storage
            if typed(other).shape != typed(value.storage).shape:
                shapes = f"{typed(value.storage).shape} here, {typed(other).shape} in training"
                fail("GC-W001", f"parameter {index} of layer {layer!r} is {shapes}")
            names[value.storage.name] = other.name
    return names


__all__ = ["Positions", "SolverNet", "TestedNet", "TrainingNet", "paired"]
