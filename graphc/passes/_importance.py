"""Importance: how much each class of channels matters, by several criteria; more is better."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from graphc.channels import Channels, Use, filters, makes_filters
from graphc.errors import fail
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.op import Kind
from graphc.ops.gate import Gate
from graphc.ops.scale import Scale
from graphc.ops.spec import F64
from graphc.passes._listed import read_scores
from graphc.passes.base import PassContext

Rows = Callable[[F64], F64]


class Importance:
    """Scores of the classes of a graph. NaN: the criterion says nothing of that class."""

    def __init__(self, graph: Graph, channels: Channels, ctx: PassContext) -> None:
        self.graph, self.channels, self.ctx = graph, channels, ctx

    def of(self, criterion: str, scores: Path | None = None) -> F64:
        """The score of each class. Raises GC-T001 where something that it needs is missing."""
        if criterion == "scores":
            return self._external(scores)
        found: dict[str, Callable[[], F64]] = {
            "l1": lambda: self._summed(lambda rows: np.abs(rows).sum(1)),
            "l2": lambda: np.sqrt(self._summed(lambda rows: np.square(rows).sum(1))),
            "fpgm": lambda: self._summed(distances),
            "bn_scale": lambda: self._factors(Scale, "a BatchNorm with a Scale"),
            "gate": lambda: self._factors(Gate, "a Gate"),
            "taylor": self._taylor,
            "random": self._random,
        }
        return found[criterion]()

    def _random(self) -> F64:
        return self.ctx.rng("remove_filters").uniform(0.5, 1.5, self.channels.count)

    def _weights(self) -> list[tuple[Value, Use]]:
        """The weights of layers that have filters, without biases."""
        return [
            (storage, uses[0])
            for storage, uses in self.channels.uses.items()
            if uses[0].out_axis is not None
            and storage.kind is Kind.PARAM
            and makes_filters(uses[0].node)
            and typed(storage).rank > 1
        ]

    def _summed(self, rows: Rows) -> F64:
        """For each class the sum, over all its filters, of what `rows` says of each row."""
        total = np.zeros(self.channels.count)
        for storage, use in self._weights():
            assert use.out_axis is not None
            array = self.graph.weight(storage)
            for labels, view in self.channels.rows(storage, use.out_axis, array):
                said = rows(view.reshape(len(labels), -1).astype(np.float64))
                total += np.bincount(labels, said, self.channels.count)
        return total

    def _factors(self, op: type, what: str) -> F64:
        """|factor| of the layers of a type that multiply each channel by one."""
        total, seen = np.zeros(self.channels.count), np.zeros(self.channels.count, bool)
        for node in self.graph.forward_nodes():
            if node.op is not op or "weight" not in node.params:
                continue
            factor = np.abs(factors(self.graph, node))
            if factor.ndim == 1:
                labels = self.channels.labels[node.params["weight"].storage, 0]
                total += np.bincount(labels, factor, self.channels.count)
                seen[labels] = True
        if not seen.any():
            fail("GC-T001", f"no layer is followed by {what}", "choose another criterion")
        return np.where(seen, total, np.nan)

    def _taylor(self) -> F64:
        """|sum of gradient * parameter|: to the first order, what the loss changes by without it.

        Of the Gate, or the Scale, that multiplies a channel last, else of the filter and its bias.
        Source: Molchanov et al., arXiv 1906.10771; You et al., arXiv 1909.08174.
        """
        if self.ctx.calibration is None:
            told = "criterion=taylor needs calibration inputs, with labels or whatever the loss is"
            fail("GC-T001", told, "--calibration FILE.npz; or another criterion")
        gradients = self.ctx.gradients(self.graph, self.ctx.calibration)
        kinds: list[Callable[[Node], bool]] = [
            lambda node: node.op is Gate,
            lambda node: node.op is Scale,
            makes_filters,
        ]
        total = np.full(self.channels.count, np.nan)
        for is_kind in kinds:
            found, seen = np.zeros(self.channels.count), np.zeros(self.channels.count, bool)
            for storage, uses in self.channels.uses.items():
                out = uses[0].out_axis
                if out is None or not is_kind(uses[0].node) or storage.name not in gradients:
                    continue
                array = self.graph.weight(storage).reshape(typed(storage).shape)
                product = array.astype(np.float64) * gradients[storage.name].reshape(array.shape)
                for labels, view in self.channels.rows(storage, out, product):
                    sums = view.reshape(len(labels), -1).sum(1)
                    found += np.bincount(labels, sums, self.channels.count)
                    seen[labels] = True
            total = np.where(np.isnan(total) & seen, np.abs(found), total)
        return total

    def _external(self, path: Path | None) -> F64:
        """Scores from a file: layer -> one number for each of its filters."""
        if path is None:
            fail("GC-T001", "criterion=scores needs a file", "scores=FILE.json or FILE.npz")
        given = read_scores(path)
        total = np.full(self.channels.count, np.nan)
        for name, array in given.items():
            labels = filters(self.channels, name)
            if array.shape != (len(labels),):
                told = f"{path}: {name!r} has {len(labels)} filters, but scores of shape"
                fail("GC-T001", f"{told} {array.shape}", "one number for each filter")
            if not np.isfinite(array).all():
                fail("GC-T001", f"{path}: the scores of {name!r} are not finite")
            total[labels] = np.where(np.isnan(total[labels]), 0, total[labels]) + array
        return total


def distances(rows: F64) -> F64:
    """sum_j ||row_i - row_j||: of filters near the geometric median, the least. Source: He et al.,
    arXiv 1811.00250."""
    squares = np.square(rows).sum(1)
    apart = squares[:, None] + squares - 2 * rows @ rows.T
    return np.asarray(np.sqrt(np.maximum(apart, 0)).sum(1))


def factors(graph: Graph, node: Node) -> F64:
    """What a Scale or Gate multiplies its channels by."""
    found = graph.weight(node.params["weight"]).astype(np.float64)
    if "mask" in node.params:
        found = found * graph.weight(node.params["mask"])
    return found.reshape(typed(node.params["weight"]).shape)


def check_finite(graph: Graph) -> None:
    """Raises GC-T001 for a parameter with an element that is not finite."""
    for value in graph.param_values():
        if not np.isfinite(graph.weight(value)).all():
            told = f"{value.name!r} has elements that are no finite numbers"
            fail("GC-T001", told, "training diverged, or the weight file is broken")


__all__ = ["Importance", "check_finite", "factors"]
