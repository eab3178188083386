"""Gradients: what a backward gives; those of parameters, summed where storage is shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from graphc.ir.graph import Array, Graph, Value, typed
from graphc.ir.op import Kind
from graphc.numpy_later import np
from graphc.ops.spec import F64
from graphc.records import record
from graphc.runtime.feeds import single


@record
class Gradients:
    """`params[layer][i]` as in `Executable.params`; `blobs[name]`: gradients of net inputs and kept
    blobs, those that have one. float32."""

    params: dict[str, list[Array]] = field(default_factory=dict)
    blobs: dict[str, Array] = field(default_factory=dict)


def param_gradients(graph: Graph, env: Mapping[Value, F64]) -> dict[str, list[Array]]:
    """`Gradients.params`, from the values that a backward has left."""
    totals = _shared_totals(graph, env)
    return {
        layer: [
            totals[v.storage].reshape(typed(v).shape)
            if v.storage in totals
            else np.zeros(typed(v).shape, np.float32)
            for v in blobs
        ]
        for layer, blobs in graph.layer_params().items()
    }


def _shared_totals(graph: Graph, env: Mapping[Value, F64]) -> dict[Value, Array]:
    """The gradient of each parameter storage, summed over differently shaped views of it."""
    totals: dict[Value, F64] = {}
    for value in graph.values():
        grad = graph.grads.get(value.name)
        if value.kind is Kind.PARAM and grad is not None:
            owner, array = value.storage, env[grad]
            flat = array.reshape(typed(owner).shape)
            totals[owner] = totals[owner] + flat if owner in totals else flat
    return {owner: single(total) for owner, total in totals.items()}


__all__ = ["Gradients", "param_gradients"]
