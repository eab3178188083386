"""autodiff against finite differences of whole networks, and Caffe's rules on what it skips."""

from collections.abc import Callable

import numpy as np
import pytest

import graphc
from graphc.errors import GraphError
from graphc.front import parse_net
from graphc.ir.graph import Graph

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


def numeric(exe: graphc.Executable, array: np.ndarray, step: float = 1e-2) -> np.ndarray:
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
}


@pytest.mark.parametrize("name", NETS)
def test_whole_net_gradients(name: str) -> None:
    exe = graphc.compile(build(HEAD + NETS[name]), train=True)
    exe.forward(feeds())
    grads = exe.backward()
    for layer, blobs in exe.params.items():
        for index, blob in enumerate(blobs):
            expected = numeric(exe, blob)
            np.testing.assert_allclose(grads.params[layer][index], expected, rtol=5e-3, atol=2e-4)
            assert np.abs(expected).max() > 1e-4


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
