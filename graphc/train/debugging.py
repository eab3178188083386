"""DebugNet: a network in training that tells how large blobs, parameters and gradients are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from graphc.ir.graph import Value
from graphc.ir.op import Kind
from graphc.ir.versions import blob_of
from graphc.runtime.training import TrainingNet
from graphc.train.events import DebugInfo, Listener


class DebugNet(TrainingNet):
    """A training net for `debug_info`; all its blobs and gradients are kept, and take their memory.

    `watch` is told, while it is set, mean absolute values, in the order of Caffe's debug lines:
    tops and parameters after the forward, gradients of bottoms and parameters from the last layer
    to the first after the backward, what the update changed parameters by.
    """

    watch: Listener | None = None

    def _pinned(self) -> set[Value]:
        tops = {n.outs[r] for n in self.graph.forward_nodes() for r in n.tops}
        return super()._pinned() | tops | set(self.graph.grads.values())

    def step(
        self,
        feeds: Mapping[str, npt.ArrayLike] | None,
        tune: Callable[[float], Mapping[str, float]],
        passes: int = 1,
        tell: bool = False,
    ) -> float:
        before = {}
        if self.watch is not None:
            before = {value: self.graph.weight(value).copy() for value in self._learned()}
        loss = super().step(feeds, tune, passes, tell)
        if self.watch is not None:
            for layer, index, value in self._params():
                if value in before:
                    now = self.graph.weight(value)
                    told = f"param blob {index}"
                    self.watch(DebugInfo("Update", layer, told, "data", _size(now)))
                    changed = _size(before[value] - now)
                    self.watch(DebugInfo("Update", layer, told, "diff", changed))
        return loss

    def _after(self, entry: str) -> None:
        if self.watch is None:
            return
        told = self._forward() if entry == "forward" else self._backward()
        for info in told:
            self.watch(info)

    def _forward(self) -> Iterator[DebugInfo]:
        env = self._executor.env
        for node in self.graph.forward_nodes():
            for role in node.tops:
                value = node.outs[role]
                if value in env:
                    name = f"top blob {blob_of(value)}"
                    yield DebugInfo("Forward", node.name, name, "data", _size(env[value]))
            for index, value in enumerate(node.params.values()):
                if value.kind in (Kind.PARAM, Kind.STATE):
                    size = _size(self.graph.weight(value))
                    yield DebugInfo("Forward", node.name, f"param blob {index}", "data", size)

    def _backward(self) -> Iterator[DebugInfo]:
        env, grads = self._executor.env, self.graph.grads
        for node in reversed(list(self.graph.forward_nodes())):
            for value in node.ins.values():
                slope = grads.get(value.name)
                if slope in env:
                    name = f"bottom blob {blob_of(value)}"
                    yield DebugInfo("Backward", node.name, name, "diff", _size(env[slope]))
            for index, value in enumerate(node.params.values()):
                slope = grads.get(value.name)
                if slope in env:
                    size = _size(env[slope])
                    yield DebugInfo("Backward", node.name, f"param blob {index}", "diff", size)

    def _params(self) -> Iterator[tuple[str, int, Value]]:
        for layer, values in self.graph.layer_params().items():
            for index, value in enumerate(values):
                yield layer, index, value.storage

    def _learned(self) -> set[Value]:
        grads = self.graph.grads
        return {v.storage for v in self.graph.values() if v.kind is Kind.PARAM and v.name in grads}


def _size(array: npt.NDArray[np.floating]) -> float:
    """The mean of absolute values, 0 of none."""
    return float(np.abs(array).mean(dtype=np.float64)) if array.size else 0.0


__all__ = ["DebugNet"]
