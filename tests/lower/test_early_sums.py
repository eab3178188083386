"""Gradients of biases that are summed behind maximum pooling: which are, and with what result."""

from __future__ import annotations

from typing import Any

import pytest
from core.rows import close
from lower.test_exchange import PADDED, POOL, WIDE, results
from texts import conv, feed, graph, layer

from graphc.ir.graph import Graph
from graphc.runtime.executable import Executable

SHAPE = (3, 4, 13, 11)
UP = "convolution_param { num_output: 16 kernel_size: 2 stride: 2 %s }"


def net(*layers: str, last: str = "p") -> Graph:
    return graph(feed(data=SHAPE), *layers, conv(last, "z", 6, 1), phase="TRAIN")


def pooled(pool: str, *between: str, channels: int = 16) -> Graph:
    bottom = "r" if between else "c"
    return net(conv("data", "c", channels), *between, layer("Pooling", bottom, "p", pool))


def summed(exe: Executable, name: str = "c") -> tuple[int, ...]:
    """Extents of what the layer's bias gradient sums, without the format's blocks."""
    program = exe._executor.program
    calls = [program.calls[at] for at in program.entries["backward"]]
    (call,) = (c for c in calls if c.name == name and c.part.startswith("dbias"))
    dims = program.buffers[call.reads[0].buffer].dims
    return dims[2:4]


def check(net: Graph, wanted: tuple[int, ...], **how: Any) -> None:
    exe, made = results(net, "cpu", threads=1, **how)
    _, right = results(net, "reference", **how)
    assert made.keys() == right.keys()
    for name, array in right.items():
        close(made[name], array, name, products=1000)
    _, twice = results(net, "cpu", threads=2, deterministic=True, **how)
    _, once = results(net, "cpu", threads=1, deterministic=True, **how)
    assert all(once[name].tobytes() == array.tobytes() for name, array in twice.items())
    assert summed(exe) == wanted


@pytest.mark.parametrize("channels", [16, 21, 3])
@pytest.mark.parametrize(
    ("pool", "extents"), [(POOL, (6, 5)), (WIDE, (5, 4)), (PADDED, (6, 5))], ids=["2", "3", "pad"]
)
def test_behind_pooling(pool: str, extents: tuple[int, ...], channels: int) -> None:
    check(pooled(pool, channels=channels), extents)


def test_behind_a_relu_that_lets_gradients_through_there() -> None:
    check(pooled(POOL, layer("ReLU", "c", "r")), (6, 5))


def test_a_deconvolution() -> None:
    up = layer("Deconvolution", "data", "c", UP % 'weight_filler { type: "xavier" }')
    check(net(up, layer("Pooling", "c", "p", POOL)), (13, 11))


def test_what_is_asked_for_is_made_all_the_same() -> None:
    check(pooled(POOL), (6, 5), keep="all")


def test_what_is_not_the_same_sum() -> None:
    check(pooled(POOL.replace("{", "{ pool: AVE")), (11, 9))
    check(pooled(POOL, layer("TanH", "c", "r")), (11, 9))
    both = (layer("Pooling", "c", "p", POOL), conv("c", "w", 3))  # the gradient is a sum
    check(net(conv("data", "c", 16), *both), (11, 9))


def test_where_it_would_be_more() -> None:
    check(pooled("pooling_param { kernel_size: 2 stride: 1 pad: 1 }"), (11, 9))


def test_channels_along_another_axis() -> None:
    told = (
        'convolution_param { num_output: 8 kernel_size: 3 axis: 2 weight_filler { type: "xavier" }}'
    )
    check(net(layer("Convolution", "data", "c", told), layer("Pooling", "c", "p", POOL)), (8, 9))
