"""tested_net: a network of a solver that is tested on the parameters which are being learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc import driver
from graphc.errors import GraphError, Loc
from graphc.ir.graph import Graph
from graphc.ir.verify import verify
from graphc.runtime.executable import Executable
from graphc.runtime.training import TestedNet, TrainingNet, paired
from graphc.train.events import Final, FinalLoss, Listener, TestBatch

Means = dict[str, npt.NDArray[np.float64]]


def tested_net(graph: Graph, trained: TrainingNet, **how: Any) -> TestedNet:
    """The executable of a shaped graph on the memory of a net that is trained: its parameters, and
    while that net does not run its arenas. `how`: threads and the like, of `Executable`.

    Raises GC-W001, GC-W002 for parameters that the other has not.
    """
    expanded, _ = driver.optimize(graph, ())
    names = paired(expanded, trained.graph)
    expanded.weights = {}
    weights = trained.lend(expanded, names)
    verify(expanded, 1)
    return TestedNet(expanded, target=trained.target, weights=weights, **how)


def mean_outputs(
    net: Executable,
    batches: int,
    feed: Mapping[str, npt.ArrayLike] | None = None,
    listen: Listener = lambda event: None,
) -> tuple[Means, float]:
    """Means over batches of all outputs, element by element, and of the loss.

    `listen` is told of every batch, and then of the means. Raises GC-R001 for a wrong feed.
    """
    totals: Means = {}
    loss = 0.0
    for batch in range(batches):
        try:
            found = net.forward(feed)
        except GraphError as error:
            raise error.at(loc=Loc(net.graph.file)) from None
        loss += net.loss()
        for name, array in found.items():
            totals[name] = totals.get(name, 0.0) + array.astype(np.float64)
            for value in array.ravel():
                listen(TestBatch(batch, name, float(value)))
    means = {name: np.asarray(total / batches) for name, total in totals.items()}
    listen(FinalLoss(loss / batches))
    for name, mean in means.items():
        for number in mean.ravel():
            listen(Final(name, float(number)))
    return means, loss / batches


__all__ = ["Means", "mean_outputs", "tested_net"]
