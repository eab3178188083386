"""merge_low_rank and prune_ranks: back to one layer, or further down."""

import numpy as np
import pytest
from passes.low_rank_nets import X, cut, layers_of, net, outputs
from passes.removal_nets import filled
from texts import conv, feed, layer

import graphc
from graphc.errors import GraphError
from graphc.passes.low_rank import LowRank
from graphc.passes.merge_low_rank import MergeLowRank
from graphc.passes.prune_ranks import PruneRanks
from graphc.passes.recipe import parse_spec

METHODS = ("pca", "svd", "kmeans", "tai", "tucker", "jaderberg", "decouple")


def run(plain, each, **words):
    made, report = graphc.optimize(plain, [each], **{"measure": False, **words})
    return made, report.passes[-1]


def close(found, plain, share=1e-5):
    for name, array in plain.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=share * np.abs(array).max())


@pytest.mark.parametrize("method", METHODS)
def test_undone(method):
    """At full rank the very weights come back, else those that the cut stands for."""
    plain = net()
    for options in ({"error": 0.0}, {"rank": (3,), "skip": ("y",)}):
        short, _ = cut(plain, method=method, **options)
        merged, report = run(short, MergeLowRank())
        assert layers_of(merged) == layers_of(plain)
        close(outputs(merged), outputs(short))
        assert report.layers[0].decision == "merged"
        for name in ("a", "b"):
            old, new = plain.node(name), merged.node(name)
            assert new.op is old.op and new.attrs.group == old.attrs.group
            assert new.attrs.bias_term == old.attrs.bias_term
            assert [p.lr_mult for p in new.params.values()] == [
                p.lr_mult for p in old.params.values()
            ]
    exact, _ = run(cut(plain, method="pca", error=0.0)[0], MergeLowRank())
    for name, arrays in plain.params.items():
        for a, b in zip(arrays, exact.params[name], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("method", ["cp", "bilinear"])
@pytest.mark.parametrize("rank", [1, 3])
def test_methods_without_groups_undone(method, rank):
    short, _ = cut(net(), method=method, rank=(rank,), layers=("a",))
    merged, _ = run(short, MergeLowRank())
    assert layers_of(merged) == layers_of(net())
    close(outputs(merged), outputs(short))


def test_some_only():
    short, _ = cut(net(), rank=(3,))
    merged, _ = run(short, MergeLowRank(layers=("b",)))
    assert layers_of(merged)[4:6] == ["b", "y_lowrank"]
    with pytest.raises(GraphError, match="merge_low_rank: 'nope' names no layer"):
        run(short, MergeLowRank(layers=("nope",)))


@pytest.mark.parametrize(
    ("layers", "keep", "told"),
    [
        ((), ("y_lowrank",), "'y_lowrank' is kept"),
        ((conv("data", "other", 3),), (), ""),
    ],
)
def test_where_it_stays(layers, keep, told):
    two = net(feed(data=X.shape), conv("data", "y", 6), *layers)
    short, _ = cut(two, rank=(3,), layers=("y",))
    merged, report = run(short, MergeLowRank(), keep=keep)
    assert report.changed is (not told)
    if told:
        assert report.layers[0].reason == told
        return
    assert layers_of(merged) == ["in", "y", "other"]


def test_layers_that_only_look_like_factors():
    """Something reads in between, or the first has a bias that the second would pad."""
    read = net(
        feed(data=X.shape), conv("data", "y_lowrank", 3), conv("y_lowrank", "y_linear", 6, 1),
        layer("ReLU", "y_lowrank", "z"),
    )  # fmt: skip
    assert not run(read, MergeLowRank())[1].changed
    padded = net(
        feed(data=X.shape),
        conv("data", "y_lowrank", 3, 1),
        layer("Convolution", "y_lowrank", "y_linear", "convolution_param { num_output: 4 "
              "kernel_size: 3 pad: 1 }"),
    )  # fmt: skip
    _, report = run(padded, MergeLowRank())
    assert "padded with zeros" in report.layers[0].reason


@pytest.mark.parametrize("method", ["pca", "svd", "tai"])
def test_ranks_that_training_left_unused(method):
    """They go, and nothing changes."""
    short, _ = cut(net(), method=method, rank=(8,), skip=("y",))
    first = short.nodes[1]
    weight = short.params[first.name][0]
    weight[4:] = weight[:4] * 2  # 4 directions are left
    pruned, report = run(short, PruneRanks(error=1e-9, layers=("a",)))
    assert report.layers[0].decision == "rank 4 of 8" and report.layers[0].weight_error < 1e-6
    assert pruned.params[first.name][0].shape[0] == 4
    close(outputs(pruned), outputs(short))
    _, report = run(pruned, PruneRanks(error=1e-9, layers=("a",)))
    assert not report.changed and report.layers[0].reason == "it needs all of its rank"


def test_ranks_in_groups_and_by_number():
    short, _ = cut(net(), rank=(8,), skip=("y",))
    pruned, report = run(short, PruneRanks(rank=3))
    assert [c.decision for c in report.layers] == ["rank 3 of 8", "rank 4 of 8"]
    assert pruned.value("b_lowrank").type.shape[1] == 4
    graphc.compile(pruned, target="cpu").run({"data": X})
    assert parse_spec("prune_ranks:error=0.1,layers=a,b") == PruneRanks(0.1, layers=("a", "b"))


def test_a_pair_that_was_changed_since_stays():
    """Another pass has given the first layer a bias, or the second layer fewer groups."""
    lowrank = "convolution_param { num_output: 4 kernel_size: 3 bias_term: %s group: %d }"
    linear = "convolution_param { num_output: 6 kernel_size: 1 }"
    for bias, groups, told in (
        ("true", 1, "its first layer has a bias"),
        ("false", 2, "its layers have 2 and 1 groups"),
    ):
        changed = filled(
            feed(data=X.shape)
            + layer("Convolution", "data", "m", lowrank % (bias, groups), name="a_lowrank")
            + layer("Convolution", "m", "a", linear, name="a_linear"),
            3,
        )
        _, report = run(changed, PruneRanks(rank=2))
        assert [(c.decision, c.reason) for c in report.layers] == [("stays", told)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rank": 0}, "rank is 0, expected a number from 1 on"),
        ({"rank": 9}, "rank 9 of 'a' is above its rank, 8"),
        ({"error": 2.0}, "error is 2, expected 0 to 1"),
        ({"layers": ("z",)}, "'z' names no layer"),
    ],
)
def test_pruning_errors(options, told):
    short, _ = cut(net(), rank=(8,), skip=("y",))
    with pytest.raises(GraphError, match="GC-T001") as caught:
        run(short, PruneRanks(**options))
    assert told in caught.value.message
    with pytest.raises(GraphError, match="no layer of this net is decomposed"):
        run(net(), PruneRanks())


def test_off_with_gradients():
    short, _ = cut(net(), rank=(3,))
    for each in (MergeLowRank(), PruneRanks()):
        assert run(short, each, train=True)[1].detail[0].startswith("off: ")


def test_one_after_the_other():
    """Down, further down, and back, in one go."""
    each = [LowRank(rank=(8,), when="always", skip=("y",)), PruneRanks(rank=4), MergeLowRank()]
    made, _ = graphc.optimize(net(), each)
    assert layers_of(made) == layers_of(net())
    rank = np.linalg.matrix_rank(made.params["a"][0].reshape(12, -1), tol=1e-5)
    assert rank == 4
