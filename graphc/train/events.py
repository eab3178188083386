"""What happens in training and testing, as records; whoever wants to show or keep it listens.

An iteration is told in this order: `TestStart` and its `TestOutput`s per test net, where tests are
due; `TrainLoss`, `TrainOutput`s and `LearningRate`, where it is displayed; then its `Tick`, which
ends it; then `Snapshot`. After the last iteration come another `TrainLoss` and tests. A blob of
several numbers is as many outputs, with consecutive indices. `--json` lists `event.tuple()`s,
except those of ticks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, ClassVar, TypeAlias

from graphc.records import record

Row: TypeAlias = tuple[Any, ...]


@record(frozen=True, slots=True)
class Event:
    """Something that has happened; `kind` is the name under which it is told."""

    kind: ClassVar[str] = ""

    def tuple(self) -> Row:
        """(kind, *fields), JSON-ready."""
        return (self.kind, *(getattr(self, field.name) for field in fields(self)))


@record(frozen=True, slots=True)
class TestStart(Event):
    """Test net `net` (from 0) is run, before iteration `iter`."""

    kind: ClassVar[str] = "test_start"
    iter: int
    net: int


@record(frozen=True, slots=True)
class TestOutput(Event):
    """The mean over its batches of one output of the test net that was started last."""

    kind: ClassVar[str] = "test_output"
    index: int
    name: str
    value: float


@record(frozen=True, slots=True)
class TrainLoss(Event):
    """`loss`: the mean of the last `average_loss` iterations, `iter` included."""

    kind: ClassVar[str] = "train_loss"
    iter: int
    loss: float


@record(frozen=True, slots=True)
class TrainOutput(Event):
    """One output of the training net, in the iteration whose `TrainLoss` came last."""

    kind: ClassVar[str] = "train_output"
    index: int
    name: str
    value: float


@record(frozen=True, slots=True)
class LearningRate(Event):
    """The rate of iteration `iter`."""

    kind: ClassVar[str] = "lr"
    iter: int
    rate: float


@record(frozen=True, slots=True)
class Snapshot(Event):
    """`file` was written."""

    kind: ClassVar[str] = "snapshot"
    file: str


@record(frozen=True, slots=True)
class SnapshotFailed(Event):
    """The snapshot after `iter` updates could not be written; training goes on. `reason`: why, and
    what is intact."""

    kind: ClassVar[str] = "snapshot_failed"
    iter: int
    reason: str


@record(frozen=True, slots=True)
class DebugInfo(Event):
    """With debug_info, in an iteration that is displayed: `value` is the mean absolute value of the
    data or diff (`of`) of a blob of a layer, after "Forward", "Backward" or "Update" (`stage`)."""

    kind: ClassVar[str] = "debug_info"
    stage: str
    layer: str
    blob: str
    of: str
    value: float


@record(frozen=True, slots=True)
class Tick(Event):
    """Iteration `iter` is over: its own loss, its rate, how many images it saw (all sub-passes) and
    how many seconds it took, tests and snapshots not counted."""

    kind: ClassVar[str] = "tick"
    iter: int
    loss: float
    rate: float
    images: int
    seconds: float


@record(frozen=True, slots=True)
class TestBatch(Event):
    """One number of one output of one batch of `graphc test`."""

    kind: ClassVar[str] = "test_batch"
    batch: int
    name: str
    value: float


@record(frozen=True, slots=True)
class FinalLoss(Event):
    """The mean loss of all batches of `graphc test`."""

    kind: ClassVar[str] = "final_loss"
    value: float


@record(frozen=True, slots=True)
class Final(Event):
    """The mean of one number of one output over all batches of `graphc test`."""

    kind: ClassVar[str] = "final"
    name: str
    value: float


Listener: TypeAlias = Callable[[Event], None]


def element_names(names: Sequence[str]) -> list[str]:
    """Distinct names of a net's outputs, told as one name per number: acc, prob[0], prob[1]."""
    total, seen, distinct = Counter(names), Counter[str](), []
    for name in names:
        distinct.append(name if total[name] == 1 else f"{name}[{seen[name]}]")
        seen[name] += 1
    return distinct


__all__ = [
    "DebugInfo",
    "Event",
    "Final",
    "FinalLoss",
    "LearningRate",
    "Listener",
    "Row",
    "Snapshot",
    "SnapshotFailed",
    "TestBatch",
    "TestOutput",
    "TestStart",
    "Tick",
    "TrainLoss",
    "TrainOutput",
    "element_names",
]
