"""autodiff against finite differences of whole networks, and Caffe's rules on what it skips."""

from collections.abc import Callable

import numpy as np
import pytest

import graphc
from graphc.autodiff import differentiate
from graphc.errors import GraphError
from graphc.front import parse_net
from graphc.ir.graph import Graph, Role
from graphc.ir.verify import verify

HEAD = """
layer { name: "in" type: "Input" top: "data" top: "label"
        input_param { shape { dim: 3 dim: 4 } shape { dim: 3 } } }
"""


def fc(name: str, bottom: str, top: str, outputs: int, more: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top}" {more} '
        f'inner_product_param {{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}\n'
    )


def loss(bottom: str, name: str = "loss", more: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "SoftmaxWithLoss" bottom: "{bottom}" bottom: "label" '
        f'top: "{name}" {more} }}\n'
    )


def feeds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {"data": rng.normal(size=(3, 4)), "label": np.array([0, 2, 1])}


def build(text: str) -> Graph:
    from graphc.driver import prepare

    return prepare(parse_net(text))


def numeric(exe: graphc.Executable, array: np.ndarray, step: float = 2e-3) -> np.ndarray:
    """Central differences of the loss with respect to a float32 parameter array."""
    out = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        old = array[index]
        values = []
        for move in (step, -step):
            array[index] = old + np.float32(move)
            exe.forward(feeds())
            values.append(exe.loss())
        array[index] = old
        out[index] = (values[0] - values[1]) / (2 * step)
    return out


NETS: dict[str, str] = {
    "chain": fc("a", "data", "h", 5)
    + 'layer { name: "t" type: "TanH" bottom: "h" top: "h" }'
    + fc("b", "h", "y", 3)
    + loss("y"),
    "fan_out": fc("a", "data", "h", 3)
    + 'layer { name: "e" type: "Eltwise" bottom: "h" bottom: "h" bottom: "h" top: "y" '
    "eltwise_param { operation: PROD } }" + loss("y"),
    "two_losses": fc("a", "data", "h", 3)
    + loss("h", "l1", "loss_weight: 0.3")
    + loss("h", "l2", "loss_weight: 2"),
    "shared": fc("a", "data", "h", 4, 'param { name: "w" } param { name: "b" }')
    + 'layer { name: "t" type: "Sigmoid" bottom: "h" top: "s" }'
    + fc("b", "s", "y", 4, 'param { name: "w" } param { name: "b" }')
    + loss("y"),
    "in_place_after_split": fc("a", "data", "h", 3)
    + 'layer { name: "s" type: "Sigmoid" bottom: "h" top: "g" }'
    'layer { name: "t" type: "TanH" bottom: "h" top: "h" }'
    'layer { name: "e" type: "Eltwise" bottom: "h" bottom: "g" top: "y" }' + loss("y"),
    "in_place_on_the_input": 'layer { name: "t" type: "TanH" bottom: "data" top: "data" }'
    + fc("a", "data", "y", 3)
    + loss("y"),
    "split_and_in_place": fc("a", "data", "h", 3)
    + 'layer { name: "s" type: "Split" bottom: "h" top: "p" top: "q" }'
    'layer { name: "t" type: "TanH" bottom: "p" top: "p" }'
    'layer { name: "e" type: "Eltwise" bottom: "p" bottom: "q" top: "y" '
    "eltwise_param { operation: PROD } }" + loss("y"),
    "one_top_of_a_split_unread": fc("a", "data", "h", 3)
    + 'layer { name: "s" type: "Split" bottom: "h" top: "y" top: "unread" }'
    + loss("y"),
    "weight_on_a_layer_that_is_no_loss": fc("a", "data", "h", 3, "loss_weight: 0.3")
    + 'layer { name: "t" type: "TanH" bottom: "h" top: "y" }'
    + loss("y", more="loss_weight: 2"),
    "weights_on_two_tops": fc("a", "data", "h", 4)
    + 'layer { name: "s" type: "Slice" bottom: "h" top: "p" top: "q" '
    "loss_weight: 0.5 loss_weight: -2 }",
    "layers_of_one_name": fc("x", "data", "h", 4)
    + 'layer { name: "n" type: "BatchNorm" bottom: "h" top: "h" '
    "batch_norm_param { use_global_stats: false } }"
    'layer { name: "n" type: "TanH" bottom: "h" top: "g" }'
    'layer { name: "n" type: "BatchNorm" bottom: "g" top: "g" '
    "batch_norm_param { use_global_stats: false } }" + fc("x", "g", "y", 3) + loss("y"),
    "shared_in_another_shape": fc("a", "data", "h", 3, 'param { name: "w" } param { }')
    + fc("b", "h", "y", 4, 'param { name: "w" share_mode: PERMISSIVE } param { }')
    + loss("y"),
    "shared_within_a_layer": 'layer { name: "v" type: "Reshape" bottom: "data" top: "v" '
    "reshape_param { shape { dim: 12 dim: 1 } } }"
    'layer { name: "a" type: "InnerProduct" bottom: "v" top: "h" param { name: "w" } '
    'param { name: "w" share_mode: PERMISSIVE } inner_product_param { num_output: 3 '
    'weight_filler { type: "xavier" } } }'
    'layer { name: "r" type: "Reshape" bottom: "h" top: "y" '
    "reshape_param { shape { dim: 3 dim: 12 } } }" + loss("y"),
    "half_silenced": fc("a", "data", "h", 3)
    + 'layer { name: "q" type: "Silence" bottom: "h" }'
    + loss("h"),
    "twins": fc("a", "data", "h", 3) + 'layer { name: "x" type: "TanH" bottom: "h" top: "p" }'
    'layer { name: "x" type: "Sigmoid" bottom: "h" top: "q" }'
    'layer { name: "e" type: "Eltwise" bottom: "p" bottom: "q" top: "y" }'
    + loss("y", "seed(loss)")
    + loss("h", "loss"),
    "names_like_ours": fc("d(data)", "data", "seed(y)", 4)
    + 'layer { name: "t" type: "TanH" bottom: "seed(y)" top: "d(seed(y))" }'
    'layer { name: "u" type: "TanH" bottom: "d(seed(y))" top: "d(seed(y))@u.dx" }'
    'layer { name: "n" type: "BatchNorm" bottom: "d(seed(y))@u.dx" top: "n:batch_mean" '
    "batch_norm_param { use_global_stats: false } }" + fc("f", "n:batch_mean", "y", 3) + loss("y"),
}


NORMALISED = ("layers_of_one_name", "names_like_ours")


@pytest.mark.parametrize("name", NETS)
def test_whole_net_gradients(name: str) -> None:
    exe = graphc.compile(build(HEAD + NETS[name]), train=True)
    exe.forward(feeds())
    grads = exe.backward()
    for layer, blobs in exe.params.items():
        for index, blob in enumerate(blobs):
            expected = numeric(exe, blob)
            np.testing.assert_allclose(grads.params[layer][index], expected, rtol=5e-3, atol=2e-4)
            # statistics have no gradient, a bias in front of a normalisation has none that counts
            assert np.abs(expected).max() > 1e-4 or layer == "n" or (name in NORMALISED and index)


def test_backward_is_repeatable_and_starts_from_zero() -> None:
    exe = graphc.compile(build(HEAD + NETS["chain"]), train=True)
    exe.forward(feeds())
    first, second = exe.backward(), exe.backward()
    np.testing.assert_array_equal(first.params["a"][0], second.params["a"][0])


def test_frozen_parameter_gets_zeros_and_cuts_the_chain() -> None:
    text = HEAD + fc("a", "data", "h", 3, "param { lr_mult: 0 } param { lr_mult: 0 }") + loss("h")
    graph = graphc.compile(build(text), train=True)
    graph.forward(feeds())
    assert not graph.backward().params["a"][0].any()


def test_inputs_have_gradients() -> None:
    exe = graphc.compile(build(HEAD + NETS["chain"]), train=True)
    exe.forward(feeds())
    grads = exe.backward()
    assert set(grads.blobs) == {"data"}
    assert grads.blobs["data"].shape == (3, 4)


def test_seed_replaces_the_loss_weight() -> None:
    exe = graphc.compile(build(HEAD + NETS["chain"]), train=True)
    exe.forward(feeds())
    once, twice = exe.backward({"loss": np.float32(1)}), exe.backward({"loss": np.float32(2)})
    np.testing.assert_allclose(2 * once.params["b"][0], twice.params["b"][0], rtol=1e-6)


def test_learnable_layer_behind_a_label_is_an_error() -> None:
    text = HEAD + fc("a", "data", "h", 3) + fc("z", "data", "fake", 1)
    text += 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "h" bottom: "fake" top: "l" }'
    with pytest.raises(GraphError, match="GC-N007") as caught:
        graphc.compile(build(text), train=True)
    assert caught.value.layer == "l"


def test_propagate_down_false_stops_the_gradient() -> None:
    text = HEAD + fc("a", "data", "h", 3) + fc("b", "h", "y", 3, "propagate_down: false")
    exe = graphc.compile(build(text + loss("y")), train=True)
    exe.forward(feeds())
    grads = exe.backward()
    assert not grads.params["a"][0].any()
    assert grads.params["b"][0].any()


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda exe: exe.backward({"nothing": 1}), "GC-R001"),
        (lambda exe: exe.backward({"loss": np.ones(3)}), "GC-R001"),
        (lambda exe: exe.backward({"loss": "x"}), "GC-R001"),
    ],
)
def test_bad_seeds(call: Callable[[graphc.Executable], object], code: str) -> None:
    exe = graphc.compile(build(HEAD + NETS["chain"]), train=True)
    with pytest.raises(GraphError, match="GC-R003"):
        exe.backward()
    exe.forward(feeds())
    with pytest.raises(GraphError, match=code):
        call(exe)
    with pytest.raises(GraphError, match="GC-R003"):
        graphc.compile(build(HEAD + NETS["chain"])).backward()


def test_values_have_names_of_their_own() -> None:
    """Though blobs and layers are called like gradients, seeds, aux values, and each other."""
    for name in ("names_like_ours", "layers_of_one_name", "shared_within_a_layer", "twins"):
        graph = differentiate(build(HEAD + NETS[name]))
        verify(graph, 2)


def gradient_parts(graph: Graph) -> set[str]:
    return {f"{n.name}.{n.part}" for n in graph.nodes if n.role is Role.GRAD and n.of is not None}


def test_only_what_somebody_needs_is_computed() -> None:
    text = HEAD + fc("a", "data", "h", 3) + fc("b", "h", "y", 3) + fc("c", "h", "z", 3) + loss("y")
    every = gradient_parts(differentiate(build(text)))
    assert {"a.dx", "c.dx", "c.dweight"} <= every  # z is an output, data an input
    learned = gradient_parts(differentiate(build(text), inputs=False, outputs=False))
    assert learned == {"loss.dx", "b.dx", "b.dweight", "b.dbias", "a.dweight", "a.dbias"}
    seeded = gradient_parts(differentiate(build(text), inputs=False, outputs=False, seeds=["z"]))
    assert seeded == learned | {"c.dx", "c.dweight", "c.dbias"}


def test_frozen_layers_below_are_left_out() -> None:
    frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
    text = HEAD + fc("a", "data", "h", 3, frozen) + fc("b", "h", "y", 3) + loss("y")
    parts = gradient_parts(differentiate(build(text), inputs=False))
    assert parts == {"loss.dx", "b.dweight", "b.dbias"}
    forced = gradient_parts(differentiate(build("force_backward: true " + text), inputs=False))
    assert {"a.dx", "a.dweight"} <= forced


def test_propagate_down_true_asks_for_what_nobody_needs() -> None:
    frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
    text = HEAD + fc("a", "data", "h", 3, f"{frozen} propagate_down: true") + loss("h")
    assert "a.dx" in gradient_parts(differentiate(build(text), inputs=False))


def test_the_refusal_of_a_bottom_that_cannot_learn() -> None:
    """A loss may stand on a label made by a layer, if the gradient is stopped there."""
    made = fc("z", "data", "fake", 1)
    refused = 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "h" bottom: "fake" top: "l" %s }'
    head = HEAD + fc("a", "data", "h", 3) + made
    stopped = build(head + refused % "propagate_down: true propagate_down: false")
    assert "z.dweight" not in gradient_parts(differentiate(stopped, outputs=False))
    frozen = fc("z", "data", "fake", 1, "param { lr_mult: 0 } param { lr_mult: 0 }")
    differentiate(build(HEAD + fc("a", "data", "h", 3) + frozen + refused % ""))


def test_a_silenced_blob_alone_gets_zeros() -> None:
    text = HEAD + fc("a", "data", "h", 3) + 'layer { name: "q" type: "Silence" bottom: "h" }'
    exe = graphc.compile(build(text), train=True, keep="all")
    exe.forward(feeds())
    grads = exe.backward()
    assert not grads.params["a"][0].any() and not grads.blobs["h"].any()
    assert grads.blobs["data"].shape == (3, 4) and not grads.blobs["data"].any()


def test_gradients_of_inputs_are_right() -> None:
    exe = graphc.compile(build(HEAD + NETS["in_place_on_the_input"]), train=True)
    x = feeds()
    exe.forward(x)
    found = exe.backward().blobs["data"]
    for index in ((0, 0), (2, 3)):
        ends = []
        for step in (1e-2, -1e-2):
            moved = x["data"].copy()
            moved[index] += step
            exe.forward(x | {"data": moved})
            ends.append(exe.loss())
        assert found[index] == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=5e-3, abs=1e-4)
