"""Decompositions: full rank changes nothing, errors are as in theory, planted ranks are found."""

from dataclasses import replace

import numpy as np
import pytest
from factor.weights import compute, compute_paths, random_conv

from graphc.factor.conv import Conv, product
from graphc.factor.decomposition import dense, paths_macs, weight_error
from graphc.factor.methods import METHODS
from graphc.factor.ranks import rank_by
from graphc.factor.tucker import tucker2

SPECTRAL = ("pca", "svd", "tai", "tucker", "decouple", "bilinear")
GEOMETRIES = [
    {"kernel": (3, 3), "pad": (1, 1)},
    {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 0)},
    {"kernel": (3, 2), "stride": (1, 2), "dilation": (2, 1), "group": 2},
    {"kernel": (4, 5), "pad": (2, 2), "group": 4, "dilation": (1, 2)},
    {"kernel": (2, 2), "stride": (2, 1)},
]


def planted(method, geometry):
    """A layer that a low rank suffices for, and that rank."""
    conv = random_conv(**geometry)
    made = METHODS[method](conv)
    rank = 1 if method == "cp" else 2
    whole = dense(made.factor(rank))
    return replace(whole, bias=conv.bias), rank


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("method", SPECTRAL)
def test_full_rank_changes_nothing(method, geometry):
    conv = random_conv(**geometry)
    if METHODS[method].why_not(conv):
        pytest.skip("the method takes no groups")
    found = METHODS[method](conv)
    paths = found.factor(found.full)
    assert weight_error(conv, paths) < 1e-12 and found.left[-1] == 0
    x = np.random.default_rng(1).standard_normal((2, conv.inputs, 9, 11))
    np.testing.assert_allclose(compute_paths(paths, x), compute(conv, x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_a_cut_computes_what_its_weights_say(method, geometry):
    """Stride, padding and dilation are with the right factors, the bias is added once."""
    conv = random_conv(**geometry)
    if METHODS[method].why_not(conv):
        pytest.skip("the method takes no groups")
    found = METHODS[method](conv)
    paths = found.factor(2)
    whole = dense(paths)
    assert isinstance(whole, Conv)
    assert (whole.stride, whole.pad, whole.dilation) == (conv.stride, conv.pad, conv.dilation)
    x = np.random.default_rng(1).standard_normal((2, conv.inputs, 11, 12))
    y = compute_paths(paths, x)
    np.testing.assert_allclose(y, compute(whole, x), rtol=0, atol=1e-9)
    assert y.shape == compute(conv, x).shape
    biased = [f for path in paths for f in path if f.conv.bias is not None]
    assert len(biased) == 1 and biased[0].conv.bias is conv.bias


@pytest.mark.parametrize("method", ["pca", "svd", "tai", "decouple", "bilinear"])
@pytest.mark.parametrize("group", [1, 2])
def test_the_error_is_the_tail(method, group):
    conv = random_conv(group=group)
    if METHODS[method].why_not(conv):
        pytest.skip("the method takes no groups")
    found = METHODS[method](conv)
    for rank in range(1, found.full + 1):
        error = weight_error(conv, found.factor(rank)) ** 2
        assert abs(error - found.left[rank]) < 1e-10


def test_pca_and_svd_are_one_cut():
    """And differ in how they share it out: orthonormal combinations, factors of equal norms."""
    conv = random_conv()
    pca, svd = (METHODS[name](conv).factor(5) for name in ("pca", "svd"))
    np.testing.assert_allclose(dense(pca).weight, dense(svd).weight, atol=1e-10)
    combination = pca[0][1].conv.weight.reshape(12, 5)
    np.testing.assert_allclose(combination.T @ combination, np.eye(5), atol=1e-12)
    norms = [np.linalg.norm(factor.conv.weight) for factor in svd[0]]
    assert norms[0] == pytest.approx(norms[1])


def test_no_mean_is_taken_off():
    """Equal filters have rank one: their mean would have taken a rank of its own."""
    weight = np.ones((6, 4, 3, 3)) + np.arange(6).reshape(6, 1, 1, 1)
    conv = Conv(weight, None, 1, (1, 1), (0, 0), (1, 1))
    assert rank_by("error", 1e-10, METHODS["pca"](conv), (8, 8)) == 1


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("method", [*SPECTRAL, "cp"])
def test_planted_ranks_are_found(method, geometry):
    if METHODS[method].why_not(random_conv(**geometry)):
        pytest.skip("the method takes no groups")
    conv, rank = planted(method, geometry)
    found = METHODS[method](conv)
    assert rank_by("error", 1e-10, found, (9, 9)) == rank
    assert weight_error(conv, found.factor(rank)) < 1e-5


def test_inner_products():
    conv = Conv(np.random.default_rng(0).standard_normal((10, 30)), np.arange(10.0))
    for method in ("pca", "svd", "kmeans"):
        found = METHODS[method](conv)
        assert weight_error(conv, found.factor(found.full)) < 1e-12
        assert found.factor(3)[0][0].conv.weight.shape == (3, 30)
        assert found.macs(3, ()) == 3 * 30 + 10 * 3
    for method in ("tai", "tucker", "cp", "jaderberg", "decouple", "bilinear"):
        assert METHODS[method].why_not(conv)


def test_bilinear_pairs_are_kronecker_products():
    """W as a matrix (m1 m2, C taps) is sum kron(A, B): A mixes the channels, B the taps."""
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 3, 8)), rng.standard_normal((2, 4, 6))
    weight = sum(np.kron(left, right) for left, right in zip(a, b, strict=True))
    geometry = (1, (2, 1), (1, 0), (1, 2))
    conv = Conv(weight.reshape(12, 8, 2, 3), rng.standard_normal(12), *geometry)
    found = METHODS["bilinear"](conv)
    assert rank_by("error", 1e-12, found, (9, 11)) == 2
    x = rng.standard_normal((2, 8, 9, 11))
    paths = found.factor(2)
    np.testing.assert_allclose(compute_paths(paths, x), compute(conv, x), rtol=0, atol=1e-12)
    assert [f.conv.weight.shape for f in paths[0]] == [(3, 8, 1, 1), (12, 1, 2, 3)]
    kernels = paths[0][1].conv.weight.reshape(3, 4, 6)
    assert (kernels == kernels[:1]).all()  # of each mixed channel the same


def test_kmeans_finds_planted_clusters():
    rng = np.random.default_rng(3)
    centres, member = rng.standard_normal((4, 2, 3, 3)) * 5, rng.integers(0, 4, 20)
    member[:4] = range(4)
    conv = Conv(centres[member], None, 1, (1, 1), (0, 0), (1, 1))
    first, second = METHODS["kmeans"](conv).factor(4)[0]
    assert weight_error(conv, ((first, second),)) < 1e-12
    rows = second.conv.weight.reshape(20, 4)
    assert (np.sort(rows, axis=1) == [0, 0, 0, 1]).all()


def test_kmeans_with_as_many_clusters_as_filters():
    conv = random_conv(group=2)
    found = METHODS["kmeans"](conv)
    assert weight_error(conv, found.factor(found.full)) < 1e-12
    zeros = replace(conv, weight=np.zeros_like(conv.weight))
    assert weight_error(zeros, METHODS["kmeans"](zeros).factor(2)) == 0


@pytest.mark.parametrize("outer, inner", [(3, 5), (6, 5), (12, 4)])
def test_tucker_identity_and_bounds(outer, inner):
    """||W - W'||^2 = ||W||^2 - ||core||^2, within what cutting one side alone leaves out and the
    sum of both; and iteration never makes it worse."""
    tensor = random_conv(outputs=12, inputs=10).weight
    tails = []
    for matrix, rank in ((tensor, outer), (np.swapaxes(tensor, 0, 1), inner)):
        s = np.linalg.svd(matrix.reshape(len(matrix), -1), compute_uv=False)
        tails.append((s[rank:] ** 2).sum())
    last = np.inf
    for sweeps in (0, 1, 2, 5):
        n, core, c = tucker2(tensor, outer, inner, sweeps)
        made = np.einsum("abyx,na,cb->ncyx", core, n, c)
        error = ((tensor - made) ** 2).sum()
        assert error == pytest.approx((tensor**2).sum() - (core**2).sum(), rel=1e-9)
        assert max(tails) - 1e-9 <= error <= min(sum(tails), last) + 1e-9
        last = error


def test_cp_terms_do_not_cancel():
    found = METHODS["cp"](random_conv(), np.random.default_rng(0)).factor(6)[0]
    assert max(np.abs(f.conv.weight).max() for f in found) < 10


def test_random_numbers_are_the_callers():
    conv = random_conv(outputs=4, inputs=3)
    for method in ("kmeans", "cp", "jaderberg"):
        one, two = (METHODS[method](conv, np.random.default_rng(7)).factor(3) for _ in range(2))
        for a, b in zip(one[0], two[0], strict=True):
            np.testing.assert_array_equal(a.conv.weight, b.conv.weight)


@pytest.mark.parametrize("method", METHODS)
def test_macs_are_those_of_the_layers(method):
    conv = random_conv(kernel=(3, 5), pad=(1, 2), stride=(2, 1))
    found = METHODS[method](conv)
    paths = found.factor(3)
    assert found.macs(3, (9, 12)) == paths_macs(paths, (9, 12))
    assert found.params(3) == sum(f.conv.params for path in paths for f in path)


@pytest.mark.parametrize(
    ("outputs", "inputs", "group", "ranks", "speedups"),
    [
        (384, 256, 1, (184, 124), (1.79, 2.65)),
        (384, 384, 2, (201, 106), (1.72, 3.26)),
        (256, 384, 2, (146, 129), (1.63, 1.85)),
    ],
)
def test_published_speedups(outputs, inputs, group, ranks, speedups):
    """Table 4 of Wen et al., arXiv 1703.09746, to both decimals: AlexNet conv3 to conv5."""
    weight = np.broadcast_to(0.0, (outputs, inputs // group, 3, 3))
    conv = Conv(weight, None, group, (1, 1), (1, 1), (1, 1))
    found = METHODS["pca"](conv)
    each = found.macs(1, (13, 13)) / group  # of one rank of all groups together
    for rank, speedup in zip(ranks, speedups, strict=True):
        assert round(conv.macs((13, 13)) / (each * rank), 2) == speedup


def test_products_that_are_none():
    conv = random_conv(pad=(1, 1))
    wide = random_conv(inputs=12)
    assert "kernel" in product(conv, wide)
    point = Conv(np.ones((4, 12, 1, 1)), None, 1, (1, 1), (1, 1), (1, 1))
    assert "padding" in product(conv, point)
    assert "inputs" in product(conv, random_conv(inputs=8))
    start = random_conv(kernel=(1, 1))
    assert "bias" in product(start, replace(wide, pad=(1, 1)))


def test_a_bias_in_between_is_carried():
    first, second = random_conv(kernel=(1, 1), group=2), random_conv(inputs=12, group=4)
    x = np.random.default_rng(1).standard_normal((1, 8, 5, 5))
    expected = compute(second, compute(first, x))
    np.testing.assert_allclose(compute(product(first, second), x), expected, atol=1e-10)
