"""The largest batch of networks: it fits, the next does not, and weights stay what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from texts import conv, fc, feed, graph, layer, softmax_loss

import graphc
from graphc.errors import GraphError

NET = (
    feed(data=(3, 3, 12, 12), label=(3,))
    + conv("data", "c", 8)
    + layer("ReLU", "c", "c")
    + fc("c", "y", 5)
    + softmax_loss("y")
)
SIGMOIDS = (
    feed(data=(3, 3, 24, 24), label=(3,))
    + "".join(
        conv("data" if k == 0 else f"s{k - 1}", f"c{k}", 8) + layer("Sigmoid", f"c{k}", f"s{k}")
        for k in range(8)
    )
    + fc("s7", "y", 5)
    + softmax_loss("y")
)


@pytest.mark.parametrize("target", ["model", "cpu"])
@pytest.mark.parametrize("train", [False, True])
def test_it_fits_and_the_next_does_not(train: bool, target: str) -> None:
    net = graph(NET)
    how: dict[str, Any] = {"train": train, "target": target, "threads": 1}
    found = graphc.largest_batch(net, memory="1MB", max_overhead=0, **how)
    peaks = [graphc.plan(net, batch=found.batch + more, **how).peak_bytes for more in (0, 1)]
    assert (found.peak_bytes, found.next_bytes) == tuple(peaks)
    assert peaks[0] <= 1_000_000 < peaks[1]
    assert found.memory == 1_000_000
    assert net.by_name()["data"].type is not None
    assert net.by_name()["data"].type.shape == (3, 3, 12, 12)


def test_training_takes_smaller_batches() -> None:
    net = graph(NET)
    sizes = [graphc.largest_batch(net, memory="2MB", train=t).batch for t in (False, True)]
    assert sizes[0] > sizes[1] > 1


def test_from_a_file_and_a_data_layer(root: Path, tmp_path: Path) -> None:
    data = layer(
        "DummyData", "", "data label", "dummy_data_param { num: 5 num: 5 channels: 3 channels: 1 "
        "height: 12 height: 1 width: 12 width: 1 }",
    )  # fmt: skip
    path = tmp_path / "net.prototxt"
    path.write_text(NET.replace(feed(data=(3, 3, 12, 12), label=(3,)), data))
    found = graphc.largest_batch(path, memory="1MB", train=True, max_overhead=0)
    assert found.peak_bytes == graphc.plan(path, train=True, batch=found.batch).peak_bytes
    solver = tmp_path / "solver.prototxt"
    solver.write_text('net: "net.prototxt" base_lr: 1 lr_policy: "fixed" type: "Adam"')
    adam = graphc.largest_batch(path, memory="1MB", train=True, max_overhead=0, solver=solver)
    assert adam.batch < found.batch
    changed = {"layer[c].convolution_param.num_output": 16}
    assert (
        graphc.largest_batch(path, memory="1MB", train=True, max_overhead=0, set=changed).batch
        < found.batch
    )
    changed = {f"net.{path}": value for path, value in changed.items()} | {"type": "SGD"}
    both = graphc.largest_batch(
        path, memory="1MB", train=True, max_overhead=0, solver=solver, set=changed
    )
    assert adam.batch != both.batch < found.batch


def test_very_long_nets_are_planned_without_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    def largest(**how: Any) -> int:
        return graphc.largest_batch(graph(SIGMOIDS), memory="4MB", train=True, **how).batch

    plain, replayed = largest(max_overhead=0), largest()
    assert plain < replayed
    monkeypatch.setattr("graphc.memory.budgets.MAX_REPLAYED", 10)
    assert largest() == plain


def test_sweep() -> None:
    net = graph(NET)
    rows = graphc.sweep_batches(net, memory="1MB", train=True, max_overhead=0)
    assert [row.batch for row in rows] == [1 << k for k in range(len(rows))]
    assert [row.fits for row in rows] == [True] * (len(rows) - 1) + [False]
    assert rows[2].peak_bytes == graphc.plan(net, train=True, batch=4).peak_bytes


FLAT = feed(data=(4, 6)) + layer(
    "Reshape", "data", "r", "reshape_param { shape { dim: 4 dim: 6 } }"
)
FIXED = {
    "a size is written out": (FLAT + fc("r", "y", 2), "the batch cannot be"),
    "weights would change": (
        feed(data=(4, 6)) + fc("data", "y", 2, field="axis: 0"), "weight 'y"
    ),
    "no input has a batch": (
        layer("Parameter", "", "p", "parameter_param { shape { dim: 4 dim: 6 } }"),
        "no input has a batch",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", FIXED)
def test_nets_whose_batch_is_fixed(why: str) -> None:
    text, told = FIXED[why]
    for ask in (graphc.largest_batch, graphc.sweep_batches):
        with pytest.raises(GraphError, match="GC-R003") as error:
            ask(graph(text), memory="1GB")
        assert told in error.value.message
    with pytest.raises(GraphError, match="GC-M001") as error:
        graphc.plan(graph(text), memory=1)
    assert told in error.value.hint


def test_refusals() -> None:
    net = graph(NET)
    with pytest.raises(GraphError, match="GC-M001: no batch fits in 1,000 B: batch 1 needs"):
        graphc.largest_batch(net, memory="1kB")
    with pytest.raises(GraphError, match="GC-R002"):
        graphc.largest_batch(net, memory="1GB", batch=3)
    with pytest.raises(GraphError, match="GC-R004"):
        graphc.largest_batch(net, memory="-1GB")


def test_a_plan_over_its_budget_says_what_would_fit() -> None:
    net = graph(NET)
    how: dict[str, Any] = {"train": True, "fused_update": False, "keep": ("c",)}
    found = graphc.largest_batch(net, memory="1MB", **how)
    with pytest.raises(GraphError, match="GC-M001") as error:
        graphc.plan(net, batch=found.batch + 1, memory="1MB", **how)
    for fact in (f"batch {found.batch} fits", "--no-fused-update", "--keep"):
        assert fact in error.value.hint
    assert graphc.plan(net, batch=found.batch, memory="1MB", **how)
