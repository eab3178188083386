"""SmoothedLoss: the mean loss of the last iterations, as Caffe reports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SmoothedLoss:
    """The running mean of at most `length` losses (average_loss); `value` is 0 before the first.

    Caffe keeps it in a ring whose place is counted from the iteration that a run started with, and
    so do we; a run that goes on where ours stopped goes on with the ring, too.
    """

    def __init__(self, length: int, start: int = 0) -> None:
        self.length, self.start = length, start
        self.losses: list[float] = []
        self.value = 0.0

    def add(self, iteration: int, loss: float) -> float:
        """The mean with the loss of an iteration."""
        if len(self.losses) < self.length:
            self.losses.append(loss)
            count = len(self.losses)
            self.value = (self.value * (count - 1) + loss) / count
        else:
            place = (iteration - self.start) % self.length
            self.value += (loss - self.losses[place]) / self.length
            self.losses[place] = loss
        return self.value

    def state(self) -> dict[str, Any]:
        """What `restore` takes, exact."""
        losses = [loss.hex() for loss in self.losses]
        return {"start": self.start, "losses": losses, "value": self.value.hex()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.start = int(state["start"])
        self.losses = [float.fromhex(loss) for loss in state["losses"]][: self.length]
        self.value = float.fromhex(state["value"])


__all__ = ["SmoothedLoss"]
