"""channel_groups: what can only be removed together."""

from __future__ import annotations

import pytest
from texts import conv, fc, feed, graph, layer

import graphc
from graphc.channels import channel_groups, filters
from graphc.errors import GraphError

IN = feed(data=(2, 3, 4, 4))


def groups(*layers: str) -> list[tuple[int, str, str]]:
    """(channels, filters of, read by) of each group that may go."""
    found = channel_groups(graph(IN, *layers)).groups
    return [(len(g.classes), " ".join(g.layers), " ".join(g.readers)) for g in found if not g.why]


def test_a_layer_and_its_reader():
    assert groups(conv("data", "a", 5), fc("a", "y", 2)) == [(5, "a", "y")]


def test_outputs_and_inputs_stay():
    found = channel_groups(graph(IN, conv("data", "a", 5)))
    assert [g.why for g in found.groups] == ["'a' is an output"]
    net = graph(IN, conv("data", "a", 5), conv("a", "b", 4, 1), fc("b", "y", 2))
    whys = [g.why for g in channel_groups(net, pinned={"a"}).groups]
    assert whys == ["'a' is kept", "", "'y' is an output"]


def test_concat_keeps_branches_apart():
    branches = [conv("data", "a", 5), conv("data", "b", 4), layer("Concat", "a b", "c")]
    assert groups(*branches, fc("c", "y", 2)) == [(5, "a", "y"), (4, "b", "y")]


def test_a_blob_twice_in_a_concat():
    net = [conv("data", "a", 5), layer("Concat", "a a", "c"), conv("c", "d", 3, 1), fc("d", "y", 2)]
    found = channel_groups(graph(IN, *net))
    assert [dict((v.name, n) for (v, _), n in g.axes)["c"] for g in found.groups[:1]] == [2]
    assert groups(*net) == [(5, "a", "d"), (3, "d", "y")]


def test_slices_are_groups_of_their_own():
    net = [conv("data", "a", 6), layer("Slice", "a", "b c", "slice_param { slice_point: 2 }")]
    assert groups(*net, fc("b", "y", 2), fc("c", "z", 2)) == [(2, "a", "y"), (4, "a", "z")]


def test_a_residual_sum_unites():
    net = [
        conv("data", "a", 5, 1), conv("a", "b", 5, 1), layer("Eltwise", "a b", "c"),
        layer("ReLU", "c", "c"), fc("c", "y", 2),
    ]  # fmt: skip
    assert groups(*net) == [(5, "a b", "b y")]


def test_depthwise_goes_with_its_input():
    more = "convolution_param { num_output: 10 kernel_size: 1 group: 5 }"
    net = [conv("data", "a", 5), layer("Convolution", "a", "b", more), fc("b", "y", 2)]
    found = channel_groups(graph(IN, *net)).groups[0]
    assert found.layers == ("a", "b") and len(found.classes) == 5
    assert dict((v.name, n) for (v, _), n in found.axes)["b"] == 2


def test_groups_must_stay_equal():
    more = "convolution_param { num_output: 4 kernel_size: 1 group: 2 }"
    net = [conv("data", "a", 6), layer("Convolution", "a", "b", more), fc("b", "y", 2)]
    assert groups(*net) == [(6, "a", "b"), (4, "b", "y")]
    assert {n.name for n, _, _ in channel_groups(graph(IN, *net)).balances} == {"b"}


def test_shared_weights_unite():
    more = 'param { name: "w" } param { name: "v" }'
    net = [conv("data", "a", 5, 1, more), conv("data", "b", 5, 1, more)]
    assert groups(*net, fc("a", "y", 2), fc("b", "z", 2)) == [(5, "a b", "y z")]


def test_units_of_a_recurrent_layer():
    net = graph(
        feed(data=(3, 2, 4), cont=(3, 2)),
        layer("LSTM", "data cont", "h", "recurrent_param { num_output: 5 }"),
        fc("h", "y", 2, field="axis: 2"),
    )
    (units, *_) = channel_groups(net).groups
    assert (len(units.classes), units.layers, units.readers) == (5, ("h",), ("h", "y"))
    assert dict((v.name, n) for (v, _), n in units.axes)["h:W_xc"] == 4
    assert len(filters(channel_groups(net), "h")) == 5


def test_names_without_filters():
    found = channel_groups(graph(IN, conv("data", "a", 5), layer("ReLU", "a", "r")))
    with pytest.raises(GraphError, match="GC-R002: no layer 'r' with filters") as error:
        filters(found, "r")
    assert error.value.code == "GC-R002"


def test_residual_network_of_the_gate_decorator(root):
    """2128 filters less the 96 of projections; 28 layers that sums and padded shortcuts couple."""
    path = root / "models" / "resnet56" / "deploy.prototxt"
    if not path.exists():
        pytest.skip("models/ is not in the installed package")
    net, _ = graphc.optimize(graphc.load(path), [], measure=False)
    channels = channel_groups(net)
    found = [g for g in channels.groups if not g.why]
    inner = [g for g in found if len(g.layers) == 1]
    assert sum(len(filters(channels, name)) for g in found for name in g.layers) == 2128 - 96
    assert [len(g.classes) for g in inner] == [16] * 9 + [32] * 9 + [64] * 9
    assert [len(g.layers) for g in found if g not in inner] == [28]
