"""What became of each layer: fused, a view, in place; and what its call costs."""

from __future__ import annotations

from pathlib import Path

import pytest
from texts import conv, fc, feed, graph, layer, softmax_loss

from graphc import _core
from graphc.costs import Costs
from graphc.count import macs
from graphc.ir.op import Trait
from graphc.lower import cpu
from graphc.lowering import REORDER, Lowering
from graphc.memory import lowered

MODELS = Path(__file__).parent.parent / "models"
SHAPE = (2, 4, 6, 6)
RESIDUAL = (
    feed(data=SHAPE),
    conv("data", "a", 4, 1),
    layer("ReLU", "a", "a", name="relu_a"),
    conv("a", "b", 4, 1),
    layer("Eltwise", "b a", "sum"),
    layer("ReLU", "sum", "sum", name="relu_sum"),
    fc("sum", "y", 3),
)


def calls(low: Lowering, entry: str = "forward") -> dict[str, int]:
    """Position of a call by its name."""
    return {low.call(step).name: at for at, step in enumerate(low.steps(entry))}


def test_fused_layers_are_told_in_order() -> None:
    low = lowered(graph(*RESIDUAL))
    told = {
        low.call(s).name: [n.name for n in low.fused(low.call(s))] for s in low.steps("forward")
    }
    assert told == {"a": ["relu_a"], "b": ["sum", "relu_sum"], "y": []}
    packing = [low.call(step) for step in low.steps("prepare")]
    assert packing and not any(map(low.fused, packing)) and not any(map(low.node, packing))


def test_what_is_kept_is_not_fused() -> None:
    low = lowered(graph(*RESIDUAL), keep="all")
    assert list(calls(low)) == ["a", "relu_a", "b", "sum", "relu_sum", "y"]
    assert not any(low.fused(low.call(step)) for step in low.steps("forward"))


def test_nothing_is_fused_on_target_model() -> None:
    low = lowered(graph(*RESIDUAL), target="model")
    assert len(low.steps("forward")) == 6
    assert not any(low.fused(low.call(step)) for step in low.steps("forward"))


def test_what_is_done_in_place() -> None:
    low = lowered(graph(*RESIDUAL), target="model")
    steps, at = low.steps("forward"), calls(low)
    assert [(w.role, r.role) for w, r in low.in_place(steps[at["relu_a"]])] == [("y", "x")]
    assert [(w.role, r.role) for w, r in low.in_place(steps[at["sum"]])] == [("y", "x0")]
    assert low.in_place(steps[at["a"]]) == ()
    net = graph(
        feed(data=SHAPE),
        conv("data", "s", 4, 1),
        conv("data", "a", 4, 1),
        conv("a", "b", 4, 1),
        layer("Eltwise", "b s", "y"),
    )
    fused = lowered(net)
    (pair,) = fused.in_place(fused.steps("forward")[calls(fused)["b"]])
    assert [operand.role for operand in pair] == ["y0", "residual"]


def test_layers_that_are_views() -> None:
    low = lowered(
        graph(
            feed(data=SHAPE),
            conv("data", "a", 2, 1),
            conv("data", "b", 3, 1),
            layer("Concat", "a b", "c"),
            layer("Flatten", "c", "f"),
            layer("Slice", "c", "s0 s1", "slice_param { slice_point: 1 }"),
            fc("f", "y", 3),
            conv("s0", "z", 1, 1),
            conv("s1", "w", 1, 1),
        )
    )
    plane = 4 * 6 * 6
    told = {views.node.name: (views.root, dict(views.members)) for views in low.views()}
    assert told == {
        "c": ("c", {"a": 0, "b": 2 * plane}),
        "f": ("c", {"f": 0}),
        "s0": ("c", {"s0": 0, "s1": plane}),
    }
    assert low.program.root(low.program.values["s1"]).name == "c"


def test_a_concat_of_inputs_is_called() -> None:
    low = lowered(graph(feed(x=SHAPE, z=SHAPE), layer("Concat", "x z", "c"), conv("c", "y", 2, 1)))
    copies = [low.call(step) for step in low.steps("forward")][:2]
    assert {low.graph.nodes[call.node].name for call in copies} == {"c"}
    assert [low.macs(call) for call in copies] == [0, 0]
    assert list(low.views()) == []


@pytest.mark.parametrize("target", ["cpu", "model"])
def test_multiply_adds_are_those_of_the_layers(target: str) -> None:
    low = lowered(graph(*RESIDUAL), target=target)
    found = sum(low.macs(low.call(step)) for step in low.steps("forward"))
    assert found == sum(map(macs, low.graph.forward_nodes())) == 2 * (2 * 4 * 4 * 36 + 3 * 144)


def test_multiply_adds_of_gradients() -> None:
    net = graph(feed(data=(2, 5), label=(2,)), fc("data", "y", 3), softmax_loss("y"))
    low = lowered(net, train=True)
    found = {
        (low.call(s).name, low.call(s).part): low.macs(low.call(s))
        for s in low.steps("backward")
        if low.call(s).part != "update"
    }
    assert found == {("loss", "dx"): 0, ("y", "dweight+SGD"): 2 * 5 * 3, ("y", "dbias"): 0}


def test_bytes_are_those_of_the_elements_each_buffer_once() -> None:
    twice = layer("Eltwise", "data data", "y", "eltwise_param { operation: PROD }")
    low = lowered(graph(feed(data=(2, 3)), twice))
    (step,) = low.steps("forward")
    assert low.moved(low.call(step)) == 4 * (6 + 6)
    low = lowered(graph(feed(data=(2, 5)), fc("data", "y", 3)), target="model")
    (step,) = low.steps("forward")
    assert low.moved(low.call(step)) == 4 * (10 + 15 + 3 + 6)
    assert [low.is_learned(o) for o in low.call(step).reads] == [False, True, True]


@pytest.mark.parametrize("target", ["cpu", "model"])
@pytest.mark.parametrize("name", ["squeezenet_v1.1", "googlenet", "resnet20", "mobilenet_v2"])
def test_every_layer_is_called_fused_or_a_view(name: str, target: str) -> None:
    low = lowered(MODELS / name / "deploy.prototxt", target=target)
    calls = [low.call(step) for step in low.steps("forward")]
    fused = [node for call in calls for node in low.fused(call)]
    views = [views.node for views in low.views()]
    called = {low.node(call) for call in calls if low.type(call) != REORDER}
    told = [*called, *fused, *views]
    assert len(told) == len(set(told))
    assert set(told) == {n for n in low.graph.nodes if not n.has(Trait.FEED)}
    assert sum(map(low.macs, calls)) == sum(map(macs, low.graph.forward_nodes()))


class Mixed(Costs):
    """Costs that make every other kernel work on blocks of channels."""

    def microseconds(self, symbol: str, key: str, macs: int, nbytes: int) -> tuple[float, str]:
        is_blocked = "block=" in key
        return (1.0 if is_blocked == ("pool" in symbol) else 1000.0), "told"


def test_copies_to_another_format_are_no_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "channel_block", lambda: 16)
    monkeypatch.setattr(cpu, "known_costs", lambda threads: Mixed(threads))
    pool = "pooling_param { kernel_size: 2 stride: 1 }"
    net = graph(
        feed(data=(2, 32, 6, 6)),
        conv("data", "a", 32, 1),
        layer("ReLU", "a", "a", name="relu"),
        layer("Pooling", "a", "p", pool),
        conv("p", "b", 32, 1),
        layer("Pooling", "b", "q", pool),
    )
    low = lowered(net)
    calls = [low.call(step) for step in low.steps("forward")]
    assert [(call.name, low.type(call)) for call in calls] == [
        ("a", "Convolution"),
        ("a:blocked", REORDER),
        ("p", "Pooling"),
        ("p:plain", REORDER),
        ("b", "Convolution"),
        ("b:blocked", REORDER),
        ("q", "Pooling"),
        ("q", REORDER),
    ]
    assert [[n.name for n in low.fused(call)] for call in calls][:3] == [["relu"], [], []]
    assert not any(low.fused(call) for call in calls[1:])
    assert not any(low.macs(call) for call in calls if low.type(call) == REORDER)
    assert low.moved(calls[1]) == 2 * 4 * 2 * 32 * 36 and list(low.views()) == []
    assert {variant.basis for call in calls for variant in call.variants} == {"told"}


def test_entries_there_are_none_of() -> None:
    assert lowered(graph(*RESIDUAL)).steps("backward") == ()
