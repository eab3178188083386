"""Ranks for a budget that several layers share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.ops.spec import F64
from graphc.records import record


@record(frozen=True)
class Candidate:
    """One layer: `left` (full + 1,), its relative squared error by rank; `costs` (full + 1,), what
    it then costs; `whole`, what it costs as it is; ranks are multiples of `step`, or full."""

    left: F64
    costs: F64
    whole: float
    step: int = 1

    @property
    def ranks(self) -> list[int]:
        """Those that cost less than the layer as it is, rising."""
        full = len(self.left) - 1
        allowed = sorted({*range(self.step, full, self.step), full})
        return [rank for rank in allowed if self.costs[rank] < self.whole]

    def cost(self, rank: int | None) -> float:
        return self.whole if rank is None else float(self.costs[rank])

    def loss(self, rank: int | None) -> float:
        """-log of the share of the energy that is kept."""
        if rank is None:
            return 0.0
        return -float(np.log(max(1 - float(self.left[rank]), 1e-300)))


def least(candidates: Sequence[Candidate]) -> float:
    """What all of them cost at the least."""
    return sum(min([c.whole, *(c.cost(rank) for rank in c.ranks)]) for c in candidates)


def allocate(candidates: Sequence[Candidate], budget: float) -> list[int | None]:
    """A rank for each layer, None for as it is, so that all cost at most `budget`, if they can.

    From all layers as they are, that step is taken again and again which loses least of the product
    of the energies kept per cost saved (after Zhang et al., arXiv 1505.06798, section 2.4; a step
    may be of many ranks, since the first ones save nothing). What the last step saved too much is
    given back rank by rank.
    """
    ranks: list[int | None] = [None] * len(candidates)
    moves = [_best_move(c, None) for c in candidates]
    total = sum(c.whole for c in candidates)
    while total > budget:
        found = [(move[0], at) for at, move in enumerate(moves) if move is not None]
        if not found:
            break
        _, at = min(found)
        move, candidate = moves[at], candidates[at]
        assert move is not None
        total += candidate.cost(move[1]) - candidate.cost(ranks[at])
        ranks[at] = move[1]
        moves[at] = _best_move(candidate, move[1])
    return _refilled(candidates, ranks, budget - total)


def _best_move(candidate: Candidate, rank: int | None) -> tuple[float, int] | None:
    """(loss per cost saved, new rank) of the best way down from `rank`; None at the bottom."""
    here, loss = candidate.cost(rank), candidate.loss(rank)
    lower = [r for r in candidate.ranks if (rank is None or r < rank) and candidate.cost(r) < here]
    found = [((candidate.loss(r) - loss) / (here - candidate.cost(r)), r) for r in lower]
    return min(found, default=None)


def _refilled(
    candidates: Sequence[Candidate], ranks: list[int | None], spare: float
) -> list[int | None]:
    """The ranks raised, the step that gains most first, for as long as they fit."""
    while True:
        found = []
        for at, (candidate, rank) in enumerate(zip(candidates, ranks, strict=True)):
            higher = [r for r in candidate.ranks if rank is not None and r > rank]
            if not higher:
                continue
            price = candidate.cost(higher[0]) - candidate.cost(rank)
            gain = candidate.loss(rank) - candidate.loss(higher[0])
            if price <= spare and gain > 0:
                found.append((gain / max(price, 1e-300), at, higher[0], price))
        if not found:
            return ranks
        _, at, rank, price = max(found)
        ranks[at], spare = rank, spare - price


__all__ = ["Candidate", "allocate", "least"]
