"""BilinearProjection is the inner product by its Kronecker products, and is trained like one."""

import numpy as np
import pytest
from texts import feed, graph, layer

import graphc
from graphc.errors import GraphError
from graphc.ops.bilinear_projection import BilinearProjection

RNG = np.random.default_rng(0)


def net(told="in_h: 3 in_w: 4 out_h: 2 out_w: 5 rank: 2", data=(6, 3, 2, 2)):
    xavier = 'weight_filler { type: "xavier" } bias_filler { type: "gaussian" }'
    more = f"bilinear_param {{ {told} {xavier} }}"
    return graph(feed(data=data), layer("BilinearProjection", "data", "y", more))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_it_is_the_inner_product_by_kronecker_products(bias, target):
    plain = net(f"in_h: 3 in_w: 4 out_h: 2 out_w: 5 rank: 2 bias_term: {str(bias).lower()}")
    a, b, *rest = plain.params["y"]
    assert a.shape == (2, 3, 2, 1) and b.shape == (10, 4)
    weight = sum(np.kron(a[:, :, r, 0], b[5 * r : 5 * r + 5]) for r in range(2))
    x = RNG.standard_normal((6, 3, 2, 2)).astype(np.float32)
    expected = x.reshape(6, 12) @ weight.T + (rest[0] if bias else 0)
    found = graphc.compile(plain, target=target).run({"data": x})["y"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max() * 4)


def test_its_layers_are_stock_ones():
    made, report = graphc.optimize(net(), [])
    types = [node.op.type for node in made.nodes]
    assert types == [
        "Input",
        "Reshape",
        "InnerProduct",
        "Reshape",
        "Convolution",
        "Reshape",
        "Bias",
    ]
    assert report.passes[0].name == "expand"


def test_it_is_trained():
    """Slopes of both factors and the bias are those of finite differences."""
    text = (
        feed(data=(4, 6), label=(4,)),
        layer("BilinearProjection", "data", "y", "bilinear_param { in_h: 2 in_w: 3 out_h: 2 "
              'out_w: 2 rank: 2 weight_filler { type: "gaussian" } }'),
        layer("SoftmaxWithLoss", "y label", "loss"),
    )  # fmt: skip
    x, label = RNG.standard_normal((4, 6)), RNG.integers(0, 4, 4)
    inputs = {"data": x.astype(np.float32), "label": label.astype(np.float32)}
    report = graphc.check_grad(graph(*text), inputs=inputs, target="reference")
    assert report.ok and {"y/left/0", "y/right/0", "y/bias/0"} <= {
        blob.blob for blob in report.blobs
    }


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("in_h: 3 in_w: 5 out_h: 2 out_w: 5", "GC-S002"),
        ("in_h: 0 in_w: 5 out_h: 2 out_w: 5", "GC-N008"),
        ("in_h: 3 in_w: 4 out_h: 2", "GC-N008"),
        ("in_h: 3 in_w: 4 out_h: 2 out_w: 5 rank: 0", "GC-N008"),
    ],
)
def test_errors(told, code):
    with pytest.raises(GraphError, match=code):
        net(told)


def test_one_axis_is_none_too_many():
    with pytest.raises(GraphError, match="GC-S002"):
        net(data=(12,))
    assert BilinearProjection.samples
