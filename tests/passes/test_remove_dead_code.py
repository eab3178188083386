"""remove_dead_code: before and after in the IR's text form."""

import numpy as np
from passes.before_after import check
from texts import fc, feed, graph, layer, softmax_loss

import graphc
from graphc.passes.remove_dead_code import RemoveDeadCode

HEAD = """
net "n"
layer "in" Input
  attr shape=(BlobShape(dim=(2, 3)))
  top y0 "data" f32[2,3]
  top y1 "unread" f32[2,3]
"""
LIVE = """
layer "live" TanH
  in x "data"
  top y "y" f32[2,3]
output "y"
"""


def dead(more: str = "", type_: str = "Sigmoid", header: str = "") -> str:
    return f"""
layer "dead" {type_} {header}
  in x "data"
  top y "dead" f32[2,3]
{more}"""


def test_a_chain_nobody_reads():
    before = f"""{HEAD}
layer "a" InnerProduct
  attr num_output=4
  in x "data"
  param weight "a:weight" f32[4,3] out_axis=0 in_axis=1
  param bias "a:bias" f32[4] out_axis=0
  top y "a" f32[2,4]
layer "b" ReLU
  in x "a"
  top y "b" f32[2,4]
{LIVE}"""
    report = check(RemoveDeadCode(), before, HEAD + LIVE)
    assert report.detail == ("removed a (InnerProduct)", "removed b (ReLU)")


def test_a_silenced_chain():
    before = f"""{HEAD}{dead()}
layer "hush" Silence
  in x0 "dead"
{LIVE}"""
    check(RemoveDeadCode(), before, HEAD + LIVE)


def test_half_of_a_layer_keeps_it():
    text = f"""{HEAD}
layer "two" Split
  in x "data"
  top y0 "a" f32[2,3]
  top y1 "b" f32[2,3]
output "b"
"""
    check(RemoveDeadCode(), text, text)


def test_what_stays():
    for more in ("  loss y 0.5", ""):
        text = HEAD + dead(more) + LIVE
        expected = text if more else HEAD + LIVE
        check(RemoveDeadCode(), text, expected)
    check(RemoveDeadCode(), HEAD + dead() + LIVE, HEAD + dead() + LIVE, "dead")


def test_random_numbers_are_no_reason_to_stay():
    before = HEAD + dead(type_="Dropout", header="phase=TRAIN") + LIVE
    check(RemoveDeadCode(), before, HEAD + LIVE)


def test_statistics_are():
    norm = """  param mean "m" f32[3] kind=STATE out_axis=0
  param variance "v" f32[3] kind=STATE out_axis=0
  param factor "f" f32[1] kind=STATE
"""

    def text(phase: str) -> str:
        return f"""{HEAD}
layer "dead" BatchNorm phase={phase}
  in x "data"
{norm}  top y "dead" f32[2,3]
{LIVE}"""

    check(RemoveDeadCode(), text("TRAIN"), text("TRAIN"))
    check(RemoveDeadCode(), text("TEST"), HEAD + LIVE)


def test_a_view_survives_its_owner():
    named = 'param { name: "w" share_mode: PERMISSIVE } param { }'
    net = graph(
        feed(data=(2, 3), more=(2, 6)),
        fc("data", "a", 4, named),
        fc("more", "b", 2, named),
        layer("Silence", "a", name="hush"),
    )
    feeds = {"data": np.ones((2, 3)), "more": np.arange(12.0).reshape(2, 6)}
    plain = graphc.compile(net, target="reference", passes=()).run(feeds)
    exe = graphc.compile(net, passes=["remove_dead_code"], train=True, target="reference")
    np.testing.assert_array_equal(exe.run(feeds)["b"], plain["b"])
    assert list(exe.params) == ["b"]
    assert exe.backward({"b": np.ones((2, 2))}).params["b"][0].shape == (2, 6)


def test_the_loss_keeps_its_value():
    net = graph(
        feed(data=(4, 3), label=(4,)),
        fc("data", "y", 3),
        softmax_loss("y"),
        layer("Silence", "loss", name="hush"),
        layer("Accuracy", "y label", "acc"),
        layer("Silence", "acc", name="hush2"),
        phase="TRAIN",
    )
    feeds = {"data": np.ones((4, 3)), "label": np.arange(4) % 3}
    losses = []
    for passes in ((), ["remove_dead_code"]):
        exe = graphc.compile(net, passes=passes)
        exe.run(feeds)
        losses.append(exe.loss())
    assert losses[0] == losses[1] > 0
    assert [n.op.type for n in exe.graph.nodes] == ["Input", "InnerProduct", "SoftmaxWithLoss"]
