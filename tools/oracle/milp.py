"""optimum: the least time of a graph within a budget, by mixed-integer programming.

The formulation of Checkmate (Jain et al., MLSys 2020, section 4): in stage t node t is computed for
the first time, and earlier ones perhaps again; between stages some results are kept. R[t, i]: node
i is computed in stage t; S[t, i]: its result is kept from stage t - 1 to t; F[t, i, k]: it is freed
in stage t after node k; U[t, k]: memory after node k was computed in stage t.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from oracle.graphs import Small

Key = tuple[str, int, int, int]
Terms = dict[Key, float]
PROVED = 0


class Checkmate:
    """`least_memory` and `least_time`: the proved optimum, None where the seconds did not do."""

    def __init__(self, graph: Small, seconds: float) -> None:
        self.reads, self.sizes, self.costs = graph["reads"], graph["sizes"], graph["costs"]
        self.nodes = len(self.reads)
        self.users = [[j for j in range(self.nodes) if i in self.reads[j]] for i in self._all()]
        self.seconds = seconds
        self.columns: dict[Key, int] = {}
        self.rows: list[tuple[Terms, float, float]] = []
        for t in self._all():
            self._order(t)
            self._memory(t)

    def least_memory(self) -> int | None:
        """The smallest budget that any schedule keeps to."""
        most = self._column(("P", 0, 0, 0))
        rows = [
            ({key: 1.0, ("P", 0, 0, 0): -1.0}, -np.inf, 0.0)
            for key in list(self.columns)
            if key[0] == "U"
        ]
        found = self._solve({most: 1.0}, sum(self.sizes), rows)
        return None if found is None else round(found)

    def least_time(self, budget: int) -> int | None:
        """The least cost of a schedule within a budget."""
        cost = {
            column: float(self.costs[key[2]])
            for key, column in self.columns.items()
            if key[0] == "R"
        }
        found = self._solve(cost, budget, [])
        return None if found is None else round(found)

    def _all(self) -> range:
        return range(self.nodes)

    def _column(self, key: Key) -> int:
        return self.columns.setdefault(key, len(self.columns))

    def _row(self, terms: Terms, least: float, most: float) -> None:
        for key in terms:
            self._column(key)
        self.rows.append((terms, least, most))

    def _order(self, t: int) -> None:
        """What is computed has its operands; what is kept was there."""
        self._row({("R", t, t, 0): 1.0}, 1.0, 1.0)
        for j in range(t + 1):
            for i in self.reads[j]:
                terms: Terms = {("R", t, j, 0): 1.0, ("R", t, i, 0): -1.0}
                if i < t:
                    terms["S", t, i, 0] = -1.0
                self._row(terms, -np.inf, 0.0)
        for i in range(t):
            terms = {("S", t, i, 0): 1.0, ("R", t - 1, i, 0): -1.0}
            if i < t - 1:
                terms["S", t - 1, i, 0] = -1.0
            self._row(terms, -np.inf, 0.0)

    def _memory(self, t: int) -> None:
        """F[t, i, k] = 1 just if k is computed, and i not used later, in this stage or a next."""
        for k in range(t + 1):
            for i in sorted({*self.reads[k], k}):
                keys: list[Key] = [("R", t, j, 0) for j in self.users[i] if k < j <= t]
                if t + 1 < self.nodes:
                    keys.append(("S", t + 1, i, 0))
                hazards: Terms = {key: 1.0 for key in keys} | {("R", t, k, 0): -1.0}
                count = float(len(hazards))
                self._row({**hazards, ("F", t, i, k): 1.0}, 0.0, np.inf)
                self._row({**hazards, ("F", t, i, k): count}, -np.inf, count - 1.0)
        start: Terms = {("S", t, i, 0): -float(self.sizes[i]) for i in range(t)}
        self._row({("U", t, 0, 0): 1.0, ("R", t, 0, 0): -float(self.sizes[0]), **start}, 0.0, 0.0)
        for k in range(t):
            terms: Terms = {("U", t, k + 1, 0): 1.0, ("U", t, k, 0): -1.0}
            terms["R", t, k + 1, 0] = -float(self.sizes[k + 1])
            for i in {*self.reads[k], k}:
                terms["F", t, i, k] = float(self.sizes[i])
            self._row(terms, 0.0, 0.0)

    def _solve(
        self, cost: dict[int, float], budget: int, more: list[tuple[Terms, float, float]]
    ) -> float | None:
        count = len(self.columns)
        rows = self.rows + more
        entries = [
            (r, self.columns[key], value)
            for r, (terms, _, _) in enumerate(rows)
            for key, value in terms.items()
        ]
        row, column, value = zip(*entries, strict=True)
        table = coo_array((value, (row, column)), shape=(len(rows), count)).tocsr()
        most, whole = np.ones(count), np.ones(count)
        for key, at in self.columns.items():
            if key[0] in "UP":
                most[at], whole[at] = budget, 0
        weights = np.zeros(count)
        for at, each in cost.items():
            weights[at] = each
        found = milp(
            weights,
            constraints=LinearConstraint(table, [r[1] for r in rows], [r[2] for r in rows]),
            integrality=whole,
            bounds=Bounds(np.zeros(count), most),
            options={"time_limit": self.seconds, "mip_rel_gap": 1e-6},
        )
        return float(found.fun) if found.status == PROVED else None


__all__ = ["Checkmate"]
