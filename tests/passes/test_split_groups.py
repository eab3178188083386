"""split_groups and merge_groups: a layer for each group, and one layer again."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from passes.low_rank_nets import layers_of
from texts import conv, feed, graph, layer

import graphc
from graphc.errors import GraphError
from graphc.front.export import to_prototxt
from graphc.front.schema import dialect
from graphc.ir.text import print_graph
from graphc.passes.low_rank import LowRank
from graphc.passes.merge_groups import MergeGroups
from graphc.passes.split_groups import SplitGroups

X = np.random.default_rng(5).standard_normal((2, 6, 9, 8)).astype(np.float32)
IN = feed(data=X.shape)
GEOMETRIES = {
    "plain": "kernel_size: 3 pad: 1",
    "stride": "kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 bias_term: false",
    "dilated": "kernel_size: 3 dilation: 2 pad: 2",
}
SPLIT = ["a_slice", "a_group0", "a_group1", "a_concat"]


def grouped(geometry: str = "plain", group: int = 2, more: str = "") -> graphc.Graph:
    told = f"num_output: 12 group: {group} {GEOMETRIES[geometry]} "
    told += 'weight_filler { type: "msra" } bias_filler { type: "gaussian" }'
    relu = layer("ReLU", "a", "a", name="relu")
    body = layer("Convolution", "data", "a", f"convolution_param {{ {told} }} {more}") + relu
    return graph(IN, body, conv("a", "y", 3))


def run(net: graphc.Graph, *passes: object, **words: object) -> tuple[graphc.Graph, list[str]]:
    made, report = graphc.optimize(net, passes, **{"measure": False, **words})  # type: ignore
    return made, [told for each in report.passes for told in each.detail]


def outputs(net: graphc.Graph) -> dict[str, np.ndarray]:
    return graphc.compile(net, passes=(), target="reference", keep=("a",)).run({"data": X})


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("group", [2, 3])
def test_split_and_merged_again(geometry: str, group: int) -> None:
    """Bit for bit the same outputs, and then the very graph."""
    bias = "param { lr_mult: 2 decay_mult: 0 }" * (geometry != "stride")
    net = grouped(geometry, group, "param { lr_mult: 3 }" + bias)
    made, told = run(net, SplitGroups())
    pieces = [f"a_group{at}" for at in range(group)]
    assert layers_of(made) == ["in", "a_slice", *pieces, "a_concat", "relu", "y"]
    assert told == [f"a becomes a_slice, {', '.join(pieces)}, a_concat"]
    assert all(made.node(name).attrs.group == 1 for name in pieces)
    for name, array in outputs(net).items():
        np.testing.assert_array_equal(outputs(made)[name], array)
    back, told = run(made, MergeGroups())
    assert told == [f"{', '.join(pieces)} become a"]
    text = print_graph(back, places=False).replace("a@a+1", "a@a")  # a version of another maker
    assert text == print_graph(net, places=False)
    for name, array in net.weights.items():
        np.testing.assert_array_equal(back.weights[name], array)
        assert not any(np.shares_memory(array, other) for other in made.weights.values())


def test_stock_caffe_reads_it() -> None:
    made, _ = run(grouped(), SplitGroups())
    message = text_format.Parse(to_prototxt(made), dialect("bvlc").new("NetParameter"))
    assert {"Slice", "Concat"} < {each.type for each in message.layer}
    again = graph(to_prototxt(made))
    assert layers_of(run(again, MergeGroups())[0]) == layers_of(grouped())


def test_each_group_is_then_a_layer_to_others() -> None:
    """cp takes no groups, and low_rank gives each its own rank."""
    net = grouped()
    net.params["a"][0][:6] = net.params["a"][0][:1]  # rank 1
    made, _ = run(net, SplitGroups(), LowRank(error=1e-6, when="always", layers=("a_.*",)))
    assert made.value("a_group0_lowrank").type.shape[1] == 1
    assert made.value("a_group1_lowrank").type.shape[1] == 6
    np.testing.assert_allclose(outputs(made)["y"], outputs(net)["y"], atol=1e-5)
    made, _ = run(net, SplitGroups(), LowRank("cp", rank=(2,), when="always", layers=("a_group1",)))
    assert {"a_group0", "a_group1_cpin", "a_group1_cpout"} < set(layers_of(made))


@pytest.mark.parametrize(
    ("net", "told"),
    [
        (grouped(group=6), ["a stays: it is depthwise"]),
        (graph(IN, conv("data", "a", 4), conv("a", "y", 3)), []),
    ],
)
def test_what_is_not_split(net: graphc.Graph, told: list[str]) -> None:
    made, detail = run(net, SplitGroups())
    assert detail == told and layers_of(made) == layers_of(net)


def test_shared_weights_and_layers_by_name() -> None:
    two = [
        layer("Convolution", x, y, 'param { name: "w" } convolution_param { num_output: 6 '
              "kernel_size: 1 group: 2 bias_term: false }")
        for x, y in (("data", "a"), ("a", "y"))
    ]  # fmt: skip
    assert run(graph(IN, *two), SplitGroups())[1] == [
        f"{name} stays: it shares its weights" for name in "ay"
    ]
    assert layers_of(run(grouped(), SplitGroups(layers=("a",)))[0])[1:5] == SPLIT
    with pytest.raises(GraphError, match="GC-T001: split_groups: 'y' names no layer"):
        run(grouped(), SplitGroups(layers=("y",)))


def test_others_are_no_groups() -> None:
    pieces = [
        layer("Slice", "data", "p q", name="cut"),
        conv("p", "b", 4, 1),
        conv("q", "c", 4, 1),
        layer("Concat", "b c", "y"),
    ]
    assert layers_of(run(graph(IN, *pieces), MergeGroups())[0]) == ["in", "b+c"]
    for at, other in (
        (2, conv("p", "c", 4, 1)),
        (2, conv("q", "c", 4, 1, "loss_weight: 1")),
        (2, layer("ReLU", "q", "c")),
        (1, conv("p", "b", 3, 1)),
        (3, layer("Concat", "c b", "y")),
        (3, layer("Concat", "b c", "y", "concat_param { axis: 2 }")),
        (0, layer("Slice", "data", "p q", "slice_param { axis: 2 slice_point: 4 }", name="cut")),
        (0, layer("Slice", "data", "p q", "slice_param { slice_point: 2 }", name="cut")),
        (3, layer("Concat", "b c", "y") + layer("ReLU", "b", "z")),
        (3, layer("Concat", "b c", "y") + layer("ReLU", "p", "z")),
    ):
        changed = [*pieces[:at], other, *pieces[at + 1 :]]
        try:
            net = graph(IN, *changed)
        except GraphError:  # such a net is none at all
            continue
        assert run(net, MergeGroups())[1] == []


def test_kept_blobs_and_gradients() -> None:
    made, _ = run(grouped(), SplitGroups())
    for words in ({"keep": ("a_slice0",)}, {"keep": ("a_group1",)}):
        assert run(made, MergeGroups(), **words)[1] == []
    for each in (SplitGroups(), MergeGroups()):
        assert run(grouped(), each, train=True)[1][0].startswith("off: ")
