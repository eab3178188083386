"""TrainingNet: a network that is run forward, backward and updated as one; what a Solver drives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import numpy.typing as npt

from graphc.errors import fail
from graphc.ir.graph import Value
from graphc.ir.op import Kind
from graphc.ir.versions import blob_of
from graphc.runtime.executable import Executable, Gradients
from graphc.runtime.feeds import Shape, checked_feeds


class TrainingNet(Executable):
    """An executable whose graph has update nodes (`graphc.updates`).

    Gradients live no longer than their last reader, so that nobody can ask for them.
    """

    def _pinned(self) -> set[Value]:
        return {v for v in super()._pinned() if v.kind is Kind.ACT} - set(self.graph.grads.values())

    def _told_slopes(self) -> dict[str, Value]:
        return {}

    def step(
        self, feeds: Mapping[str, npt.ArrayLike] | None, step_params: Mapping[str, float]
    ) -> float:
        """Forward, backward, update; returns the loss before the update.

        `feeds`: input name -> array, shaped as compiled; `step_params`: "rate". Raises GC-R001 for
        wrong feeds; nothing is changed then.
        """
        with self._lock:
            arrays = checked_feeds({} if feeds is None else feeds, self.inputs)
            self._reshape(self.inputs, {name: array.shape for name, array in arrays.items()})
            executor = self._executor
            executor.step_params.update(step_params)
            self._ran = False
            executor.forward({v: arrays[blob_of(v)] for v in self.graph.inputs})
            self._ran = True
            loss = executor.loss()
            executor.backward({})
            executor.update()
            return loss

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


def _refuse() -> NoReturn:
    hint = "graphc.compile(net, train=True) gives gradients and updates nothing"
    fail("GC-R003", "a solver's network keeps no gradients", hint)


__all__ = ["TrainingNet"]
