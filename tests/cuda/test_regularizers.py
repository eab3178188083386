"""Regularizers of groups as CUDA kernels, a user's declaration of one in the Solver's place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from core.rows import close
from cuda.bench import ORDERS, Bench, spec

from graphc.cuda import Work, work
from graphc.cuda.on_cpu import unavailable

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())


def group_lasso(w: np.ndarray, axis: int, strength: float) -> np.ndarray:
    axes = tuple(i for i in range(w.ndim) if i != axis)
    norm = np.sqrt((w * w).sum(axes, keepdims=True))
    return strength * w / np.where(norm > 0, norm, np.inf)


def force(w: np.ndarray, power: int, strength: float) -> np.ndarray:
    """Pair by pair, as the paper has it."""
    rows = w.reshape(len(w), math.prod(w.shape[1:]))
    norms = np.sqrt((rows * rows).sum(1))
    term = np.zeros_like(rows)
    for i, u in enumerate(rows):
        for j, v in enumerate(rows):
            if i != j and min(norms[i], norms[j]) > 1e-4:
                away = v / norms[j] - u / norms[i]
                distance = np.sqrt(away @ away)
                if power == 0 or distance > 1e-4:
                    pull = away / distance**power
                    tangent = pull - (pull @ u) * u / norms[i] ** 2
                    term[i] -= strength * norms[i] * tangent
    return term.reshape(w.shape)


def weight(*shape: int) -> np.ndarray:
    """The second filter has no weights, the third is nearly the fourth."""
    w = np.random.default_rng(6).standard_normal(shape).astype(np.float32)
    w[1] = 0
    w[2] = 2 * w[3]
    w[2, 0] *= 1.01
    return w


@dataclass(frozen=True)
class Regularizer:
    symbol: str
    told: dict[str, Any]
    w: np.ndarray

    @property
    def work(self) -> Work:
        return work(self.symbol, self.told, [spec(self.w)], [spec(self.w)])

    @property
    def wanted(self) -> np.ndarray:
        makes = {"force": force, "group_lasso": group_lasso}[self.symbol]
        return makes(self.w.astype(np.float64), **self.told)


REGULARIZERS = {
    "filters": Regularizer("group_lasso", {"axis": 0, "strength": 0.3}, weight(5, 4, 3, 3)),
    "channels": Regularizer("group_lasso", {"axis": 1, "strength": 2.0}, weight(5, 4, 3, 3)),
    "last": Regularizer("group_lasso", {"axis": 1, "strength": 1.0}, weight(7, 30)),
    "no weights": Regularizer("group_lasso", {"axis": 0, "strength": 1.0}, np.zeros((0, 3), "f4")),
    **{
        f"power {power}": Regularizer("force", {"power": power, "strength": 0.1}, weight(9, 5, 3))
        for power in range(4)
    },
    "many": Regularizer("force", {"power": 0, "strength": 0.1}, weight(300, 5)),
    "force on nothing": Regularizer("force", {"power": 1, "strength": 1.0}, np.zeros((0, 3), "f4")),
}


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench([each.work for each in REGULARIZERS.values()])


@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizer_equals_reference(bench: Bench, name: str) -> None:
    use, found = REGULARIZERS[name], []
    for order in ORDERS:
        bench.module.order(order, seed=7)
        term = np.full_like(use.w, np.nan)
        bench.run(use.work, [use.w, term])
        found.append(term)
    close(found[0], use.wanted, name, products=10000 if name == "power 3" else 100)
    assert all(term.tobytes() == found[0].tobytes() for term in found)
