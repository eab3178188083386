"""ReLUs that let gradients through behind maximum pooling: which do, and with what result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.rows import close
from texts import conv, feed, graph, layer

import graphc
from graphc.ir.graph import Graph
from graphc.lower import _choose, cpu, model
from graphc.ops.relu import ReLU
from graphc.runtime.executable import Executable

SHAPE = (3, 4, 13, 11)
POOL = "pooling_param { kernel_size: 2 stride: 2 }"
WIDE = "pooling_param { kernel_size: 3 stride: 2 }"
PADDED = "pooling_param { kernel_size: 3 stride: 2 pad: 1 }"
LEAKY = "relu_param { negative_slope: 0.1 }"


def net(*layers: str, last: str = "p", shape: tuple[int, ...] = SHAPE) -> Graph:
    return graph(feed(data=shape), *layers, conv(last, "z", 6), phase="TRAIN")


def simple(pool: str = POOL, relu: str = "", more: str = "", last: str = "p") -> Graph:
    stages = (
        conv("data", "c", 16),
        layer("ReLU", "c", "r", relu),
        layer("Pooling", "r", "p", pool),
    )
    return net(*stages, more, last=last)


def joined(first: str = "", second: str = "", pool: str = POOL, more: str = "") -> Graph:
    return net(
        conv("data", "a", 8),
        layer("ReLU", "a", "a", first, name="ra"),
        conv("data", "b", 16),
        layer("ReLU", "b", "b", second, name="rb"),
        layer("Concat", "a b", "j"),
        layer("Pooling", "j", "p", pool),
        more,
    )


def results(net: Graph, target: str, **how: Any) -> tuple[Executable, dict[str, np.ndarray]]:
    exe = graphc.compile(net, target=target, train=True, **how)
    if target == "cpu":
        exe._executor.check = {"poison": True}
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for run in range(2):
        made = exe.run({"data": rng.standard_normal(SHAPE)})
        seeds = {v.name: rng.standard_normal(made[v.name].shape) for v in exe.graph.outputs}
        told = exe.backward(seeds)
        arrays = {**made, **{f"d {name}": array for name, array in told.blobs.items()}}
        for name, params in told.params.items():
            arrays |= {f"d {name} {i}": array for i, array in enumerate(params)}
        found |= {f"{name} of run {run}": np.array(array) for name, array in arrays.items()}
    return exe, found


def gates(exe: Executable) -> dict[str, str]:
    """Of each ReLU that has a gradient call, by name: what tells it where gradients pass."""
    program, nodes = exe._executor.program, exe.graph.nodes
    calls = [program.calls[at] for at in program.entries["backward"]]
    relus = [call for call in calls if nodes[call.node].op is ReLU and call.part == "dx"]
    told = {call.name: {o.role: o.buffer for o in call.reads}["y"] for call in relus}
    return {name: program.buffers[b].name.partition(":")[0] for name, b in told.items()}


def check(net: Graph, wanted: dict[str, str], **how: Any) -> None:
    """Results are the reference's, threads change no bit, and these values gate gradients."""
    exe, made = results(net, "cpu", threads=1, **how)
    _, right = results(net, "reference", **how)
    assert made.keys() == right.keys()
    for name, array in right.items():
        close(made[name], array, name, products=1000)
    _, twice = results(net, "cpu", threads=2, deterministic=True, **how)
    _, once = results(net, "cpu", threads=1, deterministic=True, **how)
    assert all(once[name].tobytes() == array.tobytes() for name, array in twice.items())
    assert gates(exe) == wanted


@pytest.mark.parametrize("relu", ["", LEAKY], ids=["", "leaky"])
@pytest.mark.parametrize("pool", [POOL, WIDE, PADDED], ids=["2", "3", "padded"])
def test_behind_pooling(pool: str, relu: str) -> None:
    check(simple(pool, relu), {"r": "p"})


def test_in_place() -> None:
    stages = (conv("data", "c", 16), layer("ReLU", "c", "c", name="r"))
    check(net(*stages, layer("Pooling", "c", "p", WIDE)), {"r": "p"})


def test_several_that_are_joined_are_one() -> None:
    check(joined(), {"ra": "p"})
    check(joined(LEAKY, LEAKY, PADDED), {"ra": "p"})


def test_behind_a_normalization() -> None:
    stages = (layer("BatchNorm", "c", "b"), layer("Scale", "b", "s"), layer("ReLU", "s", "r"))
    whole = net(conv("data", "c", 16), *stages, layer("Pooling", "r", "p", WIDE))
    check(whole, {"r": "p"})


def test_bits_are_those_of_the_layers_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "sum_early", lambda drafts, *_: drafts)
    for whole in (simple(POOL), simple(WIDE), joined(pool=PADDED)):
        with monkeypatch.context() as patch:
            patch.setattr(cpu, "exchange", lambda drafts, *_: drafts)
            exe, wanted = results(whole, "cpu", deterministic=True)
        assert "p" not in gates(exe).values()
        _, made = results(whole, "cpu", deterministic=True)
        for name, array in wanted.items():
            assert np.array_equal(made[name], array), name


def test_what_the_relu_made_is_kept_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = (conv("data", "c", 16), layer("ReLU", "c", "r"), layer("Pooling", "r", "p", POOL))
    whole = net(*stages, shape=(8, 4, 62, 62))

    # where formats change, the copy of a gradient makes the peak, and hides what is kept
    monkeypatch.setattr(_choose, "BANDWIDTH", 1.0)

    def peaks() -> list[int]:
        how = {"train": True, "threads": 1}
        return [graphc.plan(whole, target=target, **how).peak_bytes for target in ("cpu", "model")]

    with monkeypatch.context() as patch:
        for lowering in (cpu, model):
            patch.setattr(lowering, "exchange", lambda drafts, *_: drafts)
        before = peaks()
    freed = 8 * 16 * 60 * 60 * 4
    assert all(more - less > freed // 2 for less, more in zip(peaks(), before, strict=True))


def test_a_gradient_that_somebody_asks_for_is_made() -> None:
    check(simple(), {"r": "r"}, keep="all")


def test_who_else_reads() -> None:
    check(simple(more=conv("r", "w", 3)), {"r": "r"})  # the gradient is a sum
    check(simple(more=layer("ArgMax", "r", "w")), {"r": "p"})  # takes no gradient


def test_a_sum_is_not_what_its_summands_are() -> None:
    whole = net(
        conv("data", "a", 16),
        layer("ReLU", "a", "a", name="ra"),
        conv("data", "b", 16),
        layer("ReLU", "b", "b", name="rb"),
        layer("Eltwise", "a b", "j"),
        layer("Pooling", "j", "p", POOL),
    )
    check(whole, {"ra": "a", "rb": "b"})


def test_joined_with_something_else() -> None:
    check(joined("", LEAKY), {"ra": "a", "rb": "b"})
    whole = net(
        conv("data", "a", 8),
        layer("ReLU", "a", "a", name="ra"),
        conv("data", "b", 8),
        layer("Concat", "a b", "j"),
        layer("Pooling", "j", "p", POOL),
    )
    check(whole, {"ra": "a"})


def test_other_layers() -> None:
    check(simple(POOL.replace("{", "{ pool: AVE")), {"r": "r"})
    whole = simple(relu="relu_param { negative_slope: -0.5 }")  # its gradient reads c
    exe, _ = results(whole, "cpu")
    program = exe._executor.program
    assert any(call.symbol == "expr" for c in program.calls for call in c.variants)


def test_where_more_would_have_to_be_kept() -> None:
    larger = "pooling_param { kernel_size: 2 stride: 1 pad: 1 }"
    check(simple(larger), {"r": "r"})
    # p, which nothing else in the backward reads, is as large as r
    same = "pooling_param { kernel_size: 3 stride: 1 pad: 1 }"
    check(simple(same, more=layer("Power", "p", "q"), last="q"), {"r": "p"})
