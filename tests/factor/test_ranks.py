"""Rank rules, and ranks that share a budget."""

import numpy as np
import pytest
from factor.weights import random_conv

from graphc.errors import GraphError
from graphc.factor.allocation import Candidate, allocate, least
from graphc.factor.conv import Conv
from graphc.factor.evbmf import evbmf
from graphc.factor.methods import METHODS
from graphc.factor.ranks import rank_by
from graphc.factor.spectrum import LARGE, spectrum


def diagonal(values) -> Conv:
    """An inner product with these singular values."""
    rng = np.random.default_rng(0)
    n = len(values)
    u, v = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
    return Conv(u @ np.diag(values) @ v)


def test_the_fork_s_ratios():
    """Its pca keeps a share of the energy, its svd one of the amplitude: 0.95 keeps 90 %."""
    values = np.sort(np.random.default_rng(0).uniform(0, 1, 20))[::-1]
    energy = np.cumsum(values**2) / (values**2).sum()
    conv = diagonal(values)
    by_energy = rank_by("energy", 0.95, METHODS["pca"](conv), ())
    by_amplitude = rank_by("amplitude", 0.95, METHODS["svd"](conv), ())
    assert by_energy == int(np.argmax(energy >= 0.95)) + 1
    assert by_amplitude == int(np.argmax(np.sqrt(energy) >= 0.95)) + 1 < by_energy
    assert rank_by("error", 0.05, METHODS["svd"](conv), ()) == by_energy


def test_threshold_counts_values():
    found = METHODS["pca"](diagonal([5.0, 3.0, 1.0, 0.5]))
    assert [rank_by("threshold", t, found, ()) for t in (6, 3.0001, 2.9999, 0.1)] == [1, 1, 2, 4]
    with pytest.raises(GraphError, match="no singular values"):
        rank_by("threshold", 1, METHODS["decouple"](random_conv()), (8, 8))


@pytest.mark.parametrize("method", ["pca", "tai", "tucker", "decouple", "cp", "jaderberg"])
def test_speedup_is_reached_and_no_more(method):
    conv = random_conv(outputs=32, inputs=24, pad=(1, 1))
    found = METHODS[method](conv)
    rank = rank_by("speedup", 2.0, found, (8, 8))
    dense = conv.macs((8, 8))
    assert found.macs(rank, (8, 8)) <= dense / 2 < found.macs(rank + 1, (8, 8))
    if method == "pca":
        assert rank == 32 * 216 // (2 * (216 + 32))
    with pytest.raises(GraphError, match="no rank speeds it up 1e\\+06 times") as caught:
        rank_by("speedup", 1e6, found, (8, 8))
    assert "rank 1 takes 1/" in caught.value.hint


def test_errors_that_only_trying_tells():
    found = METHODS["jaderberg"](random_conv(inputs=4))
    rank = rank_by("error", 0.4, found, (8, 8))
    assert found.error(rank) <= 0.4 < found.error(rank - 1)


@pytest.mark.parametrize("seed", range(20))
def test_evbmf_finds_the_planted_rank(seed):
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((64, 5)) @ rng.standard_normal((5, 96)) / np.sqrt(5)
    found = evbmf(signal + 0.1 * rng.standard_normal((64, 96)))
    assert found.rank == 5 and found.variance == pytest.approx(0.01, rel=0.1)
    assert len(found.kept) == 5 and (found.kept > 0).all()


def test_evbmf_of_what_has_no_signal():
    assert evbmf(np.zeros((4, 6))).rank == 0
    assert evbmf(np.random.default_rng(0).standard_normal((64, 96))).rank == 0
    assert rank_by("evbmf", 1, METHODS["pca"](random_conv()), (8, 8)) == 1
    tucker = METHODS["tucker"](random_conv())
    assert rank_by("evbmf", 1, tucker, (8, 8)) >= 1 and tucker.inner >= 1
    with pytest.raises(GraphError, match="cuts no matrix"):
        rank_by("evbmf", 1, METHODS["decouple"](random_conv()), (8, 8))


def test_large_matrices_by_their_smaller_side():
    rng = np.random.default_rng(0)
    for shape in ((LARGE, LARGE + 90), (LARGE + 90, LARGE)):
        matrix = rng.standard_normal((shape[0], 40)) @ rng.standard_normal((40, shape[1]))
        found = spectrum(matrix)
        exact = np.linalg.svd(matrix, compute_uv=False)
        np.testing.assert_allclose(found.s[:40], exact[:40], rtol=1e-9)
        u, right = found.projected(40)
        np.testing.assert_allclose(u @ right, matrix, atol=1e-9 * exact[0])
        full = found.projected(min(shape))
        np.testing.assert_allclose(full[0] @ full[1], matrix, atol=1e-6 * exact[0])


def candidates():
    rng = np.random.default_rng(5)
    found = []
    for full, price in ((16, 30.0), (24, 10.0), (8, 100.0)):
        energies = np.sort(rng.exponential(size=full))[::-1] ** 2
        left = np.concatenate([np.cumsum(energies[::-1])[::-1], [0.0]]) / energies.sum()
        found.append(Candidate(left, price * np.arange(full + 1), price * full * 0.8))
    return found


def quality(some, ranks):
    return -sum(c.loss(r) for c, r in zip(some, ranks, strict=True))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_a_budget_is_met_within_one_rank_and_well(share):
    """Better than the same share of ranks for each layer; and nothing more would fit."""
    some = candidates()
    whole = sum(c.whole for c in some)
    ranks = allocate(some, share * whole)
    cost = sum(c.cost(r) for c, r in zip(some, ranks, strict=True))
    assert cost <= share * whole
    for c, rank in zip(some, ranks, strict=True):
        higher = [r for r in c.ranks if rank is not None and r > rank]
        gains = higher and c.loss(higher[0]) < c.loss(rank)
        assert not gains or cost + c.cost(higher[0]) - c.cost(rank) > share * whole
    uniform = []
    for c in some:
        fitting = [r for r in c.ranks if c.cost(r) <= share * c.whole]
        uniform.append(max(fitting, default=c.ranks[0]))
    assert quality(some, ranks) >= quality(some, uniform)


def test_nothing_is_cut_for_a_budget_that_holds_already():
    some = candidates()
    assert allocate(some, sum(c.whole for c in some)) == [None] * 3
    assert least(some) == pytest.approx(30 + 10 + 100)
    assert allocate(some, 0) == [1, 1, 1]


def test_steps_of_several_ranks():
    one = Candidate(np.linspace(1, 0, 21), np.arange(21.0), 30.0, step=8)
    assert one.ranks == [8, 16, 20]
    assert allocate([one], 17) == [16]
