"""backward: seeds, loss weights, in-place blobs, shared and frozen parameters."""

import numpy as np
import pytest
from texts import fc, feed, graph, layer, softmax_loss

import graphc
from graphc.errors import GraphError

X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)


def lossy(*more):
    return graph(
        feed(data=(2, 3), label=(2,)),
        fc("data", "a", 3),
        layer("TanH", "a", "t"),
        fc("t", "y", 3),
        softmax_loss("y", more="loss_weight: 0.5"),
        *more,
    )


FEEDS = {"data": X, "label": [0, 2]}


def gradients(net, seeds=None, **words):
    exe = graphc.compile(net, train=True, **words)
    exe.run(FEEDS)
    return exe.backward(seeds)


def test_other_losses_keep_their_weight_when_one_is_seeded():
    two = softmax_loss("a", top="l2", more="loss_weight: 2")
    both = gradients(lossy(two)).params["a"][0]
    first = gradients(lossy(two), {"l2": 0}).params["a"][0]
    second = gradients(lossy(two), {"loss": 0}).params["a"][0]
    np.testing.assert_allclose(first + second, both, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(first, gradients(lossy()).params["a"][0], rtol=1e-6)
    again = gradients(lossy(two), {"loss": 0.5, "l2": 2}).params["a"][0]
    np.testing.assert_array_equal(again, both)


def test_outputs_without_a_seed_count_as_zero():
    plain = gradients(lossy()).params["a"][0]
    extra = fc("t", "u", 2)
    np.testing.assert_array_equal(gradients(lossy(extra)).params["a"][0], plain)
    seeded = gradients(lossy(extra), {"u": np.ones((2, 2)), "loss": 0}).params
    assert seeded["a"][0].any() and not seeded["y"][0].any()


def test_a_kept_blob_may_be_seeded_in_the_middle():
    seed = np.random.default_rng(3).normal(size=(2, 3))
    whole = gradients(lossy(), {"t": seed, "loss": 0}, keep=["t"])
    net = graph(feed(data=(2, 3)), fc("data", "a", 3), layer("TanH", "a", "t"))
    for mine, theirs in zip(net.params["a"], lossy().params["a"], strict=True):
        mine[...] = theirs
    exe = graphc.compile(net, train=True)
    exe.run({"data": X})
    np.testing.assert_allclose(
        whole.params["a"][0], exe.backward({"t": seed}).params["a"][0], rtol=1e-5
    )
    both = gradients(lossy(), {"t": seed}, keep=["t"]).params["a"][0]
    alone = gradients(lossy(), keep=["t"]).params["a"][0]
    np.testing.assert_allclose(both, whole.params["a"][0] + alone, rtol=1e-5, atol=1e-7)
    assert set(whole.blobs) == {"data", "t"}


@pytest.mark.parametrize(
    "seeds",
    [
        {"t": np.ones((2, 3))},
        {"nothing": 1},
        {"loss": "x"},
        {"loss": None},
        {"loss": [1, 2]},
        {"loss": 1j},
        {5: 1},
        [1],
        "loss",
        np.ones(1),
    ],
)
def test_wrong_seeds(seeds):
    exe = graphc.compile(lossy(), train=True)
    exe.run(FEEDS)
    expected = exe.backward().params["a"][0]
    with pytest.raises(GraphError, match="GC-R001"):
        exe.backward(seeds)
    np.testing.assert_array_equal(exe.backward().params["a"][0], expected)


def test_a_seed_to_which_nothing_leads_is_checked_and_has_no_effect():
    net = lossy(layer("Accuracy", "y label", "acc"))
    plain = gradients(net).params["a"][0]
    np.testing.assert_array_equal(gradients(net, {"acc": 3}).params["a"][0], plain)
    with pytest.raises(GraphError, match="GC-R001"):
        gradients(net, {"acc": [1, 2]})


def test_the_gradient_of_an_in_place_blob_is_that_of_its_first_version():
    net = graph(
        feed(data=(2, 3)),
        layer("TanH", "data", "data", name="t"),
        fc("data", "h", 3),
        layer("Sigmoid", "h", "h", name="s"),
        layer("Power", "h", "y", "power_param { scale: 3 }"),
    )
    exe = graphc.compile(net, train=True, keep="all")
    out = exe.run({"data": X})
    assert list(out) == ["y", "data@in", "data", "h@h", "h"]
    grads = exe.backward({"y": np.ones((2, 3))}).blobs
    assert set(grads) == {"data", "h", "y"}
    s = out["h"].astype(float)
    np.testing.assert_allclose(grads["h"], 3 * s * (1 - s), rtol=1e-5)
    np.testing.assert_allclose(
        grads["data"], (grads["h"] @ exe.params["h"][0]) * (1 - out["data"] ** 2), rtol=1e-4
    )
    kept = graphc.compile(net, train=True, keep=("h",))
    kept.run({"data": X})
    found = kept.backward({"y": np.ones((2, 3))}).blobs
    assert set(found) == {"data", "h"}
    np.testing.assert_array_equal(found["h"], grads["h"])


def test_keep_all_gives_every_gradient_there_is():
    exe = graphc.compile(lossy(), train=True, keep="all")
    exe.run(FEEDS)
    assert set(exe.backward().blobs) == {"data", "a", "t", "y", "loss"}


def test_one_sum_for_permissive_sharers():
    named = 'param { name: "w" share_mode: PERMISSIVE } param { }'
    net = graph(
        feed(data=(2, 3), more=(2, 6)), fc("data", "a", 4, named), fc("more", "b", 2, named)
    )
    exe = graphc.compile(net, train=True)
    exe.run({"data": X, "more": np.hstack([X, X])})
    apart = [
        exe.backward({"a": np.ones((2, 4)), "b": np.zeros((2, 2))}).params["a"][0],
        exe.backward({"a": np.zeros((2, 4)), "b": np.ones((2, 2))}).params["a"][0],
    ]
    both = exe.backward({"a": np.ones((2, 4)), "b": np.ones((2, 2))}).params
    assert both["a"][0].shape == (4, 3) and both["b"][0].shape == (2, 6)
    np.testing.assert_allclose(both["a"][0], apart[0] + apart[1], rtol=1e-5)
    np.testing.assert_array_equal(both["a"][0].ravel(), both["b"][0].ravel())


def test_frozen_blobs_get_zeros_unless_backward_is_forced():
    frozen = "param { lr_mult: 0 } param { lr_mult: 1 }"
    net = (feed(data=(2, 3)), fc("data", "y", 2, frozen))
    for head, is_zero in (("", True), ("force_backward: true ", False)):
        exe = graphc.compile(graph(*net, head=head), train=True)
        exe.run({"data": X})
        weight, bias = exe.backward({"y": np.ones((2, 2))}).params["y"]
        assert weight.any() == (not is_zero) and bias.any()


def test_loss():
    exe = graphc.compile(lossy(softmax_loss("a", top="l2", more="loss_weight: 2")))
    with pytest.raises(GraphError, match="GC-R003"):
        exe.loss()
    out = exe.run(FEEDS)
    assert exe.loss() == pytest.approx(0.5 * out["loss"] + 2 * out["l2"])
    plain = graphc.compile(graph(feed(data=(2, 3)), layer("TanH", "data", "y")))
    plain.run({"data": X})
    assert plain.loss() == 0


def test_a_loss_weight_on_any_layer():
    net = graph(feed(data=(2, 3)), fc("data", "y", 3, "loss_weight: 0.25"), layer("TanH", "y", "z"))
    exe = graphc.compile(net, train=True)
    out = exe.run({"data": X})
    assert list(out) == ["y", "z"]  # as in Caffe, where a split makes it an output
    assert exe.loss() == pytest.approx(0.25 * out["y"].sum(), rel=1e-5)
    np.testing.assert_array_equal(exe.backward().params["y"][1], [0.5] * 3)
