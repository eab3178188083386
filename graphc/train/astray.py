"""first_bad_blob: where in a network numbers stop being numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from graphc.errors import GraphError
from graphc.ir.clone import clone, forward_part
from graphc.runtime.training import Positions, TestedNet, TrainingNet


def first_bad_blob(
    net: TrainingNet,
    feeds: Mapping[str, npt.ArrayLike] | None,
    passed: int,
    positions: Positions,
) -> str:
    """What to say of the first blob of a forward that is infinite or no number; "" if none is.

    The forward is made again with the parameters of now, on a copy of the network that keeps all
    its blobs; `passed`, `positions`: those of before it.
    """
    graph = clone(forward_part(net.graph))
    for value in graph.param_values():
        if not np.isfinite(graph.weight(value)).all():
            return f"parameter {value.name!r} was not finite before"
    again = TestedNet(graph, keep="all", seed=net.seed, target=net.target, threads=net.threads)
    try:
        again.go_on(passed, positions)
        blobs = again.forward(feeds)
    except GraphError as error:
        return f"its forward then fails: {error.message}"
    finally:
        again.close()
    for node in graph.forward_nodes():
        for role in node.tops:
            name = node.outs[role].name
            if name in blobs and not np.isfinite(blobs[name]).all():
                return f"the first blob that is not finite is {name!r}, of layer {node.name!r}"
    return ""


__all__ = ["first_bad_blob"]
