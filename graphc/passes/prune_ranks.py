"""prune_ranks: what was decomposed, and trained since, loses ranks that it no longer needs."""

from __future__ import annotations

from dataclasses import replace

from graphc.errors import fail
from graphc.factor.conv import Conv
from graphc.factor.decomposition import Paths, dense, weight_error
from graphc.factor.shrinking import shrunk, spare
from graphc.ir.graph import Graph
from graphc.ir.provenance import LayerChange
from graphc.passes._folding import OFF
from graphc.passes._low_rank.chain import put_weights
from graphc.passes._low_rank.choosing import matching
from graphc.passes._low_rank.families import families
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record

FLOAT = 4  # bytes


@record(frozen=True)
class PruneRanks(Pass):
    """Cut the ranks of pairs that low_rank has made (_lowrank and _linear, _v and _h) further.

    With K the leading eigenvectors of B B^T, B the first layer's filters: B := K^T B, and the
    second layer's weights W := W K; what B has along other directions is lost. As many are kept as
    `error` allows, ||B - K K^T B||^2 / ||B||^2, or `rank` of them. `layers`: patterns of the
    original layers' names. Source: Wen et al., arXiv 1703.09746 (its script for training).

    Conditions: weights not shared, nothing between the two is kept; the first has no bias, and
    both have as many groups. Off with gradients.
    """

    name = "prune_ranks"
    exact = False
    error: float = 0.01
    rank: int | None = None
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.error <= 1:
            fail("GC-T001", f"prune_ranks: error is {self.error:g}, expected 0 to 1")
        if self.rank is not None and self.rank < 1:
            fail("GC-T001", f"prune_ranks: rank is {self.rank}, expected a number from 1 on")

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        pairs = [f for f in families(graph) if len(f.paths) == 1 and len(f.paths[0]) == 2]
        if not pairs:
            fail("GC-T001", "prune_ranks: no layer of this net is decomposed", "run low_rank first")
        stems = [family.stem for family in pairs]
        chosen = matching(self.layers, stems, self.name) if self.layers else lambda stem: True
        changes: list[LayerChange] = []
        for family in pairs:
            if not chosen(family.stem):
                continue
            (first, second) = family.paths[0]
            paths = family.factors(graph)
            one, two = (factor.conv for factor in paths[0])
            full, group = one.outputs, one.group
            rank = self._rank(family.stem, full, group, spare(one, self.error))
            inner = first.outs[first.tops[0]].name
            reason = f"{inner!r} is kept" if inner in ctx.pinned else _obstacle(one, two)
            if not reason and rank * group >= full:
                reason = "it needs all of its rank"
            if reason:
                changes.append(LayerChange(family.stem, "stays", reason))
                continue
            made = [
                replace(f, conv=c) for f, c in zip(paths[0], shrunk(one, two, rank), strict=True)
            ]
            put_weights(graph, {first: made[0].conv, second: made[1].conv})
            changes.append(_change(family.stem, full, paths, (tuple(made),)))
        done = [c.layer for c in changes if c.decision != "stays"]
        detail = (f"cut {', '.join(done)}",) if done else ()
        return Report(self.name, bool(done), detail, layers=tuple(changes))

    def _rank(self, stem: str, full: int, group: int, spared: int) -> int:
        """Per group."""
        if self.rank is None:
            return spared
        if self.rank > full:
            fail("GC-T001", f"prune_ranks: rank {self.rank} of {stem!r} is above its rank, {full}")
        return -(-self.rank // group)


def _obstacle(first: Conv, second: Conv) -> str:
    """Why no channels between the two can go; empty if they can."""
    if first.bias is not None:  # a pass has given it one since
        return "its first layer has a bias"
    if first.group != second.group:
        return f"its layers have {first.group} and {second.group} groups"
    return ""


def _change(stem: str, full: int, old: Paths, new: Paths) -> LayerChange:
    before, after = (sum(f.conv.params for f in paths[0]) for paths in (old, new))
    whole = dense(old)
    error = weight_error(whole, new) if isinstance(whole, Conv) else None
    return LayerChange(
        stem,
        f"rank {new[0][0].conv.outputs} of {full}",
        params=(before, after),
        nbytes=(FLOAT * before, FLOAT * after),
        weight_error=error,
    )
