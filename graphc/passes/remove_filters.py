"""remove_filters: channels go, with every weight that makes or reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np

from graphc.channels import Channels, channel_groups, filters
from graphc.errors import fail
from graphc.ir.clone import clone
from graphc.ir.graph import Graph
from graphc.ir.provenance import STAYS
from graphc.ops.spec import F64
from graphc.passes._folding import OFF
from graphc.passes._importance import Importance, check_finite
from graphc.passes._listed import check_listed, read_indices, write_indices
from graphc.passes._liveness import dead
from graphc.passes._removal import Mask
from graphc.passes._removing import Ledger, Removing, Rung, settle
from graphc.passes._selection import Chunk, Metric, Sizes, chunks, fewest, units, until
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record

Criterion = Literal[
    "l1", "l2", "fpgm", "bn_scale", "taylor", "gate", "random", "scores", "dead", "listed"
]
BUDGETS = ("macs", "params", "bytes", "filters", "latency")
MAX_ROUNDS = 8
"""How often channels that have to stay, as it turns out, are made up for by others."""


@record(frozen=True)
class RemoveFilters(Pass):
    """Remove the channels that matter least, with all weights that make or read them.

    Which channels live and die together follows from the layers' ties. How many go: a `ratio` of
    each layer's filters, or as many as bring the network to a share of what it costs, one of
    `macs`, `params`, `bytes`, `filters` (how many) and `latency` (measured); none with
    criterion=dead, which removes what changes no output, nor with criterion=listed, which removes
    the indices in the file `listed`. `scores`: a file of one number for each filter.

    scope=global ranks all channels together, their scores divided by the mean of their group;
    scope=local takes the same share of each group. Groups keep `min_channels`, and a multiple of
    `multiple_of`; only `layers` are cut, if given, and never those in `skip`. `save`: a file for
    the indices that went, which criterion=listed takes.

    mode=masked: outputs are those of the network with the filters zero, what is constant then goes
    into later biases or one channel that carries it, and what cannot stays. mode=lossy lets it go.
    Source: Li et al., arXiv 1608.08710 (l1); He et al., arXiv 1811.00250 (fpgm); Liu et al., arXiv
    1708.06519 (bn_scale); Molchanov et al., arXiv 1906.10771 (taylor).
    """

    name = "remove_filters"
    exact = False
    criterion: Criterion = "l1"
    scope: Literal["global", "local"] = "global"
    ratio: float | None = None
    macs: float | None = None
    params: float | None = None
    bytes: float | None = None
    filters: float | None = None
    latency: float | None = None
    min_channels: int = 1
    multiple_of: int = 1
    layers: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    scores: Path | None = None
    listed: Path | None = None
    save: Path | None = None
    mode: Literal["masked", "lossy"] = "masked"

    def __post_init__(self) -> None:
        object.__setattr__(self, "exact", self.criterion == "dead")
        given = [key for key in ("ratio", *BUDGETS) if getattr(self, key) is not None]
        wanted = 0 if self.criterion in ("dead", "listed") else 1
        if len(given) != wanted:
            told = " and ".join(given) or "no budget"
            hint = "say how much: ratio=R, or one of " + ", ".join(f"{b}=S" for b in BUDGETS)
            fail("GC-T001", f"criterion={self.criterion} with {told}", hint if wanted else "")
        for key in given:
            share = getattr(self, key)
            if not (0 <= share < 1 if key == "ratio" else 0 < share <= 1):
                span = "0 <= ratio < 1" if key == "ratio" else f"0 < {key} <= 1"
                fail("GC-T001", f"{key} is {share}, but {span} is needed", "it is a share")
        for key in ("min_channels", "multiple_of"):
            if getattr(self, key) < 1:
                fail("GC-T001", f"{key} is {getattr(self, key)}, but must be at least 1")
        if (self.criterion == "listed") != (self.listed is not None):
            fail("GC-T001", "criterion=listed and listed=FILE belong together")

    def choose(self, graph: Graph, ctx: PassContext) -> Removing:
        """What goes, and what must then be done; the graph is not changed. Raises GC-T001."""
        return _Work(self, graph, ctx).outcome()

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        check_finite(graph)
        work = _Work(self, graph, ctx)
        ledger = Ledger(graph)
        outcome = work.outcome()
        if self.save is not None:
            write_indices(self.save, outcome.channels, outcome.removed)
        changed = bool(outcome.removed.any())
        if changed:
            outcome.apply(graph)
        rows = ledger.changes(outcome, work.reasons, self.criterion)
        detail = tuple(
            f"{row.layer}{STAYS}{row.reason}" if row.decision == "stays"
            else f"{row.layer}: {row.decision}"
            for row in rows
        )  # fmt: skip
        return Report(self.name, changed, (outcome.told(), *detail), layers=rows)


class _Work:
    """One run of the pass on a graph. `reasons`: of layers that stay, why."""

    def __init__(self, options: RemoveFilters, graph: Graph, ctx: PassContext) -> None:
        self.options, self.graph, self.ctx = options, graph, ctx
        self.channels = channel_groups(graph, ctx.pinned)
        self.reasons: dict[str, str] = {}
        self.candidates = self._candidates()
        self.together: dict[int, tuple[int, ...]] = {}
        self.scores = np.zeros(self.channels.count)

    def outcome(self) -> Removing:
        """What goes. Raises GC-T001 for a budget that cannot be met."""
        o = self.options
        if o.criterion == "listed":
            assert o.listed is not None
            mask = read_indices(o.listed, self.channels)
            check_listed(o.listed, self.channels, mask, self.candidates)
            return self._settled(mask)
        if o.criterion == "dead":
            gone = dead(self.graph, self.channels, self.candidates)
            self.scores = np.where(gone, 0.0, np.inf)
            return self._settled(self._mask([c for c in self._order() if c.score == 0]))
        self.scores = self._normalized(Importance(self.graph, self.channels, self.ctx))
        if o.ratio is not None:
            return self._settled(self._mask(_by_ratio(self._order(), self.channels, o.ratio)))
        if o.latency is not None:
            return self._by_latency(o.latency)
        metric: Metric
        for metric in ("macs", "params", "bytes", "filters"):
            share = getattr(o, metric)
            if share is not None:
                return self._by_size(metric, share)
        raise AssertionError("the options were checked")

    def _candidates(self) -> Mask:
        """Classes that may go, as far as ties and options say."""
        o = self.options
        pinned = self.channels.pinned
        for name in (*o.layers, *o.skip):
            classes = filters(self.channels, name).tolist()
            if name in o.layers and all(each in pinned for each in classes):
                told = f"no filter of {name!r} can go: {pinned[classes[0]]}"
                fail("GC-T001", told, "leave it out of layers=")
        found = np.zeros(self.channels.count, bool)
        for group in self.channels.groups:
            why = group.why
            if o.layers and not set(group.layers) & set(o.layers):
                why = why or "it is not asked for"
            for name in sorted(set(group.layers) & set(o.skip)):
                why = why or f"{name!r} is to be skipped"
            for layer in group.layers if why else ():
                self.reasons.setdefault(layer, why)
            if not why:
                found[[c for c in group.classes if c not in self.channels.pinned]] = True
        return found

    def _normalized(self, importance: Importance) -> F64:
        scores = importance.of(self.options.criterion, self.options.scores)
        for group in self.channels.groups:
            classes = [c for c in group.classes if self.candidates[c]]
            if classes and self.options.criterion not in ("scores", "taylor", "random"):
                mean = np.nanmean(scores[classes]) if np.isfinite(scores[classes]).any() else 0
                scores[classes] /= mean or 1.0
        unknown = self.candidates & np.isnan(scores)
        for group in self.channels.groups:
            if any(unknown[c] for c in group.classes):
                for layer in group.layers:
                    self.reasons.setdefault(layer, f"{self.options.criterion} says nothing of it")
        self.candidates &= ~unknown
        return scores

    def _order(self) -> list[Chunk]:
        classes = np.flatnonzero(self.candidates).tolist()
        found, refused = units(self.channels, classes, self.scores)
        self.together = {c: unit.classes for unit in found for c in unit.classes}
        for group in self.channels.groups:
            for label in group.classes:
                for layer in group.layers if label in refused else ():
                    self.reasons.setdefault(layer, refused[label])
        return chunks(
            self.channels.groups,
            found,
            least=self.options.min_channels,
            multiple=self.options.multiple_of,
            is_local=self.options.scope == "local" or self.options.ratio is not None,
        )

    def _mask(self, taken: Sequence[Chunk]) -> Mask:
        mask = np.zeros(self.channels.count, bool)
        for chunk in taken:
            mask[list(chunk.classes)] = True
        return mask

    def _settled(self, chosen: Mask) -> Removing:
        o = self.options
        rung: Rung = "exact" if o.criterion == "dead" else "mask-equivalent"
        rung = "lossy" if o.mode == "lossy" else rung
        return settle(self.graph, self.channels, chosen, self.together, rung=rung)

    def _by_size(self, metric: Metric, share: float) -> Removing:
        whole = Sizes(self.graph, self.channels, metric).total
        target = wanted = share * whole
        for _ in range(MAX_ROUNDS):
            sizes = Sizes(self.graph, self.channels, metric)
            taken = until(self._order(), sizes, target)
            if taken is None:
                self._unreachable(metric, share, sizes.total / whole)
            outcome = self._settled(self._mask(taken))
            sizes = Sizes(self.graph, self.channels, metric)
            sizes.move(np.flatnonzero(outcome.removed).tolist(), -1)
            if sizes.total <= wanted:
                return outcome
            self.candidates[list(outcome.refused)] = False
            if not outcome.refused:  # carriers stay, so others must go
                target -= sizes.total - wanted
        self._unreachable(metric, share, sizes.total / whole)

    def _by_latency(self, share: float) -> Removing:
        order = self._order()
        base = self.ctx.time_us(self.graph)
        fastest = [base]

        def fits(taken: Sequence[Chunk]) -> bool:
            other = clone(self.graph)
            work = _Work(self.options, other, self.ctx)
            work.together = self.together
            work._settled(self._mask(taken)).apply(other)
            fastest.append(self.ctx.time_us(other))
            return fastest[-1] <= share * base

        needed = fewest(order, fits)
        if needed is None:
            self._unreachable("latency", share, min(fastest) / base)
        return self._settled(self._mask(order[:needed]))

    def _unreachable(self, what: str, share: float, least: float) -> NoReturn:
        told = f"{what}={share:g} cannot be reached: {least:.4g} is the least"
        hint = "; ".join(f"{k}: {v}" for k, v in list(self.reasons.items())[:3])
        fail("GC-T001", told, f"what stays: {hint}" if hint else "")


def _by_ratio(order: Sequence[Chunk], channels: Channels, ratio: float) -> list[Chunk]:
    """Those that leave at least 1 - ratio of each group."""
    sizes = [len(group.classes) for group in channels.groups]
    return [c for c in order if sizes[c.group] - c.left <= ratio * sizes[c.group] + 1e-9]
