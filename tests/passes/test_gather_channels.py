"""gather_channels: 1x1 convolutions that only copy channels, without a multiply-add."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from passes.low_rank_nets import X, cut, layers_of, net, outputs
from texts import conv, feed, layer

import graphc
from graphc.count import macs
from graphc.front.export import to_prototxt
from graphc.front.schema import dialect
from graphc.passes.gather_channels import GatherChannels

ALWAYS = GatherChannels(when="always")
IN = feed(data=X.shape)


def run(plain: graphc.Graph, each: GatherChannels = ALWAYS, **words: Any):
    made, report = graphc.optimize(plain, [each], **{"measure": False, **words})
    return made, report.passes[-1].detail


def copying(source: list[int], bias: bool = True, group: int = 1) -> graphc.Graph:
    """x of 4 channels, copied to where `source` says, then read."""
    told = f"num_output: {len(source)} kernel_size: 1 group: {group} bias_term: {str(bias).lower()}"
    plain = net(IN, layer("Convolution", "data", "c", f"convolution_param {{ {told} }}"),
                conv("c", "y", 3))  # fmt: skip
    weight = plain.params["c"][0].reshape(len(source), -1)
    weight[...] = np.eye(4)[source][:, : weight.shape[1]]
    if group > 1:
        depth = 4 // group
        for at, row in enumerate(weight):
            row[...] = np.eye(depth)[source[at] % depth]
    if bias:
        plain.params["c"][1][...] = np.arange(len(source)) - 2
    return plain


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("source", "points"),
    [([2, 0, 1, 3, 3, 0], (1, 2, 3)), ([2, 3, 0, 1, 2, 3], (2,)), ([1, 2, 3, 0], (1,)),
     ([0, 1, 2, 3], None), ([0, 1, 2, 3, 0, 1, 2, 3], None)],
)  # fmt: skip
def test_the_copies_are_the_convolution(source, points, bias):
    plain = copying(source, bias)
    made, (told,) = run(plain)
    wanted = ["c_slice"] * (points is not None) + ["c_gather"] + ["c_bias"] * bias
    assert layers_of(made) == ["in", *wanted, "y"] and told == f"c becomes {', '.join(wanted)}"
    if points is not None:
        assert made.node("c_slice").attrs.slice_point == points
    assert macs(plain.node("c")) and sum(map(macs, made.nodes)) == macs(made.node("y"))
    for name, array in outputs(plain, keep=("c",)).items():
        np.testing.assert_array_equal(outputs(made, keep=("c",))[name], array)
    message = text_format.Parse(to_prototxt(made), dialect("bvlc").new("NetParameter"))
    assert {each.type for each in message.layer} <= {*("Input", "Slice", "Concat", "Bias"),
                                                     "Convolution"}  # fmt: skip


def test_of_groups():
    plain = copying([1, 0, 1, 3, 2, 2], group=2)
    made, _ = run(plain)
    assert layers_of(made) == ["in", "c_slice", "c_gather", "c_bias", "y"]
    np.testing.assert_array_equal(outputs(made)["y"], outputs(plain)["y"])


def test_planted_clusters_cost_no_combination():
    """What k-means makes of filters of four kinds: four filters, copied."""
    plain = net()
    weight = plain.params["a"][0]
    weight[...] = weight[np.arange(12) * 5 % 4]
    made, _ = cut(plain, method="kmeans", rank=(4,), layers=("a",))
    less, _ = run(made)
    assert layers_of(less)[1:5] == [
        "a_lowrank",
        *(f"a_linear_{s}" for s in ("slice", "gather", "bias")),
    ]
    for name, array in outputs(made).items():
        np.testing.assert_array_equal(outputs(less)[name], array)
        np.testing.assert_allclose(array, outputs(plain)[name], rtol=0, atol=1e-5)
    saved = macs(made.node("a_linear"))
    assert saved and sum(map(macs, less.nodes)) == sum(map(macs, made.nodes)) - saved
    assert less.params["a_linear_bias"][0].shape == (12,)
    assert [v.lr_mult for v in less.node("a_linear_bias").params.values()] == [2]


def test_what_stays():
    assert run(copying([0, 1, 2, 0]))[1] == ("c stays: nothing reads channel 3 of its bottom",)
    for change in (2.0, np.nan, 0.0):
        plain = copying([3, 2, 1, 0])
        plain.params["c"][0].reshape(4, 4)[1, 2] = change
        assert run(plain)[1] == ()
    two = copying([3, 2, 1, 0])
    two.params["c"][0].reshape(4, 4)[1, 0] = 1
    assert run(two)[1] == ()
    told = "convolution_param { num_output: 4 kernel_size: 1 stride: 2 }"
    strided = net(IN, layer("Convolution", "data", "c", told))
    strided.params["c"][0][...] = np.eye(4).reshape(4, 4, 1, 1)
    assert run(strided)[1] == ()
    assert run(copying([1, 0, 2, 3]), train=True)[1][0].startswith("off: ")


@pytest.mark.parametrize(("after", "pays"), [(900.0, True), (1000.0, False)])
def test_it_is_timed_first(after, pays):
    times = iter([1000.0, after])
    ctx = SimpleNamespace(pinned=frozenset(), train=False, time_us=lambda g: next(times))
    plain = copying([1, 0, 2, 3], False)
    report = GatherChannels().run(plain, ctx)
    assert report.changed is pays
    assert ("c_gather" in layers_of(plain)) is pays
    assert "1.00 ms before" in report.detail[0]
