"""DummySource: filler values as data, for DummyData layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graphc.data.source import Array, Batch, State, counters

Fill = Callable[[str, int], Array]


class DummySource:
    """One array per top from `fill(role, step)`; a Source.

    Roles in `constant` are filled once, others anew in each step, as a function of the step alone.
    """

    ahead = 0

    def __init__(self, roles: tuple[str, ...], constant: frozenset[str], fill: Fill) -> None:
        self.roles, self.fill = roles, fill
        self.step = 0
        self._kept: Batch = {role: fill(role, 0) for role in roles if role in constant}

    def next(self) -> Batch:
        batch: Batch = {}
        for role in self.roles:
            kept = self._kept.get(role)
            batch[role] = self.fill(role, self.step) if kept is None else kept.copy()
        self.step += 1
        return batch

    def reset(self) -> None:
        self.step = 0

    def state(self) -> State:
        return {"step": self.step}

    def restore(self, state: Mapping[str, int]) -> None:
        (self.step,) = counters(state, step=None)

    def origin(self, state: Mapping[str, int], row: int) -> str:
        return f"row {row} of the filler's step {state['step']}"

    def close(self) -> None:
        """Nothing is open."""
