"""prune_weights: which weights become zeros, and what is refused."""

import numpy as np
import pytest
from passes.do_pass import refused
from texts import fc, feed, graph, layer

import graphc
from graphc.passes._masks import densities, largest
from graphc.passes.prune_weights import PruneWeights

CONV = (
    "convolution_param { num_output: %d kernel_size: 3 weight_filler { type: 'gaussian' std: 1 } }"
)


def conv(bottom, top, count, more=""):
    return layer("Convolution", bottom, top, CONV % count + more)


def net(*more):
    return graph(
        feed(data=(1, 8, 9, 9)),
        conv("data", "a", 16),
        conv("a", "b", 32),
        fc("b", "y", 20),
        *more,
    )


def weights(net_, name):
    return net_.weight(net_.value(f"{name}:weight"))


def pruned(net_=None, **options):
    net_ = net() if net_ is None else net_
    return graphc.optimize(net_, [PruneWeights(**options)], measure=False)


def share(array):
    return 1 - np.count_nonzero(array) / array.size


def test_the_smallest_of_each_layer_go():
    before = net()
    after, report = pruned(before, sparsity=0.75)
    for name in "aby":
        old, new = weights(before, name), weights(after, name)
        assert share(new) == pytest.approx(0.75, abs=1e-3)
        kept = new != 0
        assert np.array_equal(new[kept], old[kept])
        assert np.abs(old[~kept]).max() <= np.abs(old[kept]).min()
    (record,) = report.passes
    assert [row.layer for row in record.layers] == ["a", "b", "y"]
    assert record.layers[0].params == (16 * 8 * 9, 16 * 8 * 9 // 4)
    bits = 16 * 8 * 9 // 8
    assert record.layers[0].nbytes == (4 * 16 * 8 * 9, bits + 16 * 8 * 9)  # a quarter of the floats
    lost = np.linalg.norm(weights(before, "a") - weights(after, "a"))
    assert record.layers[0].weight_error == pytest.approx(
        lost / np.linalg.norm(weights(before, "a"))
    )


def test_biases_stay_and_the_net_is_plain_caffe():
    before = net()
    after, _ = pruned(before, sparsity=0.9)
    assert np.array_equal(
        after.weight(after.value("y:bias")), before.weight(before.value("y:bias"))
    )
    assert [n.attrs for n in after.nodes] == [n.attrs for n in before.nodes]


def test_one_threshold_for_all():
    before = net()
    after, _ = pruned(before, sparsity=0.6, scope="global")
    old = np.concatenate([np.abs(weights(before, n)).ravel() for n in "aby"])
    new = np.concatenate([weights(after, n).ravel() for n in "aby"])
    assert share(new) == pytest.approx(0.6, abs=1e-4)
    assert old[new == 0].max() <= old[new != 0].min()


def test_layers_keep_by_their_extents_with_erk():
    after, _ = pruned(sparsity=0.8, scope="erk")
    found = {n: share(weights(after, n)) for n in "aby"}
    extents = {n: weights(after, n).shape for n in "aby"}
    each = {n: (1 - found[n]) * np.prod(extents[n]) / sum(extents[n]) for n in "aby"}
    assert each["b"] == pytest.approx(each["a"], rel=0.02)
    assert each["y"] == pytest.approx(each["a"], rel=0.02)
    sizes = {n: weights(after, n).size for n in "aby"}
    zeros = sum(found[n] * sizes[n] for n in "aby")
    assert zeros / sum(sizes.values()) == pytest.approx(0.8, abs=1e-3)


def test_erk_densities():
    # by hand: two layers, one so small that it keeps all
    assert densities([(2, 2), (100, 100)], 0.1) == pytest.approx([1.0, (0.1 * 10004 - 4) / 10000])
    same = densities([(50, 50), (50, 50)], 0.3)
    assert same == pytest.approx([0.3, 0.3])


def test_n_of_m_channels():
    before = net()
    after, report = pruned(before, pattern="2:4", layers=("a", "b"))
    for name in "ab":
        new, old = weights(after, name), weights(before, name)
        grouped = (new != 0).reshape(len(new), -1, 4, 9)
        assert (grouped.sum(2) == 2).all()
        # the two largest of each four
        sizes = np.sort(np.abs(old).reshape(len(old), -1, 4, 9), axis=2)[:, :, 2:].sum(2)
        assert np.allclose(np.abs(new).reshape(len(new), -1, 4, 9).sum(2), sizes)
    assert share(weights(after, "y")) == 0
    assert report.passes[0].layers[0].decision == "50.0% zeros"


def test_blocks_go_as_a_whole():
    after, _ = pruned(pattern="16x1", sparsity=0.5)
    new = weights(after, "b").reshape(2, 16, -1)
    live = new != 0
    assert (live.all(1) | ~live.any(1)).all()
    assert share(new) == pytest.approx(0.5, abs=0.01)
    rest = weights(after, "y")[16:]  # the last block has four outputs
    assert ((rest != 0).all(0) | ~(rest != 0).any(0)).all()


def test_skip_and_patterns():
    after, report = pruned(sparsity=0.5, layers=(".",), skip=("a",))
    assert [share(weights(after, n)) > 0 for n in "aby"] == [False, True, True]
    assert [row.layer for row in report.passes[0].layers] == ["b", "y"]


def test_shared_weights_are_pruned_once():
    both = "param { name: 'w' }"
    one = graph(feed(data=(2, 20)), fc("data", "p", 20, both), fc("p", "q", 20, both))
    after, report = pruned(one, sparsity=0.5)
    assert share(weights(after, "p")) == pytest.approx(0.5)
    assert [row.layer for row in report.passes[0].layers] == ["p"]


def test_ties_are_cut_in_order():
    assert largest(np.array([1, 2, 2, 2, 0], np.float32), 2).tolist() == [0, 1, 1, 0, 0]


def test_without_pruning_nothing_changes():
    _, report = pruned(sparsity=0.0)
    assert not report.passes[0].changed


def test_off_with_gradients():
    _, report = graphc.optimize(net(), [PruneWeights(sparsity=0.5)], train=True, measure=False)
    assert not report.passes[0].changed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "sparsity is None"),
        ({"sparsity": 1.0}, "sparsity is 1.0"),
        ({"sparsity": -0.1}, "sparsity is -0.1"),
        ({"sparsity": float("nan")}, "sparsity is nan"),
        ({"sparsity": 0.5, "pattern": "4:2"}, "pattern is '4:2'"),
        ({"sparsity": 0.5, "pattern": "0x1"}, "pattern is '0x1'"),
        ({"sparsity": 0.5, "pattern": "2:4"}, "says how many"),
        ({"sparsity": 0.5, "layers": ("nope",)}, "'nope' is no layer"),
        ({"sparsity": 0.5, "skip": ("nope.*",)}, "is no layer"),
        ({"sparsity": 0.5, "skip": ("(",)}, "is no pattern"),
        ({"pattern": "1:3", "layers": ("a",)}, "8 channels do not divide into 3"),
        ({"pattern": "1:7"}, "no layer divide into 7"),
    ],
)
def test_refused(options, message):
    assert message in refused([PruneWeights(**options)], net())


def test_weights_that_are_no_numbers_are_refused():
    one = net()
    weights(one, "b").reshape(-1)[3] = np.nan
    assert "'b' has weights that are not finite" in refused([PruneWeights(sparsity=0.5)], one)
    graphc.optimize(one, [PruneWeights(sparsity=0.5, skip=("b",))], measure=False)


def test_sensitivity():
    found = graphc.sensitivity(net(), "prune_weights", points=3)
    assert found.option == "sparsity" and list(found.layers) == ["a", "b", "y"]
    assert [p.strength for p in found.layers["b"]] == [0.5, 0.75, 0.875]
    errors = [p.error for p in found.layers["b"]]
    assert 0 < errors[0] < errors[1] < errors[2] <= 1.5
