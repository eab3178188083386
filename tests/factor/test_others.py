"""Kronecker sums, and pairs of layers with fewer channels in between."""

import numpy as np
import pytest
from factor.weights import random_conv

from graphc.factor.conv import Conv
from graphc.factor.cross_filter import Pca
from graphc.factor.decomposition import dense
from graphc.factor.kronecker import Kronecker, balanced_pair, pairs, rearranged
from graphc.factor.shrinking import shrunk, shrunk_histories, spare

RNG = np.random.default_rng(0)


def terms(count):
    return RNG.standard_normal((count, 3, 4)), RNG.standard_normal((count, 5, 6))


def total(a, b):
    return sum(np.kron(left, right) for left, right in zip(a, b, strict=True))


def test_a_kronecker_product_is_an_outer_product_rearranged():
    weight = total(*terms(1))
    assert np.linalg.matrix_rank(rearranged(weight, (3, 5), (4, 6))) == 1


def test_planted_terms_are_found():
    weight = total(*terms(2))
    found = Kronecker(weight, (3, 5), (4, 6))
    np.testing.assert_allclose(total(*found.terms(2)), weight, atol=1e-12)
    assert found.left[2] < 1e-20 < found.left[1]


def test_the_error_is_the_tail():
    weight = RNG.standard_normal((15, 24))
    found = Kronecker(weight, (3, 5), (4, 6))
    for count in range(1, found.full + 1):
        error = ((total(*found.terms(count)) - weight) ** 2).sum() / (weight**2).sum()
        assert abs(error - found.left[count]) < 1e-10
    assert found.params(2) == 2 * (12 + 30)


def test_shapes():
    assert pairs(12) == [(1, 12), (2, 6), (3, 4), (4, 3), (6, 2), (12, 1)]
    assert pairs(7) == [(1, 7), (7, 1)]
    assert [balanced_pair(n) for n in (1, 7, 10, 36)] == [(1, 1), (1, 7), (2, 5), (6, 6)]


@pytest.mark.parametrize("group", [1, 2])
def test_ranks_that_are_not_used_go_without_a_trace(group):
    """Training has left the basis with fewer directions than filters."""
    conv = random_conv(group=group)
    first, second = (factor.conv for factor in Pca(conv).factor(6 // group)[0])
    low = first.groups[:, :2]
    mixed = RNG.standard_normal((group, 6 // group, 2)) @ low.reshape(group, 2, -1)
    first = Conv(mixed.reshape(first.weight.shape), None, group, *_geometry(first))
    second = Conv(RNG.standard_normal(second.weight.shape), None, group, *_geometry(second))
    assert spare(first, 1e-10) == 2
    one, two = shrunk(first, second, 2)
    assert one.weight.shape == (2 * group, *first.weight.shape[1:])
    whole = dense(_paths(first, second)).weight
    np.testing.assert_allclose(dense(_paths(one, two)).weight, whole, atol=1e-10)


def test_momentum_is_that_of_training_after_the_cut():
    """Gradients of the product's loss with respect to the new weights are the old ones, projected;
    momentum is a sum of such."""
    first, second = (factor.conv for factor in Pca(random_conv()).factor(4)[0])
    one, two = shrunk(first, second, 3)
    slope = RNG.standard_normal((12, 72))  # of the loss by the product of both

    def gradients(a, b):
        b_, a_ = b.weight.reshape(12, -1), a.weight.reshape(-1, 72)
        return (b_.T @ slope).reshape(a.weight.shape), (slope @ a_.T).reshape(b.weight.shape)

    old, new = gradients(first, second), gradients(one, two)
    moved = shrunk_histories(first, old, 3)
    for found, expected in zip(moved, new, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-10)


def _geometry(conv):
    return conv.stride, conv.pad, conv.dilation


def _paths(first, second):
    from graphc.factor.decomposition import Factor

    return ((Factor("a", first), Factor("b", second)),)
