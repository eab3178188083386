"""project_bilinear: inner products whose weights are sums of Kronecker products."""

import numpy as np
import pytest
from google.protobuf import text_format
from passes.low_rank_nets import X, net, outputs
from texts import fc, feed, layer

import graphc
from graphc.errors import GraphError
from graphc.front.export import to_prototxt
from graphc.front.schema import dialect
from graphc.passes.project_bilinear import ProjectBilinear

RNG = np.random.default_rng(3)
STOCK = {"Input", "Reshape", "InnerProduct", "Convolution", "Bias", "TanH"}


def planted(terms=2, more="", transpose=False):
    """y = W x, W a sum of so many products of 3 x 4 and 4 x 72 matrices."""
    field = "transpose: true" if transpose else ""
    plain = net(feed(data=X.shape), fc("data", "y", 12, more, field=field))
    a, b = RNG.standard_normal((terms, 3, 4)), RNG.standard_normal((terms, 4, 72))
    weight = sum(np.kron(left, right) for left, right in zip(a, b, strict=True)) / 10
    plain.params["y"][0][...] = weight.T if transpose else weight
    plain.params["y"][1][...] = RNG.standard_normal(12)
    return plain


def run(plain, **options):
    made, report = graphc.optimize(plain, [ProjectBilinear(**options)], measure=False)
    return made, report.passes[-1]


@pytest.mark.parametrize("transpose", [False, True])
def test_planted_terms(transpose):
    plain = planted(transpose=transpose)
    made, report = run(plain, error=1e-8)
    (change,) = report.layers
    assert change.decision == "2 of 12 terms, 3x4 by 4x72" and change.weight_error < 1e-6
    assert change.params == (12 * 288 + 12, 2 * (12 + 288) + 12)
    assert change.macs[1] == sum(map(graphc.count.macs, made.nodes)) < change.macs[0]
    for target in ("reference", "cpu"):
        found = graphc.compile(made, passes=(), target=target).run({"data": X})["y"]
        np.testing.assert_allclose(found, outputs(plain)["y"], rtol=0, atol=1e-4)


def test_what_is_cut_is_told():
    plain = planted(terms=3)
    made, report = run(plain, terms=1)
    change = report.layers[0]
    weight = plain.params["y"][0].astype(np.float64)
    from graphc.factor.kronecker import Kronecker

    left = Kronecker(weight, (3, 4), (4, 72)).left
    assert change.weight_error == pytest.approx(np.sqrt(left[1]))
    assert len(made.nodes) == 7


def test_stock_layers_under_the_old_name():
    plain = planted(more="loss_weight: 2")
    made, _ = run(plain, error=1e-8)
    names = [node.name for node in made.nodes[1:]]
    assert names == ["y_rows", "y_right", "y_terms", "y_left", "y_flat", "y_bias"]
    assert made.nodes[-1].loss == {"y": 2.0} and made.outputs[0].name == "y"
    message = text_format.Parse(to_prototxt(made), dialect("bvlc").new("NetParameter"))
    assert {each.type for each in message.layer} <= STOCK


def test_random_weights_do_not_pay():
    plain = net(feed(data=X.shape), fc("data", "y", 12), layer("TanH", "y", "z"))
    made, report = run(plain)
    assert not report.changed and "no fewer" in report.layers[0].reason
    made, report = run(plain, when="always", error=0.0)
    assert report.changed
    np.testing.assert_allclose(outputs(made)["z"], outputs(plain)["z"], atol=1e-5)


def test_vectors_are_cut_in_two():
    plain = net(feed(data=(2, 288)), fc("data", "y", 6))
    made, report = run(plain, when="always", error=0.0)
    assert report.layers[0].decision.endswith(", 2x3 by 16x18")
    x = {"data": X.reshape(2, 288)}
    old, new = (graphc.compile(g, passes=()).run(x)["y"] for g in (plain, made))
    np.testing.assert_allclose(new, old, atol=1e-4)


@pytest.mark.parametrize(
    ("more", "reason"),
    [("axis: 2", "it keeps an axis beside the batch")],
)
def test_what_stays(more, reason):
    plain = net(feed(data=X.shape), fc("data", "y", 6, field=more))
    _, report = run(plain)
    assert [c.reason for c in report.layers] == [reason]
    _, report = graphc.optimize(plain, [ProjectBilinear()], train=True)
    assert report.passes[-1].detail[0].startswith("off: ")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"error": 2.0}, "error is 2, expected 0 to 1"),
        ({"terms": 0}, "terms is 0, expected 1 or more"),
        ({"terms": 13}, "13 terms of 'y' are more than its 12"),
        ({"layers": ("z",)}, "'z' names no layer"),
    ],
)
def test_errors(options, told):
    with pytest.raises(GraphError, match="GC-T001") as caught:
        run(planted(), **options)
    assert told in caught.value.message
    odd = planted()
    odd.params["y"][0][0, 0] = np.inf
    with pytest.raises(GraphError, match="not finite"):
        run(odd)
