"""Removing: what really goes of the channels that were chosen, and what the graph is without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, TypeAlias

import numpy as np

from graphc.channels import Channels, filters, makes_filters
from graphc.count import macs
from graphc.ir.graph import Graph, typed
from graphc.ir.op import Kind
from graphc.ir.provenance import LayerChange
from graphc.passes._absorption import Absorber, Absorption
from graphc.passes._constants import Constants
from graphc.passes._liveness import dead
from graphc.passes._removal import Mask, Removal
from graphc.records import record

Rung: TypeAlias = Literal["exact", "mask-equivalent", "lossy"]
"""Outputs stay; or are those of the net with the filters zero; or are what they are."""


@record
class Removing:
    """`removed`: the classes that go. `zeroed`: those and the carriers of their constants.
    `refused`: chosen classes that stay, and why."""

    channels: Channels
    removed: Mask
    zeroed: Mask
    absorption: Absorption = field(default_factory=Absorption)
    refused: dict[int, str] = field(default_factory=dict)
    rung: Rung = "lossy"

    def apply(self, graph: Graph) -> None:
        """Do it to the graph that the channels are of."""
        self._zero(graph)
        self.absorption.move(graph)
        removal = Removal(self.channels, self.removed)
        removal.apply(graph)
        self.absorption.add(graph)

    def told(self) -> str:
        """In words: how many channels went, on which rung, and how many carry constants."""
        gone = int(self.removed.sum())
        carriers = int((self.zeroed & ~self.removed).sum())
        kept = f", {carriers} carry constants of others" if carriers else ""
        return f"{gone} channels go, {self.rung}{kept}"

    def _zero(self, graph: Graph) -> None:
        """Carriers' filters count as zero, so they must be."""
        carriers = self.zeroed & ~self.removed
        for storage, uses in self.channels.uses.items() if carriers.any() else ():
            out = uses[0].out_axis
            if out is not None and storage.kind is Kind.PARAM and self.rung != "exact":
                for classes, view in self.channels.rows(storage, out, graph.weight(storage)):
                    view[carriers[classes]] = 0


def settle(
    graph: Graph,
    channels: Channels,
    chosen: Mask,
    together: Mapping[int, tuple[int, ...]],
    *,
    rung: Rung = "mask-equivalent",
) -> Removing:
    """What of the `chosen` classes can go, on a rung; the graph is not changed.

    `together`: by class, those that must go with it.
    """
    found = Removing(channels, chosen.copy(), chosen.copy(), rung=rung)
    if rung == "lossy":
        return found
    group_of = np.full(channels.count, -1)
    for at, group in enumerate(channels.groups):
        group_of[list(group.classes)] = at
    carriers: dict[int, int] = {}
    while True:
        refused = _disordered(channels, found.removed)
        masked = rung != "exact"
        if not refused:
            constants = Constants(graph, channels, found.zeroed, masked=masked)
            refused = _unlike_zero(constants, found.removed)
        if not refused:
            absorber = Absorber(constants, found.removed, group_of, carriers)
            found.absorption, refused = absorber.found, dict(absorber.found.refused)
            carriers = dict(found.absorption.carriers)
            stay = [c for c in carriers.values() if found.removed[c]]
            tied = [c for c in stay if len(together.get(c, (c,))) > 1]
            refused |= dict.fromkeys(tied, "the groups of a layer must stay equal")
            found.removed[stay] = False
            if not refused and not stay:
                break
        for label, why in refused.items():
            for other in together.get(label, (label,)):
                found.removed[other] = found.zeroed[other] = False
                found.refused.setdefault(other, why)
    if rung == "mask-equivalent" and not (found.zeroed & ~dead(graph, channels, chosen)).any():
        return settle(graph, channels, found.removed, together, rung="exact")
    return found


def _disordered(channels: Channels, removed: Mask) -> dict[int, str]:
    """Classes between others that stay, along an axis where a position matters."""
    found: dict[int, str] = {}
    for node, axis in channels.ordered:
        labels = channels.labels[axis]
        left = np.flatnonzero(~removed[labels])
        if left.size and left[-1] - left[0] + 1 != left.size:
            why = f"{node.op.type} {node.name!r} would take others for its neighbours"
            inner = labels[left[0] : left[-1]]
            found |= dict.fromkeys(inner[removed[inner]].tolist(), why)
    return found


def _unlike_zero(constants: Constants, removed: Mask) -> dict[int, str]:
    """Classes that are not zero where an axis is ordered, so that their neighbours see them."""
    found: dict[int, str] = {}
    for node, (value, at) in constants.channels.ordered:
        labels = constants.channels.labels[value, at]
        for index in np.flatnonzero(removed[labels]).tolist():
            map_ = constants.maps.get((value, at, index))
            if map_ is None or map_.any():
                why = f"{node.op.type} {node.name!r} shows it to its neighbours"
                found[int(labels[index])] = why
    return found


class Ledger:
    """What each layer with filters costs, before and after."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.before = self._counts()

    def _counts(self) -> dict[str, tuple[int, int, int]]:
        found = {}
        for node in self.graph.forward_nodes():
            if makes_filters(node):
                params = {v.storage for v in node.params.values() if v.kind is Kind.PARAM}
                size = sum(typed(v).size for v in params)
                found[node.name] = (macs(node), size, 4 * size)
        return found

    def changes(
        self, outcome: Removing, reasons: Mapping[str, str], what: str
    ) -> tuple[LayerChange, ...]:
        """A row for each layer. `reasons`: of those that stay; `what` chose the others."""
        rows = []
        for name, after in self._counts().items():
            labels = filters(outcome.channels, name)
            gone = int(outcome.removed[labels].sum())
            decision = f"{gone} of {len(labels)} filters go" if gone else "stays"
            refused = next(
                (outcome.refused[c] for c in labels.tolist() if c in outcome.refused), ""
            )
            reason = what if gone else refused or reasons.get(name, "others matter less")
            work, size, nbytes = zip(self.before[name], after, strict=True)
            rows.append(LayerChange(name, decision, reason, work, size, nbytes))
        return tuple(rows)


__all__ = ["Ledger", "Removing", "Rung", "settle"]
