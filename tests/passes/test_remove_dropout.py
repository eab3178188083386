"""remove_dropout: before and after in the IR's text form."""

import numpy as np
from passes.before_after import check
from texts import fc, feed, graph, layer

import graphc
from graphc.passes.remove_dropout import RemoveDropout

HEAD = """
net "n"
layer "in" Input
  attr shape=(BlobShape(dim=(2, 3)))
  top y0 "data" f32[2,3]
"""
TAIL = """
layer "end" TanH
  in x "drop"
  top y "y" f32[2,3]
output "y"
"""


def test_between_layers():
    before = f"""{HEAD}
layer "drop" Dropout
  in x "data"
  top y "drop" f32[2,3]
{TAIL}"""
    expected = f"""{HEAD}
layer "end" TanH
  in x "data"
  top y "y" f32[2,3]
output "y"
"""
    assert check(RemoveDropout(), before, expected).detail == ("removed drop",)


def test_an_output_takes_its_name_along():
    before = f"""{HEAD}
layer "t" TanH
  in x "data"
  top y "t" f32[2,3]
layer "drop" Dropout
  in x "t"
  top y "drop" f32[2,3]
output "drop"
"""
    expected = f"""{HEAD}
layer "t" TanH
  in x "data"
  top y "drop" f32[2,3]
output "drop"
"""
    check(RemoveDropout(), before, expected)


def test_in_place_between_others():
    before = f"""{HEAD}
layer "fc" TanH
  in x "data"
  top y "fc@fc" f32[2,3]
layer "drop" Dropout
  in x "fc@fc"
  top y "fc@drop" f32[2,3]
layer "relu" ReLU
  in x "fc@drop"
  top y "fc" f32[2,3]
output "fc"
"""
    expected = f"""{HEAD}
layer "fc" TanH
  in x "data"
  top y "fc@fc" f32[2,3]
layer "relu" ReLU
  in x "fc@fc"
  top y "fc" f32[2,3]
output "fc"
"""
    check(RemoveDropout(), before, expected)


def test_last_in_place():
    before = f"""{HEAD}
layer "fc" TanH
  in x "data"
  top y "drop@fc" f32[2,3]
layer "drop" Dropout
  in x "drop@fc"
  top y "drop" f32[2,3]
{TAIL}"""
    expected = f"""{HEAD}
layer "fc" TanH
  in x "data"
  top y "drop" f32[2,3]
{TAIL}"""
    check(RemoveDropout(), before, expected)


def test_training_dropout_stays():
    text = f"""{HEAD}
layer "drop" Dropout phase=TRAIN
  in x "data"
  top y "drop" f32[2,3]
{TAIL}"""
    assert check(RemoveDropout(), text, text).detail == ()


def test_between_input_and_output():
    text = f"""{HEAD}
layer "drop" Dropout
  in x "data"
  top y "drop" f32[2,3]
output "drop"
"""
    report = check(RemoveDropout(), text, text)
    assert report.detail == ("drop stays: a name or a loss needs it",)


def test_a_pinned_blob_survives_under_its_name():
    before = f"""{HEAD}
layer "t" TanH
  in x "data"
  top y "t" f32[2,3]
layer "drop" Dropout
  in x "t"
  top y "drop" f32[2,3]
{TAIL}"""
    expected = f"""{HEAD}
layer "t" TanH
  in x "data"
  top y "drop" f32[2,3]
{TAIL}"""
    check(RemoveDropout(), before, expected, "drop")
    check(RemoveDropout(), before, before, "drop", "t")


def test_a_loss_weight_is_not_lost():
    text = f"""{HEAD}
layer "drop" Dropout
  in x "data"
  top y "drop" f32[2,3]
  loss y 2.0
{TAIL}"""
    check(RemoveDropout(), text, text)


def test_a_stopped_gradient_stays_stopped():
    text = f"""{HEAD}
layer "drop" Dropout
  in x "data"
  top y "drop" f32[2,3]
  propagate (false)
{TAIL}"""
    check(RemoveDropout(), text, text)


def test_numbers():
    net = graph(
        feed(data=(4, 6)),
        fc("data", "a", 5),
        layer("Dropout", "a", "a", "dropout_param { dropout_ratio: 0.9 }", name="d1"),
        layer("ReLU", "a", "a", name="r"),
        layer("Dropout", "a", "b", name="d2"),
        fc("b", "c", 3),
        layer("Dropout", "c", "y", name="d3"),
    )
    feeds = {"data": np.random.default_rng(0).normal(size=(4, 6))}
    plain = graphc.compile(net, passes=(), keep="all").run(feeds)
    short_net = graphc.compile(net, passes=["remove_dropout"], keep="all")
    short = short_net.run(feeds)
    assert [n.op.type for n in short_net.graph.nodes] == [
        "Input",
        "InnerProduct",
        "ReLU",
        "InnerProduct",
    ]
    assert set(short) == {"data", "a@a", "a", "y"}
    for name, array in short.items():
        np.testing.assert_array_equal(array, plain[name])
