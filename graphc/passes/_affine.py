"""Affine: what BatchNorm, Scale, Bias and Power layers have in common, y = scale * x + shift."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import numpy as np

from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.op import Effect, Op
from graphc.ir.types import Type
from graphc.ops.batch_norm import BatchNorm
from graphc.ops.bias import Bias
from graphc.ops.elementwise import Elementwise
from graphc.ops.power import Power
from graphc.ops.scale import Scale
from graphc.ops.spec import F64, OpSpec
from graphc.records import record

NORMS: frozenset[type[Op]] = frozenset({BatchNorm})
SCALES: frozenset[type[Op]] = frozenset({Scale, Bias, Power})


@record(frozen=True)
class Affine:
    """y = scale * x + shift, in float64; both of one shape, that of x's axes from `start` on.

    `start` None: scalars. `shift` None: there is none, whatever the parameters are.
    """

    scale: F64
    shift: F64 | None
    start: int | None = None

    def then(self, after: Affine) -> Affine | None:
        """This map followed by `after`; None if they lie along different axes."""
        start = self.start if after.start is None else after.start
        if None not in (self.start, after.start) and (
            self.start != after.start or self.scale.shape != after.scale.shape
        ):
            return None
        with np.errstate(all="ignore"):
            shift = after.shift
            if self.shift is not None:
                moved = self.shift * after.scale
                shift = moved if after.shift is None else moved + after.shift
            return _even(np.asarray(self.scale * after.scale), shift, start)

    def along(self, x: Type, axis: int) -> Affine | None:
        """The same with one coefficient for each index of `axis` of x; None if it has others."""
        if self.start is None:
            ones = np.ones(x.shape[axis])
            return Affine(
                self.scale * ones, None if self.shift is None else self.shift * ones, axis
            )
        if self.start != axis or any(extent != 1 for extent in self.scale.shape[1:]):
            return None
        shift = None if self.shift is None else self.shift.reshape(-1)
        return Affine(self.scale.reshape(-1), shift, axis)

    def over(self, x: Type, axis: int) -> Affine | None:
        """The same with one coefficient for each index of all axes of x from `axis` on, as one."""
        shape = x.shape[axis:]
        if self.start is not None and self.start < axis:
            return None
        before = 0 if self.start is None else self.start - axis
        behind = len(shape) - before - self.scale.ndim

        def spread(row: F64) -> F64:
            return np.broadcast_to(row.reshape((*row.shape, *(1,) * behind)), shape).reshape(-1)

        return Affine(spread(self.scale), None if self.shift is None else spread(self.shift), axis)

    @property
    def moves(self) -> bool:
        """Is any shift other than 0?"""
        return self.shift is not None and bool(np.any(self.shift != 0))

    @property
    def is_identity(self) -> bool:
        return not self.moves and bool(np.all(self.scale == 1))


def affine_of(graph: Graph, node: Node, changing: Collection[Value] = ()) -> Affine | str:
    """The map that a layer of `NORMS` or `SCALES`, or a Gate, computes, or why it computes none.

    `changing`: storages that some layer of the graph writes, see `changing_states`.
    """
    if node.phase != "TEST":
        return "it is in phase TRAIN"
    if len(node.ins) > 1:
        return "its coefficients are another layer's top"
    if node.op is Power:
        return _of_power(node)
    if node.op is BatchNorm:
        return _of_norm(graph, node, changing)
    weight, bias = (_array(graph, node, role) for role in ("weight", "bias"))
    start = next(iter(cast("type[Elementwise]", node.op).starts(node.attrs, node.sig()).values()))
    one = np.ones(()) if weight is None else weight
    mask = _array(graph, node, "mask")
    one = one if mask is None else one * mask
    return _even(one, bias, start)


def changing_states(graph: Graph) -> frozenset[Value]:
    """Storages of statistics that a forward of the graph changes."""
    return frozenset(
        value.storage
        for node in graph.forward_nodes()
        if node.has(Effect.STATE) and _is_stateful(node)
        for value in node.params.values()
    )


def _is_stateful(node: Node) -> bool:
    calls = cast("type[OpSpec]", node.op).forwards(node.attrs, node.sig())
    return any(Effect.STATE in call.effects for call in calls)


def _of_power(node: Node) -> Affine | str:
    a = node.attrs
    if a.power != 1 or a.scale == 0:
        return f"its power is {a.power:g}, its scale {a.scale:g}"
    return _even(np.asarray(a.scale, np.float64), np.asarray(a.shift) if a.shift else None, None)


def _of_norm(graph: Graph, node: Node, changing: Collection[Value]) -> Affine | str:
    if _is_stateful(node):
        return "its statistics are the batch's"
    if any(v.storage in changing for v in node.params.values()):
        return "another layer updates its statistics"
    mean, variance, factor = (_array(graph, node, role) for role in node.params)
    assert mean is not None and variance is not None and factor is not None
    with np.errstate(all="ignore"):
        if factor[0] != 0:
            mean, variance = mean / factor[0], variance / factor[0]
        else:  # nothing was counted yet
            mean, variance = mean * 0, variance * 0
        scale = 1 / np.sqrt(variance + node.attrs.eps)
        shift = -mean * scale
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        return "a variance plus eps is not positive"
    if typed(node.ins["x"]).rank < 2:
        return _even(scale.reshape(()), shift.reshape(()), None)
    return _even(scale, shift, 1)


def _array(graph: Graph, node: Node, role: str) -> F64 | None:
    value = node.params.get(role)
    if value is None:
        return None
    return graph.weight(value).reshape(typed(value).shape).astype(np.float64)


def _even(scale: F64, shift: F64 | None, start: int | None) -> Affine:
    """The map with its two arrays brought to one shape."""
    shape = np.broadcast_shapes(scale.shape, () if shift is None else shift.shape)
    spread = None if shift is None else np.broadcast_to(shift, shape).astype(np.float64)
    return Affine(np.broadcast_to(scale, shape), spread, start if shape else None)
