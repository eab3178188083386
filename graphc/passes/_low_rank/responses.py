"""Responses: what layers inside of a network compute on calibration inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from graphc.ir.clone import forward_part
from graphc.ir.edit import erase
from graphc.ir.graph import Array, Graph, Node, typed
from graphc.ops.spec import F64
from graphc.passes.base import PassContext

PLACES = 30_000
"""Rows that regressions are made of at most; more change little."""


def responses(
    ctx: PassContext, graph: Graph, inputs: Mapping[str, Array], names: Collection[str]
) -> dict[str, Array]:
    """The values called `names`, of the graph as it is. Raises GC-R001 for unfit inputs."""
    other = forward_part(graph)
    other.weights = dict(other.weights)
    table = other.by_name()
    other.outputs = [table[name] for name in names]
    needed = {*other.outputs, *other.inputs}
    dead = set(other.nodes)
    for node in reversed(other.nodes):
        if needed & set(node.outs.values()):
            dead.remove(node)
            needed.update(node.ins.values())
    erase(other, dead)
    found = ctx.run(other, inputs)
    return {name: found[name] for name in names}


def rows(node: Node, response: Array) -> F64:
    """(places, channels): a layer's top as one row per place, evenly thinned to `PLACES`."""
    axis = typed(next(iter(node.ins.values()))).axis(node.attrs.axis)
    channels = response.shape[axis]
    found = np.moveaxis(response, axis, -1).reshape(-1, channels)
    step = -(-len(found) // PLACES)
    return found[::step].astype(np.float64)


def change(old: Array, new: Array) -> float:
    """||new - old|| / ||old||, Frobenius norms; 0 where both are 0."""
    moved = float(np.linalg.norm(new.astype(np.float64) - old))
    norm = float(np.linalg.norm(old.astype(np.float64)))
    return moved / norm if norm else (0.0 if not moved else float("inf"))


__all__ = ["change", "responses", "rows"]
