"""The minimal Solver: SGD on the core and on the reference, what it refuses, and its memory."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from train.bench import NET, Bench

import graphc
from graphc import GraphError, Solver, _core
from graphc.costs import Costs
from graphc.memory import lowered
from graphc.plan.timeline import timeline
from graphc.program import BufferKind, Program


@pytest.mark.parametrize(("margin", "wins"), [(1.0, False), (100.0, True)])
def test_packing_updated_weights_counts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, margin: float, wins: bool
) -> None:
    """A kernel of packed weights must be faster by more than what it takes to pack them again."""
    if "dnnl_inner_product" not in _core.kernel_symbols():
        pytest.skip("built without oneDNN")

    def told(self: Costs, symbol: str, key: str, macs: int, nbytes: int) -> tuple[float, str]:
        return 200.0 - margin * (symbol == "dnnl_inner_product"), "told"

    monkeypatch.setattr(Costs, "microseconds", told)
    exe = graphc.compile(graphc.load(bench.folder / "net.prototxt", phase="TRAIN"), train=True)
    assert "dnnl_inner_product" in symbols(exe._executor.program)
    program = bench.solver().net._executor.program
    assert ("dnnl_inner_product" in symbols(program)) == wins


def test_weights_that_change_are_packed_where_they_are_needed(bench: Bench) -> None:
    """Right before, into memory that is free again after the call; else once, to keep."""
    net = graphc.load(bench.folder / "net.prototxt", phase="TRAIN")
    kept = graphc.compile(net, train=True)._executor.program
    assert kept.entries["prepare"]
    assert {kept.buffers[kept.calls[c].writes[0].buffer].kind for c in kept.entries["prepare"]} == {
        BufferKind.PACKED
    }
    program = bench.solver().net._executor.program
    assert program.entries["prepare"] == ()
    assert all(buffer.kind is not BufferKind.PACKED for buffer in program.buffers)
    packed = 0
    for ids in program.entries.values():
        for first, then in pairwise(program.calls[index] for index in ids):
            if first.part == "pack":
                assert first.writes[0].buffer in {o.buffer for o in then.reads}
                packed += 1
    assert packed >= 1


def symbols(program: Program) -> set[str]:
    return {program.calls[c].variants[0].symbol for c in program.entries["forward"]}


def weights(solver: Solver) -> dict[str, np.ndarray]:
    return {
        f"{layer}/{i}": blob.copy()
        for layer, blobs in solver.net.params.items()
        for i, blob in enumerate(blobs)
    }


def test_learns(bench: Bench, feed: dict[str, np.ndarray]) -> None:
    solver = bench.solver()
    first = solver.step(1, feed)
    last = solver.step(20, feed)
    assert solver.iter == 21
    assert solver.loss == last < first / 2


def test_fused_and_not_give_the_same_bits(bench: Bench, feed: dict[str, np.ndarray]) -> None:
    runs = [bench.solver("weight_decay: 0.1", fused_update=fused) for fused in (True, False)]
    for solver in runs:
        solver.step(4, feed)
    fused, apart = map(weights, runs)
    assert fused.keys() == apart.keys()
    assert all((fused[k] == apart[k]).all() for k in fused)
    most = [timeline(solver.net.program).most(BufferKind.GRAD) for solver in runs]
    assert most[0] < most[1]
    assert "update" not in runs[0].net.plan.entries
    assert "update" in runs[1].net.plan.entries


def test_gradients_update_what_they_are_of(bench: Bench, feed: dict[str, np.ndarray]) -> None:
    """Two steps by hand, from the gradients of the network compiled by itself."""
    solver = bench.solver("weight_decay: 0.1")
    exe = graphc.compile(
        graphc.load(bench.folder / "net.prototxt", phase="TRAIN", seed=2), train=True
    )
    w = {k: v.astype(np.float64) for k, v in weights(solver).items()}
    h = {k: np.zeros_like(v) for k, v in w.items()}
    for _ in range(2):
        for key, value in w.items():
            layer, index = key.split("/")
            exe.params[layer][int(index)][...] = value
        exe.forward(feed)
        slopes = exe.backward().params
        for key in w:
            layer, index = key.split("/")
            h[key] = 0.9 * h[key] + 0.1 * (slopes[layer][int(index)] + 0.1 * w[key])
            w[key] = w[key] - h[key]
    solver.step(2, feed)
    for key, blob in weights(solver).items():
        assert np.abs(blob - w[key]).max() <= 1e-6 * max(1, np.abs(w[key]).max()), key


@pytest.mark.parametrize("target", ["cpu", "reference"])
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_order_of_clip_average_and_decay(
    bench: Bench, feed: dict[str, np.ndarray], kind: str, target: str
) -> None:
    """By hand: the sum over passes is clipped, then averaged, and then decay is added."""
    solver = bench.solver(
        f"""type: "{kind}" iter_size: 2 clip_gradients: 0.1 weight_decay: 0.1
            momentum2: 0.99 delta: 1e-3""",
        target=target,
    )
    exe = graphc.compile(
        graphc.load(bench.folder / "net.prototxt", phase="TRAIN", seed=2), train=True
    )
    w = {k: v.astype(np.float64) for k, v in weights(solver).items()}
    h, v = ({k: np.zeros_like(x) for k, x in w.items()} for _ in range(2))
    for t in (1, 2, 3):
        for key, value in w.items():
            layer, index = key.split("/")
            exe.params[layer][int(index)][...] = value
        exe.forward(feed)
        slopes = exe.backward().params
        g = {k: 2.0 * slopes[k.split("/")[0]][int(k.split("/")[1])] for k in w}
        norm = np.sqrt(sum((each**2).sum() for each in g.values()))
        assert norm > 0.1
        for key in w:
            mean = g[key] * (0.1 / norm) / 2
            if kind == "SGD":
                h[key] = 0.9 * h[key] + 0.1 * (mean + 0.1 * w[key])
                w[key] = w[key] - h[key]
            else:
                h[key] = 0.9 * h[key] + 0.1 * mean
                v[key] = 0.99 * v[key] + 0.01 * mean**2
                rate = 0.1 * np.sqrt(1 - 0.99**t) / (1 - 0.9**t)
                w[key] = (1 - 0.1 * 0.1) * w[key] - rate * h[key] / (np.sqrt(v[key]) + 1e-3)
    solver.step(3, feed)
    for key, blob in weights(solver).items():
        assert np.abs(blob - w[key]).max() <= 2e-6 * max(1, np.abs(w[key]).max()), key
    if target == "cpu":
        assert list(solver.net.plan.entries) == ["prepare", "forward", "backward", "update"]


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_a_loss_that_is_no_number_stops(
    bench: Bench, feed: dict[str, np.ndarray], target: str
) -> None:
    solver = bench.solver(target=target)
    solver.step(1, feed)
    before = weights(solver)
    bad = dict(feed, x=feed["x"].copy())
    bad["x"][3, 1, 2, 2] = np.inf
    with pytest.raises(GraphError, match="GC-R005") as caught:
        solver.step(1, bad)
    assert "iteration 1" in caught.value.message
    assert "'x'" in caught.value.message
    after = weights(solver)
    assert all((before[k] == after[k]).all() for k in before)
    assert solver.iter == 1
    solver.net.params["ip"][0][0, 0] = np.nan
    with pytest.raises(GraphError, match=r"GC-R005.*ip.*not finite before"):
        solver.step(1, feed)


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_multipliers(bench: Bench, feed: dict[str, np.ndarray], target: str) -> None:
    bench.net(NET.replace("PARAM", "param { lr_mult: 0 } param { decay_mult: 0 }"))
    solver = bench.solver("weight_decay: 1", target=target)
    before = weights(solver)
    solver.step(1, feed)
    after = weights(solver)
    assert (before["conv/0"] == after["conv/0"]).all()
    assert (before["conv/1"] != after["conv/1"]).any()


@pytest.mark.parametrize("target", ["cpu", "reference"])
@pytest.mark.parametrize("mode", ["STRICT", "PERMISSIVE"])
def test_shared_weights_are_updated_once(bench: Bench, mode: str, target: str) -> None:
    shape = "axis: 1" if mode == "STRICT" else "transpose: true"
    name = f'param {{ name: "w" share_mode: {mode} }}'
    ip = """layer {{ name: "{0}" type: "InnerProduct" bottom: "{1}" top: "{0}" {2}
            inner_product_param {{ num_output: {3} bias_term: false {4}
            weight_filler {{ type: "xavier" }} }} }}"""
    inner = 4 if mode == "STRICT" else 3
    head = """layer { name: "in" type: "Input" top: "x" top: "t" input_param {
              shape { dim: 2 dim: 4 } shape { dim: 2 dim: 4 } } }"""
    bench.net(
        head
        + ip.format("a", "x", name, inner, "axis: 1")
        + ip.format("b", "a", name, 4, shape)
        + 'layer { name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "t" top: "loss" }'
    )
    solver = bench.solver(target=target)
    rng = np.random.default_rng(1)
    feed = {k: rng.standard_normal((2, 4)).astype(np.float32) for k in ("x", "t")}
    w = weights(solver)["a/0"].astype(np.float64)
    solver.step(1, feed)
    x, t = feed["x"].astype(np.float64), feed["t"].astype(np.float64)
    a = x @ w.T
    second = w.T if mode == "STRICT" else w.reshape(3, 4)
    dy = (a @ second - t) / 2
    da, slope_b = dy @ second.T, a.T @ dy
    slope = da.T @ x + (slope_b.T if mode == "STRICT" else slope_b.reshape(w.shape))
    assert np.abs(weights(solver)["a/0"] - (w - 0.1 * slope)).max() <= 1e-6


def test_same_bits_in_every_run(bench: Bench, feed: dict[str, np.ndarray]) -> None:
    def run() -> dict[str, np.ndarray]:
        solver = bench.solver(threads=2)
        solver.step(3, feed)
        return weights(solver)

    first, second = run(), run()
    assert all((first[k] == second[k]).all() for k in first)


def test_weights_to_start_from(bench: Bench, feed: dict[str, np.ndarray]) -> None:
    graph = graphc.load(bench.folder / "net.prototxt", seed=9)
    given = bench.folder / "start.npz"
    np.savez(given, **{f"{k}/{i}": a for k, v in graph.params.items() for i, a in enumerate(v)})
    solver = bench.solver(weights=given)
    assert (solver.net.params["ip"][0] == graph.params["ip"][0]).all()


def test_the_plan_is_of_the_program_that_runs(bench: Bench) -> None:
    solver = bench.solver()
    planned = lowered(bench.folder / "net.prototxt", train=True, threads=solver.net.threads)
    assert planned.plan.peak_bytes == solver.net.plan.peak_bytes
    assert planned.plan.breakdown == solver.net.plan.breakdown
    history = sum(a.nbytes for blobs in solver.net.params.values() for a in blobs)
    assert planned.plan.breakdown["history"] >= history


def test_wrong_steps(bench: Bench, feed: dict[str, np.ndarray]) -> None:
    solver = bench.solver()
    before = weights(solver)
    for wrong in ({}, {"x": feed["x"]}, feed | {"x": feed["x"][:2]}, feed | {"y": feed["x"]}):
        with pytest.raises(GraphError, match="GC-R001"):
            solver.step(1, wrong)
    for n in (-1, 1.5, True):
        with pytest.raises(GraphError, match="GC-R004"):
            solver.step(n, feed)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=re.compile("GC-R003.*gradients", re.DOTALL)):
        solver.net.backward()
    after = weights(solver)
    assert all((before[k] == after[k]).all() for k in before)
    solver.step(0)
    assert solver.iter == 0
