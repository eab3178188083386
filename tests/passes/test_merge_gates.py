"""merge_gates: gates go into weights, so that stock Caffe reads what comes out."""

from __future__ import annotations

import re

import numpy as np
import pytest
from passes.before_after import close
from passes.removal_nets import FILLERS, UNIFORM, filled
from texts import feed, graph, layer

import graphc
from graphc.front.export import to_prototxt
from graphc.passes.remove_filters import RemoveFilters
from graphc.services import sample_inputs

IN = feed(data=(2, 3, 5, 5))
GATE = f"gate_param {{ filler {UNIFORM} }}"


def conv(x: str, y: str, n: int = 4, more: str = "") -> str:
    told = f"num_output: {n} kernel_size: 3 pad: 1 {FILLERS}"
    return layer("Convolution", x, y, f"convolution_param {{ {told} }} {more}")


def gate(x: str, y: str = "", more: str = GATE) -> str:
    return layer("Gate", x, y or x, more, name=f"{x}/gate")


def types(net: graphc.Graph) -> list[str]:
    return [node.op.type for node in net.nodes]


def run(net: graphc.Graph) -> dict[str, np.ndarray]:
    with graphc.compile(net, target="reference", passes=()) as exe:
        return exe.forward(sample_inputs(net))


def merged(text: str, seed: int = 1, negative: bool = True, **words):
    """What the pass makes of a net, after outputs were compared; and what it says."""
    net = filled(text, seed)
    for name, array in net.weights.items():
        if "gate:weight" in name and negative:
            array[::2] *= -1
    less, report = graphc.optimize(net, ["merge_gates"], measure=True, **words)
    for name, array in run(net).items():
        close(run(less)[name], array, name)
    return less, report.passes[-1]


def test_into_the_convolution_before():
    less, record = merged(IN + conv("data", "a") + gate("a") + conv("a", "b"))
    assert types(less) == ["Input", "Convolution", "Convolution"]
    assert record.detail == ("a takes in a/gate",)


def test_with_the_normalization_between_them():
    norm = layer("BatchNorm", "a", "a", name="bn") + layer("Scale", "a", "a", name="scale")
    less, _ = merged(IN + conv("data", "a") + norm + gate("a") + conv("a", "b"))
    assert types(less) == ["Input", "Convolution", "Convolution"]


def test_past_an_activation_it_goes_forward_with_any_sign():
    relu = layer("ReLU", "a", "a", name="relu")
    less, record = merged(IN + conv("data", "a") + relu + gate("a") + conv("a", "b"))
    assert types(less) == ["Input", "Convolution", "ReLU", "Convolution"]
    assert record.detail == ("b takes in a/gate",)


def test_a_mask_shuts_channels():
    net = filled(IN + conv("data", "a") + gate("a") + conv("a", "b"), 2)
    net.weights["a/gate:mask"][1] = 0
    less, _ = graphc.optimize(net, ["merge_gates"])
    assert not less.weights["a:weight"][1].any() and less.weights["a:weight"][0].any()
    close(run(less)["b"], run(net)["b"])


@pytest.mark.parametrize(
    "text",
    [
        layer("ReLU", "data", "a") + gate("a") + layer("TanH", "a", "b"),
        conv("data", "a") + gate("a", "g") + layer("ReLU", "a", "b") + layer("ReLU", "g", "c"),
        conv("data", "a", 4, 'param { name: "w" }') + gate("a") + layer("ReLU", "a", "r")
        + conv("data", "c", 4, 'param { name: "w" }'),
    ],
)  # fmt: skip
def test_one_that_is_left_becomes_a_scale(text):
    """Activations on both sides, several readers, shared weights."""
    less, record = merged(IN + text)
    assert "Gate" not in types(less) and "Scale" in types(less)
    assert record.detail == ("a/gate become Scale a/gate",)


def test_a_new_gate_is_open():
    net = graph(IN + gate("data", "y", more=""))
    x = {"data": np.random.default_rng(1).standard_normal((2, 3, 5, 5)).astype(np.float32)}
    for target in ("reference", "cpu"):
        found = graphc.compile(net, target=target, passes=()).run(x)["y"]
        np.testing.assert_array_equal(found, x["data"])


def test_where_the_layer_before_has_other_readers_it_goes_forward():
    less, _ = merged(IN + conv("data", "a") + gate("a", "g") + conv("a", "b") + conv("g", "c"))
    assert types(less) == ["Input", "Convolution", "Convolution", "Convolution"]


def test_in_phase_train_gates_stay():
    text = IN + conv("data", "a") + gate("a", more=GATE + " include { phase: TRAIN }")
    net = graph(text, phase="TRAIN")
    less, report = graphc.optimize(net, ["merge_gates"], measure=False)
    assert types(less)[-1] == "Gate" and "phase TRAIN" in report.passes[-1].detail[0]
    _, report = graphc.optimize(net, ["merge_gates"], train=True)
    assert report.passes[-1].detail[0].startswith("off: ")


@pytest.mark.parametrize("name", ["resnet20", "resnet56"])
def test_a_gated_residual_network(root, name):
    """A gate behind every normalization; nothing of either is left, and half of it goes."""
    path = root / "models" / name / "deploy.prototxt"
    if not path.exists():
        pytest.skip("models/ is not in the installed package")
    plain = graphc.load(path)
    text = re.sub(r"^#.*\n", "", to_prototxt(plain), flags=re.M)
    scales = [n for n in plain.nodes if n.op.type == "Scale"]
    pieces = re.split(r"(?m)^(?=layer \{)", text)
    made = []
    for piece in pieces:
        made.append(piece)
        title = re.search(r'^  name: "(.*)"', piece, re.M)
        if title and title[1] in {n.name for n in scales}:
            blob = re.search(r'top: "(.*)"', piece)[1]
            made.append(layer("Gate", blob, blob, GATE, name=f"{title[1]}/gate"))
    net = filled("".join(made), 7)
    assert types(net).count("Gate") == len(scales) > 0
    less, _ = graphc.optimize(net, ["merge_gates"], measure=False)
    assert not {"Gate", "Scale", "BatchNorm"} & set(types(less))
    plain, merged = run(net), run(less)
    for array, other in zip(plain.values(), merged.values(), strict=True):
        close(other, array, name, 1e-5)
    passes = ["merge_gates", RemoveFilters(macs=0.5)]
    smaller, record = graphc.optimize(net, passes, measure=False)
    assert record.passes[-1].changed and set(types(smaller)) == set(types(less))
