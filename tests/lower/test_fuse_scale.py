"""Scale and ReLU as part of the normalization before them: which are, and with what result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.rows import close
from texts import conv, feed, graph, layer

import graphc
from graphc.ir.graph import Graph
from graphc.lowering import Lowering
from graphc.runtime.executable import Executable

SHAPE = (3, 4, 9, 7)
SCALE = "scale_param { bias_term: true bias_filler { value: 0.1 } }"
ALL = ["BatchNorm", "ReLU", "Scale"]
TWO = ["BatchNorm", "Scale"]
ONE = ["BatchNorm"]


def net(
    channels: int = 32, scale: str = SCALE, relu: str = "", more: str = "", top: str = "r"
) -> Graph:
    return graph(
        feed(data=SHAPE),
        conv("data", "c", channels),
        layer("BatchNorm", "c", "b"),
        layer("Scale", "b", "s", scale),
        layer("ReLU", "s", "r", relu),
        more,
        conv(top, "y", 16, 1),
        phase="TRAIN",
    )


def fused(exe: Executable, entry: str, part: str) -> list[str]:
    """The types of the layers that the normalization's call does, in order of their names."""
    prepared = exe._executor.prepared
    low = Lowering(exe.graph, prepared.program, prepared.plan)
    calls = [low.call(step) for step in low.steps(entry)]
    (call,) = (c for c in calls if c.part == part and c.variants[0].symbol.startswith("batch_"))
    return sorted({"BatchNorm", *(node.op.type for node in low.fused_layers(call))})


def results(net: Graph, target: str, **how: Any) -> tuple[Executable, dict[str, np.ndarray]]:
    exe = graphc.compile(net, target=target, train=True, **how)
    rng = np.random.default_rng(0)
    made = exe.run({"data": rng.standard_normal(SHAPE)})
    seeds = {v.name: rng.standard_normal(made[v.name].shape) for v in exe.graph.outputs}
    told = exe.backward(seeds)
    found = {**made, **{f"d {name}": array for name, array in told.blobs.items()}}
    for name, arrays in told.params.items():
        found |= {f"d {name} {i}": array for i, array in enumerate(arrays)}
    return exe, found


def check(net: Graph, forward: list[str], backward: list[str], **how: Any) -> None:
    """Results are the reference's, in any number of threads, and these layers are fused."""
    exe, made = results(net, "cpu", threads=1, **how)
    _, wanted = results(net, "reference", **how)
    assert made.keys() == wanted.keys()
    for name, array in wanted.items():
        close(made[name], array, name, products=1000)
    _, twice = results(net, "cpu", threads=2, deterministic=True, **how)
    _, once = results(net, "cpu", threads=1, deterministic=True, **how)
    assert all(np.array_equal(once[name], array) for name, array in twice.items())
    assert fused(exe, "forward", "normalize") == forward
    assert fused(exe, "backward", "dx") == backward


@pytest.mark.parametrize("channels", [32, 21, 3])
@pytest.mark.parametrize("scale", [SCALE, ""], ids=["bias", "no bias"])
@pytest.mark.parametrize("relu", ["", "relu_param { negative_slope: 0.1 }"], ids=["", "leaky"])
def test_all_three_layers(channels: int, scale: str, relu: str) -> None:
    check(net(channels, scale, relu), ALL, ALL)


def test_in_place() -> None:
    whole = graph(
        feed(data=SHAPE),
        conv("data", "c", 32),
        layer("BatchNorm", "c", "c", name="b"),
        layer("Scale", "c", "c", SCALE, name="s"),
        layer("ReLU", "c", "c", name="r"),
        conv("c", "y", 16, 1),
        phase="TRAIN",
    )
    check(whole, ALL, ALL)


def test_without_a_relu() -> None:
    check(net(top="s", more=layer("Silence", "r")), TWO, TWO)
    check(net(relu="relu_param { negative_slope: -0.5 }"), TWO, TWO)  # its gradient reads s


def test_what_is_kept_is_made() -> None:
    check(net(), TWO, TWO, keep=["s"])  # its gradient is a sum
    check(net(), TWO, ONE, keep="all")


def test_who_else_reads() -> None:
    summed = layer("Eltwise", "s r", "sum")
    check(net(more=summed, top="sum"), TWO, TWO)
    summed = layer("Eltwise", "b r", "sum")
    check(net(more=summed, top="sum"), ALL, ONE)
    summed = layer("Eltwise", "r c", "sum")
    check(net(more=summed, top="sum"), ALL, ALL)


def test_numbers_that_are_not_per_channel() -> None:
    check(net(scale="scale_param { num_axes: 0 }"), ONE, ONE)
    check(net(scale="scale_param { num_axes: 2 }"), ONE, ONE)
    check(net(scale="scale_param { axis: 3 }"), ONE, ONE)


def test_frozen_numbers() -> None:
    check(net(scale=SCALE + "param { lr_mult: 0 } param { lr_mult: 0 }"), ALL, ONE)
    check(net(scale=SCALE + "param { lr_mult: 1 } param { lr_mult: 0 }"), ALL, ALL)


def test_shared_numbers() -> None:
    shared = 'param { name: "w" }'
    second = layer("BatchNorm", "r", "b2") + layer("Scale", "b2", "s2", shared)
    whole = net(scale=shared, more=second, top="s2")
    _, made = results(whole, "cpu")
    _, wanted = results(whole, "reference")
    for name, array in wanted.items():
        close(made[name], array, name, products=1000)


def test_on_the_least_of_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_ISA", "portable")
    check(net(), ALL, ALL)
