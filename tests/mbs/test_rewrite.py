"""Groups that run on sub-batches: the same numbers, less memory, and steps that say which."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer, softmax_loss

import graphc
from graphc.errors import GraphError
from graphc.ir.compare import difference
from graphc.ir.text import parse_graph, print_graph
from graphc.mbs import SERIALIZED, serialize
from graphc.memory.plans import lowered, passed
from graphc.ops.registry import find
from graphc.plan import verify_plan

MODELS = Path(__file__).resolve().parents[2] / "models"
INFERRED = {"lenet": (16, "3MiB"), "squeezenet_v1.1": (4, "8MiB"), "mobilenet_v1": (4, "6MiB")}
POOL = "pooling_param { kernel_size: 2 stride: 2 }"
BODY = (
    conv("data", "c", 8)
    + layer("ReLU", "c", "r")
    + layer("Pooling", "r", "p", POOL)
    + conv("p", "d", 8)
    + layer("Eltwise", "d d", "e")
)


def net(tail: str = "", batch: int = 6, phase: str = "TEST") -> graphc.Graph:
    head = feed(data=(batch, 3, 14, 14), label=(batch,))
    return graph(head, BODY, tail, phase=phase)


def given(exe: graphc.Executable, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(0, 5, shape) if name == "label" else rng.standard_normal(shape)
        for name, shape in exe.inputs.items()
    }


@pytest.mark.parametrize("name", INFERRED)
def test_outputs_are_the_same_to_the_bit_in_less_memory(name: str) -> None:
    batch, cache = INFERRED[name]
    path = MODELS / name / "deploy.prototxt"
    whole = graphc.compile(path, batch=batch)
    parts = graphc.compile(path, batch=batch, mbs=cache)
    feeds = given(whole)
    for blob, array in whole.run(feeds).items():
        np.testing.assert_array_equal(parts.run(feeds)[blob], array)
    assert any(step.samples for step in parts.plan.steps)
    assert parts.plan.work_bytes <= whole.plan.work_bytes
    assert sum(parts.moved()) < sum(whole.moved())


def test_the_peak_falls_to_a_few_samples_inside() -> None:
    """What a group hands on lives for one sub-batch at a time."""
    layers = "".join(layer("TanH", f"{at or 'data'}", f"{at + 1}") for at in range(6))
    wide = conv("data", "0", 32, 1) + layers.replace('"data"', '"0"') + conv("6", "y", 3, 1)
    made = graph(feed(data=(16, 3, 12, 12)), wide)
    whole = lowered(made, target="model", keep=("3",))
    parts = lowered(made, target="model", mbs="100kB")
    ends = 2 * 16 * 3 * 144 * 4
    sample = 32 * 144 * 4
    assert whole.plan.work_bytes >= ends + 16 * sample
    (size,) = {hi - lo for lo, hi in (s.samples for s in parts.plan.steps if s.samples)} - {1}
    assert parts.plan.work_bytes <= ends + 2 * size * sample


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_gradients(target: str) -> None:
    tail = fc("e", "y", 5) + layer("Dropout", "y", "n") + softmax_loss("n")
    made = net(tail, phase="TRAIN")
    found = []
    for more in ({}, {"mbs": "60kB"}):
        exe = graphc.compile(made, train=True, target=target, threads=1, **more)
        feeds = given(exe)
        losses = exe.forward(feeds)
        found.append((losses, exe.backward(), exe))
    (losses, whole, _), (other, parts, exe) = found
    assert {n.samples for n in exe.graph.nodes} > {(0, 2), (2, 4), (4, 6)}
    np.testing.assert_allclose(other["loss"], losses["loss"], rtol=1e-6)
    for name, arrays in whole.params.items():
        for one, two in zip(arrays, parts.params[name], strict=True):
            assert np.abs(two - one).max() <= 1e-5 * np.abs(one).max()
    np.testing.assert_allclose(parts.blobs["data"], whole.blobs["data"], rtol=1e-4, atol=1e-7)


def test_a_solver_learns_the_same(tmp_path: Path) -> None:
    path = tmp_path / "solver.prototxt"
    rule = 'base_lr: 0.01 momentum: 0.9 lr_policy: "fixed" max_iter: 3 random_seed: 3'
    path.write_text(f'net: "{MODELS / "cifar10_full" / "train.prototxt"}" {rule}')
    losses = []
    for cache in (None, "2MiB"):
        solver = graphc.Solver(path, batch=8, threads=1, mbs=cache)
        feeds = given(solver.net)
        losses.append([solver.step(1, feeds) for _ in range(3)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    assert any(n.startswith(SERIALIZED) for n in solver.net.graph.notes)
    how: dict[str, Any] = {"train": True, "batch": 8, "mbs": "2MiB"}
    net = MODELS / "cifar10_full" / "train.prototxt"
    tight = graphc.plan(net, memory=graphc.plan(net, **how).peak_bytes * 9 // 10, **how)
    assert any(step.instance and step.samples for step in tight.steps)


def test_norms_of_the_batch_stay_out_of_groups() -> None:
    tail = layer("BatchNorm", "e", "n") + layer("ReLU", "n", "z") + fc("z", "y", 5)
    made = passed(net(tail + softmax_loss("y"), phase="TRAIN"), True, None)
    serialize(made, 60_000, True)
    slices = {node.name: node.samples for node in made.nodes}
    assert None not in (slices["c"], slices["d"], slices["z"])
    assert slices["n"] is slices["loss"] is None
    known = passed(net(tail), False, None, passes=())
    serialize(known, 60_000)
    assert None not in {node.samples for node in known.nodes if node.name in "cdnz"}
    alone = graph(feed(data=(4, 3)), layer("BatchNorm", "data", "n"), phase="TRAIN")
    with pytest.raises(GraphError, match="GC-R003: no group of layers treats samples apart, such"):
        serialize(alone, 1 << 20, True)


def test_kept_blobs_are_whole() -> None:
    made = net()
    exe = graphc.compile(made, keep=("c", "p"), mbs="60kB", passes=())
    found, whole = exe.run(given(exe)), graphc.compile(made, keep="all", passes=())
    for name, array in whole.run(given(exe)).items():
        if name in found:
            np.testing.assert_array_equal(found[name], array)
    assert found.keys() == {"e", "label", "c", "p"}
    every = graphc.compile(made, keep="all", mbs="60kB", passes=())
    assert {"c", "r", "p", "d", "e"} <= every.run(given(exe)).keys()


def test_the_artefact_and_the_text_form(tmp_path: Path) -> None:
    exe = graphc.compile(net(), mbs="60kB")
    exe.save(tmp_path / "parts.gcz")
    again = graphc.open(tmp_path / "parts.gcz")
    feeds = given(exe)
    np.testing.assert_array_equal(again.run(feeds)["e"], exe.run(feeds)["e"])
    assert [s.samples for s in again.plan.steps] == [s.samples for s in exe.plan.steps]
    assert not difference(parse_graph(print_graph(exe.graph), find), exe.graph)


def test_one_sample_is_not_split() -> None:
    exe = graphc.compile(net(batch=1), mbs="1MiB")
    assert not any(step.samples for step in exe.plan.steps)


def test_other_batches() -> None:
    """The last sub-batch takes what there is."""
    exe, whole = graphc.compile(net(), mbs="60kB"), graphc.compile(net())
    feeds = given(exe)
    (first,) = {n.samples[1] for n in exe.graph.nodes if n.samples and not n.samples[0]}
    for batch in (first + 1, 9):
        other = {name: np.resize(array, (batch, *array.shape[1:])) for name, array in feeds.items()}
        np.testing.assert_array_equal(exe.run(other)["e"], whole.run(other)["e"])
    with pytest.raises(GraphError, match="GC-R001"):
        exe.run({name: array[: first - 1] for name, array in feeds.items()})


def test_the_verifier_wants_the_samples_of_the_call() -> None:
    low = lowered(net(), target="model", mbs="60kB")
    steps = list(low.plan.steps)
    at = next(at for at, step in enumerate(steps) if step.samples)
    for wrong in (None, (1, 3)):
        steps[at] = replace(low.plan.steps[at], samples=wrong)
        with pytest.raises(GraphError, match=r"GC-V003: .*runs on samples"):
            verify_plan(low.program, replace(low.plan, steps=tuple(steps)))


def test_refusals() -> None:
    made = net()
    with pytest.raises(GraphError, match="GC-R003: no group of layers moves less"):
        graphc.compile(made, mbs="1kB")
    with pytest.raises(GraphError, match="GC-R004"):
        graphc.compile(made, mbs="much")
    with pytest.raises(GraphError, match="GC-R002: micro-batches and mini-batch serialization"):
        graphc.plan(made, train=True, micro_batch=2, mbs="60kB")
    serialize(made, 60_000)
    with pytest.raises(GraphError, match="GC-R003: layers run on slices of the batch already"):
        serialize(made, 60_000)
