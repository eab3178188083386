"""quantize_weights: k-means along a line, zeros that stay, and what is refused."""

import numpy as np
import pytest
from passes.do_pass import refused
from texts import conv, fc, feed, graph

import graphc
from graphc.passes.quantize_weights import QuantizeWeights, nearest_centers, quantized


def net():
    return graph(feed(data=(1, 8, 9, 9)), conv("data", "a", 16), fc("a", "y", 20))


def weights(net_, name):
    return net_.weight(net_.value(f"{name}:weight"))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_few_values_are_left(bits):
    before = net()
    after, report = graphc.optimize(before, [QuantizeWeights(bits=bits)], measure=False)
    for name in "ay":
        assert np.unique(weights(after, name)).size <= 2**bits
    row = report.passes[0].layers[0]
    assert row.weight_error > 0
    assert row.nbytes[1] <= 16 * 8 * 9 * bits / 8 + 4 * 2**bits < row.nbytes[0]
    assert np.array_equal(
        after.weight(after.value("a:bias")), before.weight(before.value("a:bias"))
    )


def test_more_bits_are_closer():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal(5000).astype(np.float32)
    errors = [np.abs(quantized(weight, bits) - weight).mean() for bits in range(1, 9)]
    assert sorted(errors, reverse=True) == errors


def test_each_weight_takes_the_nearest_of_the_values():
    weight = np.random.default_rng(1).standard_normal(3000).astype(np.float32)
    made = quantized(weight, 4)
    values = np.unique(made)
    nearest = values[np.abs(weight[:, None] - values).argmin(1)]
    assert np.mean(nearest != made) < 1e-3  # a tie or two
    for value in values:  # and each value is the mean of its weights
        assert weight[made == value].mean() == pytest.approx(value, abs=0.02)


def test_zeros_stay_zeros():
    weight = np.random.default_rng(2).standard_normal(3000).astype(np.float32)
    weight[::3] = 0
    made = quantized(weight, 3)
    assert np.array_equal(made == 0, weight == 0) and np.unique(made).size <= 8


def test_planted_values_are_found():
    planted = np.array([-3, -1, 0.5, 2], np.float32)
    rng = np.random.default_rng(3)
    weight = rng.choice(planted, 400) + rng.normal(0, 1e-3, 400).astype(np.float32)
    centers = nearest_centers(np.sort(weight.astype(np.float64)), 4)
    assert centers == pytest.approx(planted, abs=1e-3)


def test_what_has_few_values_stays():
    weight = np.repeat(np.arange(4, dtype=np.float32), 9)
    assert quantized(weight, 2) is weight


@pytest.mark.parametrize("bits", [0, 9, -1])
def test_refused(bits):
    assert f"bits is {bits}" in refused([QuantizeWeights(bits=bits)], net())


def test_no_numbers_are_refused():
    one = net()
    weights(one, "a").reshape(-1)[3] = np.inf
    assert "are not finite" in refused([QuantizeWeights()], one)
    assert "no layer" in refused([QuantizeWeights(layers=("b",))], net())


def test_off_with_gradients():
    _, report = graphc.optimize(net(), [QuantizeWeights()], train=True, measure=False)
    assert not report.passes[0].changed


def test_sensitivity():
    found = graphc.sensitivity(net(), "quantize_weights", points=4)
    assert [p.strength for p in found.layers["a"]] == [4, 3, 2, 1]
    errors = [p.error for p in found.layers["a"]]
    assert sorted(errors) == errors and errors[0] > 0
