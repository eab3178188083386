"""What passes that change single weights share: which layers, and their weights as matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.coding import encode
from graphc.errors import fail, near
from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ops.convolution import Convolution
from graphc.ops.deconvolution import Deconvolution
from graphc.ops.inner_product import InnerProduct
from graphc.passes._low_rank.choice import pattern
from graphc.passes.base import Pass
from graphc.records import record

WEIGHT = "weight"
WEIGHTED = frozenset({Convolution, Deconvolution, InnerProduct})


@record(frozen=True)
class Weighted:
    """A layer with a weight of its own, or the first of those that share it."""

    node: Node
    value: Value

    @property
    def name(self) -> str:
        return self.node.name

    def array(self, graph: Graph) -> Array:
        """Its weight in the declared shape."""
        return graph.weight(self.value).reshape(typed(self.value).shape)

    def matrix(self, array: Array) -> Array:
        """(outputs, channels of a group, taps) of an array shaped as the weight."""
        node = self.node
        if node.op is InnerProduct:
            rows = array.T if node.attrs.transpose else array
            return rows.reshape(*rows.shape, 1)
        if node.op is Deconvolution:
            array = array.swapaxes(0, 1)
        return array.reshape(array.shape[0], array.shape[1], -1)

    def unmatrix(self, matrix: Array) -> Array:
        """The array whose `matrix` this is."""
        shape, node = typed(self.value).shape, self.node
        if node.op is InnerProduct:
            rows = matrix[:, :, 0]
            return np.ascontiguousarray(rows.T if node.attrs.transpose else rows)
        if node.op is Deconvolution:
            turned = matrix.reshape(shape[1], shape[0], *shape[2:])
            return np.ascontiguousarray(turned.swapaxes(0, 1))
        return matrix.reshape(shape)


def weighted_layers(graph: Graph) -> list[Weighted]:
    """Layers with a weight matrix, in order; of those that share a weight the first."""
    found: dict[Value, Weighted] = {}
    for node in graph.forward_nodes():
        if node.op in WEIGHTED and WEIGHT in node.params:
            value = node.params[WEIGHT]
            if value.view_of is None:
                found.setdefault(value.storage, Weighted(node, value))
    return list(found.values())


def chosen_layers(
    each: Pass, graph: Graph, layers: Sequence[str], skip: Sequence[str]
) -> list[Weighted]:
    """Those that `layers` names (all, where it names none) and `skip` does not; names or regular
    expressions. Raises GC-T001 for one that fits no layer with weights, and for weights that are
    not finite."""
    known = weighted_layers(graph)
    names = [layer.name for layer in known]
    wanted, unwanted = [
        [pattern(text, f"pass {each.name!r}: ") for text in texts] for texts in (layers, skip)
    ]
    for text, fits in zip((*layers, *skip), (*wanted, *unwanted), strict=True):
        if not any(map(fits, names)):
            hint = near(text, names) or f"layers with weights: {', '.join(names) or 'none'}"
            fail("GC-T001", f"pass {each.name!r}: {text!r} is no layer with weights", hint)
    chosen = [
        layer
        for layer in known
        if (not wanted or any(fits(layer.name) for fits in wanted))
        and not any(fits(layer.name) for fits in unwanted)
    ]
    for layer in chosen:
        if not np.isfinite(layer.array(graph)).all():
            told = f"pass {each.name!r}: layer {layer.name!r} has weights that are not finite"
            fail("GC-T001", told, "leave the layer out with skip=")
    return chosen


def change_of(before: Array, after: Array) -> float:
    """Frobenius norm of the difference over that of what was there."""
    norm = float(np.linalg.norm(before.astype(np.float64)))
    moved = float(np.linalg.norm(after.astype(np.float64) - before))
    return moved / norm if norm else 0.0


def put(graph: Graph, layer: Weighted, array: Array) -> None:
    """Give a layer, and those that share its weight, new numbers."""
    owner = layer.value.storage
    graph.weights[owner.name] = np.ascontiguousarray(array).reshape(typed(owner).shape)


def file_bytes(array: Array) -> int:
    """Bytes that a weight takes in an artefact, coded where that is smaller."""
    coded = encode(array)
    return array.nbytes if coded is None else coded.nbytes


__all__ = ["Weighted", "change_of", "chosen_layers", "file_bytes", "put", "weighted_layers"]
