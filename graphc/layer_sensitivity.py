"""sensitivity: what each layer's cut alone does to a network's outputs, by how far it goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphc.driver import assemble, optimize, own, shape
from graphc.errors import fail
from graphc.ir.graph import Array, Graph
from graphc.passes._scoring import accuracy
from graphc.passes.base import Pass
from graphc.passes.recipe import parse_spec
from graphc.records import record
from graphc.runtime.targets import DEFAULT_TARGET
from graphc.services import sample_inputs, without_labels

POINTS = 6
TOP = 5


@record(frozen=True, slots=True)
class Point:
    """One layer at one strength. `error`: ||outputs' change|| / ||outputs||, Frobenius norms;
    `agree`: the share of samples whose largest output is where it was, None where outputs are no
    classes; `top5`: the share of samples' five largest outputs that still are of the five largest,
    None where there are no more; `accuracy`: of labelled samples; `macs` of one forward and
    `params`: what is left of the network's, as shares."""

    strength: Any
    error: float
    macs: float
    params: float
    agree: float | None = None
    top5: float | None = None
    accuracy: float | None = None


@record(frozen=True)
class Sensitivity:
    """Points of each layer, the mildest first; layers where the pass did nothing are not there.

    `option`: what the strengths are values of; `accuracy`: the network's own.
    """

    name: str
    option: str
    layers: dict[str, tuple[Point, ...]]
    accuracy: float | None = None


def sensitivity(
    net: Graph | str | Path,
    each: Pass | str,
    *,
    calibration: Mapping[str, Array] | None = None,
    points: int = POINTS,
    target: str | None = None,
    weights: str | Path | None = None,
) -> Sensitivity:
    """Run pass `each` on one layer at a time, at about `points` strengths, and compare outputs.

    `each`: a pass that declares a `strength`, as "low_rank:method=svd" or an object; its own
    options stand. `calibration`: inputs by name (None: random ones), and as "label" right classes.
    `target` None: cpu. Raises GC-R002 for a pass without strengths, and what the pass raises.
    """
    chosen = parse_spec(each) if isinstance(each, str) else each
    if not isinstance(chosen, Pass) or not chosen.strength:
        told = getattr(chosen, "name", chosen)
        fail("GC-R002", f"pass {told!r} has no strength to try", "low_rank has one: its rank")
    if points < 1:
        fail("GC-R002", f"points is {points}, expected a number from 1 on")
    graph = shape(own(net, set=(), weights=weights) if not isinstance(net, Graph) else net)
    samples, labels = without_labels(graph, calibration)
    feeds = sample_inputs(graph, samples)
    base = _Measured(graph, feeds, target or DEFAULT_TARGET, labels)
    table: dict[str, tuple[Point, ...]] = {}
    for layer, strengths in chosen.strengths(graph, points).items():
        found = []
        for value in strengths:
            made, report = optimize(
                graph,
                [chosen.at(layer, value)],
                calibration=calibration,
                measure=False,
            )
            if report.passes[-1].changed:
                found.append(base.point(value, made))
        if found:
            table[layer] = tuple(found)
    return Sensitivity(chosen.name, chosen.strength, table, base.accuracy)


class _Measured:
    """A network's outputs, against which others' are held."""

    def __init__(
        self, graph: Graph, feeds: Mapping[str, Array], target: str, labels: Array | None
    ) -> None:
        self.feeds, self.target, self.labels = feeds, target, labels
        self.macs, self.params = _size(graph)
        self.outputs = self._run(graph)
        self.accuracy = None if labels is None else accuracy(self.outputs, labels)

    def _run(self, graph: Graph) -> dict[str, Array]:
        (made, _) = optimize(graph, measure=False)
        with assemble(made, target=self.target) as exe:
            return exe.forward(self.feeds)

    def point(self, strength: Any, graph: Graph) -> Point:
        found = self._run(graph)
        macs, params = _size(graph)
        pairs = [(self.outputs[n].astype(np.float64), found[n]) for n in self.outputs]
        moved = sum(float(((new - old) ** 2).sum()) for old, new in pairs)
        whole = sum(float((old**2).sum()) for old, _ in pairs)
        error = (moved / whole) ** 0.5 if whole else (0.0 if not moved else float("inf"))
        right = None if self.labels is None else accuracy(found, self.labels)
        shares = macs / max(self.macs, 1), params / max(self.params, 1)
        agree, top5 = (self._kept(found, count) for count in (1, TOP))
        return Point(strength, error, *shares, agree, top5, right)

    def _kept(self, found: Mapping[str, Array], count: int) -> float | None:
        """Of the `count` largest outputs, the share that still are."""
        for name, array in self.outputs.items():
            if array.ndim >= 2 and array.size > len(array):
                old, new = (a.reshape(len(a), -1) for a in (array, found[name]))
                return _overlap(old, new, count)
        return None


def _overlap(old: Array, new: Array, count: int) -> float | None:
    """The share of each row's `count` largest that both have, None if that is all of a row.

    Arrays are (samples, classes); of equal values the first are taken.
    """
    if old.shape[1] <= count:
        return None
    first, second = (np.argsort(-a, axis=1, kind="stable")[:, :count] for a in (old, new))
    return float((first[:, :, None] == second[:, None]).sum() / first.size)


def _size(graph: Graph) -> tuple[int, int]:
    from graphc.count import count

    counted = [counts for _, counts in count(graph)]
    return sum(c.macs for c in counted), sum(c.params for c in counted)


__all__ = ["Point", "Sensitivity", "sensitivity"]
