"""Removal: take channels out of a graph, or out of arrays that are shaped like its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from graphc.channels import Axis, Channels
from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ir.infer import infer
from graphc.ir.types import Type
from graphc.ops.spec import OpSpec
from graphc.ops.ties import Kept

Mask: TypeAlias = npt.NDArray[np.bool_]
"""By class: is it one of them?"""


class Removal:
    """What is left of a graph's axes without the classes `removed`."""

    def __init__(self, channels: Channels, removed: Mask) -> None:
        self.channels = channels
        self.kept = channels.kept(removed)

    def of_node(self, node: Node) -> Kept:
        """What is left, by endpoint of the node."""
        return endpoints(node, self.kept)

    def sliced(self, value: Value, array: Array) -> Array:
        """What is left of an array that is shaped like the parameter storage `value`."""
        array = array.reshape(typed(value).shape)
        grouped = [at for at in range(array.ndim) if (value, at) in self.channels.grouped]
        for at in grouped:
            array = self._within_groups(value, at, array)
        for at in range(array.ndim):
            is_done = at in grouped or (grouped and at == 0)
            if (value, at) in self.kept and not is_done:
                array = np.take(array, self.kept[value, at], axis=at)
        return np.ascontiguousarray(array)

    def _within_groups(self, value: Value, at: int, array: Array) -> Array:
        """Rows of each group, with what that group has left of axis `at`."""
        src, groups = self.channels.grouped[value, at]
        rows, extent = array.shape[0] // groups, array.shape[at]
        left = self._left(src, extent * groups)
        rows_left = self._left((value, 0), array.shape[0])
        blocks = []
        for group in range(groups):
            inner = left[left // extent == group] - group * extent
            outer = rows_left[rows_left // rows == group]
            blocks.append(np.take(array[outer], inner, axis=at))
        return np.concatenate(blocks)

    def _left(self, axis: Axis, extent: int) -> npt.NDArray[np.int64]:
        return self.kept.get(axis, np.arange(extent))

    def apply(self, graph: Graph) -> None:
        """Narrow attributes, parameters and types of the graph that the channels are of."""
        storages: dict[Value, None] = {}
        for node in graph.forward_nodes():
            kept = self.of_node(node)
            if kept:
                op = cast("type[OpSpec]", node.op)
                node.attrs = op.narrow(node.attrs, node.sig(graph.env), kept)
            storages |= {value.storage: None for value in node.params.values()}
        for value in storages:
            if value.name in graph.weights:
                graph.weights[value.name] = self.sliced(value, graph.weights[value.name])
        infer(graph)


def endpoints(node: Node, kept: Mapping[Axis, npt.NDArray[np.int64]]) -> Kept:
    """The part of `kept` that lies at a node, by endpoint."""
    found: dict[str, npt.NDArray[np.int64]] = {}
    for role, value in (*node.ins.items(), *node.params.items(), *node.outs.items()):
        for at in range(typed(value).rank):
            if (value.storage, at) in kept:
                found[f"{role}.{at}"] = kept[value.storage, at]
    return found


def narrowed(type_: Type, role: str, kept: Kept) -> Type:
    """The type of what is left at a role."""
    shape = (len(kept.get(f"{role}.{at}", range(d))) for at, d in enumerate(type_.shape))
    return type_.with_shape(*shape)


__all__ = ["Mask", "Removal", "endpoints", "narrowed"]
