"""Response-based bases: least squares on what layers compute."""

import numpy as np
import pytest
from factor.weights import random_conv

from graphc.factor.conv import Conv
from graphc.factor.response import Response, principal, rectified_regression, reduced_rank

RNG = np.random.default_rng(0)


def sample(n=400, channels=8):
    """Responses that lie near each other, as two networks' do."""
    base = RNG.standard_normal((n, channels)) @ RNG.standard_normal((channels, channels))
    return base, base + 0.3 * RNG.standard_normal((n, channels)) + 0.5


def test_symmetric_error_is_the_tail_of_the_covariance():
    y, _ = sample()
    energies = np.linalg.eigvalsh(np.cov(y.T, bias=True))[::-1]
    for rank in (1, 3, 8):
        error = ((principal(y, rank)(y) - y) ** 2).sum() / len(y)
        assert error == pytest.approx(energies[rank:].sum(), abs=1e-9)


def test_asymmetric_is_as_good_as_alternating_least_squares():
    y, seen = sample()
    a, b = y - y.mean(0), seen - seen.mean(0)
    found = ((reduced_rank(y, seen, 3)(seen) - y) ** 2).sum()
    whole = np.linalg.lstsq(b, a, rcond=None)[0].T
    left = RNG.standard_normal((8, 3))
    for _ in range(500):
        right = np.linalg.lstsq(left, whole, rcond=None)[0]
        z = b @ right.T
        left = np.linalg.lstsq(z, a, rcond=None)[0].T
    assert found <= ((b @ (left @ right).T - a) ** 2).sum() + 1e-6


def test_asymmetric_of_the_same_is_symmetric():
    y, _ = sample()
    np.testing.assert_allclose(reduced_rank(y, y, 4)(y), principal(y, 4)(y), atol=1e-5)


def test_relu_aware_is_no_worse_after_the_relu():
    y, seen = sample()
    errors = [
        ((np.maximum(found(seen), 0) - np.maximum(y, 0)) ** 2).sum()
        for found in (reduced_rank(y, seen, 3), rectified_regression(y, seen, 3))
    ]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("has_bias", [True, False])
def test_the_layers_compute_the_regression(group, has_bias):
    """Weights and bias of the two layers, applied to the inputs, are the fitted map."""
    plain = random_conv(kernel=(), outputs=8, inputs=20, group=group)
    conv = plain if has_bias else Conv(plain.weight, None, group)
    x = RNG.standard_normal((500, 20)) @ RNG.standard_normal((20, 20))
    y = _apply(conv, x)
    found = Response(conv, y, y + 0.1 * RNG.standard_normal(y.shape))
    assert found.full == 8 // group and found.left[-1] == pytest.approx(0, abs=1e-12)
    symmetric = Response(conv, y)
    rank = 3
    paths = symmetric.factor(rank)
    parts = np.split(y, group, axis=1)
    expected = np.concatenate([principal(part, rank)(part) for part in parts], axis=1)
    got = _apply(paths[0][1].conv, _apply(paths[0][0].conv, x))
    np.testing.assert_allclose(got, expected, atol=1e-8)
    np.testing.assert_allclose(got.mean(0), y.mean(0), atol=1e-8)
    assert symmetric.params(rank) == sum(f.conv.params for f in paths[0])


def _apply(conv, x):
    parts = np.split(x, conv.group, axis=1)
    weights = conv.groups
    y = np.concatenate([p @ w.T for p, w in zip(parts, weights, strict=True)], axis=1)
    return y if conv.bias is None else y + conv.bias
