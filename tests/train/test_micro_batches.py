"""Micro-batches: layers run on a few samples at a time, and learn what the whole batch teaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer, softmax_loss
from train.test_same_bits import MODELS, SOLVER, differ, feeds
from train.test_within_memory import INCEPTION

import graphc
from graphc import driver
from graphc.autodiff import differentiate
from graphc.errors import GraphError
from graphc.ir.verify import verify
from graphc.micro_batches import micro_batched
from graphc.ops.batch_norm_slices import BatchNormSlices
from graphc.plan.within import Choosing

BATCH = {"lenet": 12, "cifar10_full": 6, "resnet20": 6, "inception": 6}
CLOSE = 1e-4


def solver_of(folder: Path, name: str, **words: Any) -> graphc.Solver:
    net = MODELS / name / "train.prototxt"
    if name == "inception":
        net = folder / "inception.prototxt"
        net.write_text(INCEPTION)
    path = folder / f"{name}.solver.prototxt"
    path.write_text(SOLVER.format(net))
    return graphc.Solver(path, batch=BATCH[name], threads=2, **words)


def run(solver: graphc.Solver, count: int = 3) -> tuple[list[float], dict[str, np.ndarray]]:
    given = feeds(solver.net.graph)
    losses = [solver.step(1, given) for _ in range(count)]
    blobs = solver.net.params.items()
    return losses, {f"{layer}/{i}": a.copy() for layer, own in blobs for i, a in enumerate(own)}


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("name", BATCH)
def test_networks_learn_the_same(name: str, size: int, tmp_path: Path) -> None:
    losses, weights = run(solver_of(tmp_path, name))
    sliced = solver_of(tmp_path, name, micro_batch=size)
    found = run(sliced)
    np.testing.assert_allclose(found[0], losses, rtol=CLOSE)
    assert weights.keys() == found[1].keys()
    for key, blob in weights.items():
        np.testing.assert_allclose(found[1][key], blob, rtol=1e-2, atol=2e-5)
    again = run(solver_of(tmp_path, name, micro_batch=size))
    assert again[0] == found[0]
    assert not differ(again[1], found[1])


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_batch_norm_and_dropout_are_exact(target: str, tmp_path: Path) -> None:
    """In float64 nothing but the order of sums differs."""
    found = []
    for size in (None, 4):
        solver = solver_of(tmp_path, "inception", target=target, micro_batch=size)
        found.append(run(solver, 2)[0])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6 if target == "reference" else CLOSE)


def test_replays_bring_back_one_slice_at_a_time(tmp_path: Path) -> None:
    """Less memory than the whole batch can do with, and the same bits as without a budget."""
    how: dict[str, Any] = {"pin_variants": True}
    least, plan = {}, solver_of(tmp_path, "cifar10_full", **how).net.plan
    for size in (None, 1):
        program = solver_of(tmp_path, "cifar10_full", micro_batch=size, **how).net.program
        least[size] = Choosing(program, "ours").least().peak_bytes
    assert least[1] < 0.7 * least[None] <= 0.7 * plan.peak_bytes
    free = run(solver_of(tmp_path, "cifar10_full", micro_batch=1, **how))
    tight = solver_of(tmp_path, "cifar10_full", micro_batch=1, memory=least[1], **how)
    assert any(step.instance for step in tight.net.plan.steps)
    assert tight.net.plan.peak_bytes <= least[1]
    found = run(tight)
    assert found[0] == free[0]
    assert not differ(found[1], free[1])


def sliced(*layers: str, size: int = 2, batch: int = 6) -> tuple[graphc.Graph, list[str]]:
    made = graph(feed(data=(batch, 3, 6, 6), label=(batch,)), *layers, phase="TRAIN")
    mixed = micro_batched(made, size)
    verify(differentiate(made), 1)
    return made, mixed


def test_layers_that_mix_samples_are_named_and_see_the_whole_batch() -> None:
    turned = layer("Reshape", "c", "t", "reshape_param { shape { dim: 6 dim: 4 dim: -1 } }")
    head = fc("t", "y", 5) + softmax_loss("y") + layer("Accuracy", "y label", "acc")
    made, mixed = sliced(conv("data", "c", 4) + turned + head)
    assert mixed == ["t", "acc"]
    shapes = {n.name: [v.type.shape[:1] for v in n.outs.values() if v.type] for n in made.nodes}
    assert shapes["t"] == [(6,)]
    convolutions = [n for n in made.forward_nodes() if n.name == "c"]
    assert [n.samples for n in convolutions] == [(0, 2), (2, 4), (4, 6)]
    assert len({id(n.params["weight"]) for n in convolutions}) == 1


def test_batch_norm_is_one_node_of_slices() -> None:
    layers = conv("data", "c", 4) + layer("BatchNorm", "c", "n") + layer("ReLU", "n", "r")
    made, mixed = sliced(layers + fc("r", "y", 5) + softmax_loss("y"), size=4)
    assert mixed == []
    (norm,) = [n for n in made.forward_nodes() if n.op is BatchNormSlices]
    assert [v.type.shape[0] for v in norm.ins.values() if v.type] == [4, 2]
    assert made.layer_params()["n"] == list(norm.params.values())


def test_refusals(tmp_path: Path) -> None:
    for size in (0, -1, 2.0):
        with pytest.raises(GraphError, match="GC-R004: a micro-batch of"):
            solver_of(tmp_path, "lenet", micro_batch=size)
    with pytest.raises(GraphError, match="GC-R003: no layer treats samples apart, such as layer"):
        sliced(fc("data", "y", 5, field="axis: 0") + layer("EuclideanLoss", "y y", "loss"))
    with pytest.raises(GraphError, match="GC-R002: a micro-batch is given, but nothing is trained"):
        graphc.plan(MODELS / "lenet" / "train.prototxt", micro_batch=2)


def test_a_slice_as_large_as_the_batch_changes_nothing() -> None:
    layers = conv("data", "c", 4) + fc("c", "y", 5) + softmax_loss("y")
    one = graph(feed(data=(6, 3, 6, 6), label=(6,)), layers, phase="TRAIN")
    two = driver.own(one, set=())
    assert micro_batched(two, 6) == []
    assert [n.name for n in one.nodes] == [n.name for n in two.nodes]
