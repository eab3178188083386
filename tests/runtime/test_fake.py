"""Target "fake": what a GPU would run gives the numbers that the C++ core gives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from texts import conv, fc, feed, layer, softmax_loss

import graphc
from graphc.cuda.on_cpu import unavailable
from graphc.errors import GraphError
from graphc.runtime.fake import EARLY, LATE, RANDOM, FakeDevice, Order

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

MODELS = Path(__file__).resolve().parents[2] / "models"
NET = (
    feed(data=(3, 2, 9, 8), label=(3,))
    + conv("data", "conv", 4, more="param { } param { lr_mult: 0 }")
    + layer("BatchNorm", "conv", "conv", name="bn")
    + layer("Scale", "conv", "conv", "scale_param { bias_term: true }", name="scale")
    + layer("ReLU", "conv", "conv", name="relu")
    + layer("LRN", "conv", "norm", "lrn_param { local_size: 3 alpha: 0.5 }")
    + layer("Pooling", "norm", "max", "pooling_param { kernel_size: 3 stride: 2 }")
    + conv("max", "left", 3, 1)
    + conv("max", "right", 3, 1)
    + layer("Eltwise", "left right", "sum")
    + layer("Concat", "sum right max", "join")
    + layer("Pooling", "join", "mean", "pooling_param { pool: AVE kernel_size: 2 stride: 2 }")
    + layer("Dropout", "mean", "mean", name="drop")
    + fc("mean", "ip", 5)
    + softmax_loss("ip")
    + layer("Accuracy", "ip label", "accuracy", "include { phase: TEST }")
)
SOLVER = """net: "{net}" base_lr: 0.1 lr_policy: "step" stepsize: 2 gamma: 0.5 momentum: 0.9
weight_decay: 0.01 iter_size: 2 test_iter: 2 test_interval: 9 random_seed: 3 type: "{type}"
snapshot_prefix: "{prefix}" clip_gradients: {clip}"""
Arrays = dict[str, np.ndarray]


def feeds(graph: graphc.Graph, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    shapes = {v.name: v.type.shape for v in graph.inputs}
    return {
        name: np.float32(rng.integers(0, 5, s) if name == "label" else rng.standard_normal(s))
        for name, s in shapes.items()
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "net.prototxt"
    found.write_text(NET)
    return found


@pytest.fixture
def net(path: Path) -> graphc.Graph:
    return graphc.load(path, phase="TRAIN")


def near(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], most: float) -> None:
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        scale = np.abs(array).max() + 1e-6
        assert np.abs(found[name] - array).max() <= most * scale, name


def flat(params: Mapping[str, tuple[np.ndarray, ...]]) -> Arrays:
    return {f"{name}.{i}": a.copy() for name, own in params.items() for i, a in enumerate(own)}


def slopes(exe: graphc.Executable) -> Arrays:
    grads = exe.backward()
    return flat(grads.params) | grads.blobs


@pytest.mark.parametrize(("type_", "clip"), [("SGD", -1), ("Adam", 0.5)])
def test_a_solver_learns_what_it_learns_on_the_cpu(
    type_: str, clip: float, path: Path, tmp_path: Path
) -> None:
    """Several passes for a step, a rate that changes, networks that are tested, snapshots."""
    solver = tmp_path / "solver.prototxt"
    told = SOLVER.format(net=path, type=type_, prefix=tmp_path / "s", clip=clip)
    solver.write_text(told)
    learned: dict[str, Arrays] = {}
    for target in ("cpu", "fake"):
        ours = graphc.Solver(solver, target=target)
        given = feeds(ours.net.graph)
        ours.step(3, feed=given)
        means, loss = ours.test(feed=given)
        learned[target] = flat(ours.net.params) | means | {"loss": np.array(loss)}
        assert ours.tests[0].params["ip"][0].tobytes() == ours.net.params["ip"][0].tobytes()
        ours.snapshot(str(tmp_path / target))
        state = tmp_path / f"{target}_iter_3.solverstate"
        again = graphc.Solver.resume(state, solver=solver, target=target)
        for each in (ours, again):
            each.step(1, feed=given)
        one, other = flat(ours.net.params), flat(again.net.params)
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)
    near(learned["fake"], learned["cpu"], 1e-4)


NETS = {"lenet": 1}
ALL = os.environ.get("GRAPHC_FAKE_NETS") == "all"
if ALL:  # a minute more
    NETS["resnet20"] = 2


@pytest.mark.parametrize("name", NETS)
def test_the_gradients_of_networks(name: str) -> None:
    net = graphc.load(MODELS / name / "train.prototxt", phase="TRAIN", batch=NETS[name])
    given, found = feeds(net), {}
    for target in ("cpu", "fake"):
        exe = graphc.compile(net, target=target, train=True)
        found[target] = exe.forward(given) | slopes(exe)
    near(found["fake"], found["cpu"], 1e-4)


@pytest.mark.skipif(not ALL, reason="nightly, with GRAPHC_FAKE_NETS=all")
@pytest.mark.parametrize("name", NETS)
def test_networks_train_as_on_the_cpu(name: str, tmp_path: Path) -> None:
    """Two steps, so that the second one begins with what the first one learned."""
    path, solver = MODELS / name / "train.prototxt", tmp_path / "solver.prototxt"
    solver.write_text(
        f'net: "{path}" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 random_seed: 1'
    )
    learned: dict[str, Arrays] = {}
    for target in ("cpu", "fake"):
        ours = graphc.Solver(solver, target=target, batch=NETS[name])
        losses = [ours.step(1, feed=feeds(ours.net.graph, seed)) for seed in range(2)]
        learned[target] = flat(ours.net.params) | {"losses": np.array(losses)}
    near(learned["fake"], learned["cpu"], 1e-4)


def test_weights_that_are_written_count_and_statistics_are_seen(net: graphc.Graph) -> None:
    given = feeds(net)
    found = {}
    for target in ("cpu", "fake"):
        exe = graphc.compile(net, target=target, train=True)
        weight, mean = exe.params["ip"][0], exe.params["bn"][0]
        before = exe.forward(given)["loss"]
        weight *= 2
        after = exe.forward(given)["loss"]
        assert not np.array_equal(before, after) and mean.any()
        found[target] = {"before": before, "after": after} | flat(exe.params)
    near(found["fake"], found["cpu"], 1e-4)


RECURRENT = feed(x=(4, 3, 5), cont=(4, 3)) + layer(
    "LSTM", "x cont", "h", 'recurrent_param { num_output: 6 weight_filler { type: "xavier" } }'
)


def test_other_shapes_and_what_is_carried(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(RECURRENT)
    exes = [graphc.compile(path, target=target) for target in ("cpu", "fake")]
    rng = np.random.default_rng(0)
    for steps, streams in ((4, 3), (4, 3), (2, 3), (4, 2)):
        given = {"x": np.float32(rng.standard_normal((steps, streams, 5)))}
        given["cont"] = np.ones((steps, streams), np.float32)
        wanted, found = (exe.run(given) for exe in exes)
        near(found, wanted, 1e-5)
    for exe in exes:
        exe.reset()
    wanted, found = (exe.run(given) for exe in exes)
    near(found, wanted, 1e-5)


def test_an_artefact_runs_where_it_was_compiled_for(path: Path, tmp_path: Path) -> None:
    exe = graphc.compile(path, target="fake")
    given = feeds(exe.graph)
    wanted = exe.run(given)
    exe.save(tmp_path / "net.gcz")
    opened = graphc.open(tmp_path / "net.gcz")
    assert opened.target == "fake" and opened.plan == exe.plan
    assert all(opened.run(given)[name].tobytes() == wanted[name].tobytes() for name in wanted)


def test_a_label_that_is_no_class_fails_the_run(net: graphc.Graph) -> None:
    exe = graphc.compile(net, target="fake", train=True)
    given = feeds(net)
    given["label"][1] = 7
    with pytest.raises(GraphError, match=r"GC-D003.*'loss'.*element 1 "):
        exe.forward(given)
    given["label"][1] = 3
    assert np.isfinite(exe.forward(given)["loss"])


def test_calls_are_not_timed(path: Path) -> None:
    exe = graphc.compile(path, target="fake")
    exe.run(feeds(exe.graph))
    with pytest.raises(GraphError, match="GC-R003"):
        exe.times()


def test_without_a_compiler_it_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GraphError, match=r"GC-X001: .*no g\+\+"):
        graphc.compile(path, target="fake")


def queued(order: Order, seed: int = 0) -> list[int]:
    """The order in which a device does what two streams have, of which one waits for the other."""
    device, done = FakeDevice(order, seed), []
    for number in range(3):
        device.call_host(lambda number=number: done.append(number), 0)
    device.record(0, 0)
    device.call_host(lambda: done.append(10), 1)
    device.wait(0, 1)
    device.call_host(lambda: done.append(11), 1)
    device.synchronize()
    return done


def test_orders_are_those_that_events_allow() -> None:
    assert queued(LATE) == [0, 1, 2, 10, 11]
    assert queued(EARLY) == [10, 0, 1, 2, 11]
    found = {tuple(queued(RANDOM, seed)) for seed in range(30)}
    assert len(found) == 4 and all(each.index(11) > each.index(2) for each in found)


def test_streams_that_wait_for_each_other_are_an_error() -> None:
    device = FakeDevice()
    for stream in (0, 1):
        device.wait(stream, stream)
        device.record(1 - stream, stream)
    with pytest.raises(GraphError, match="GC-A001: all streams wait"):
        device.synchronize()


def test_fresh_memory_is_nan_and_aligned() -> None:
    device = FakeDevice()
    memory = device.arena(100)
    found = np.zeros(100, np.uint8)
    device.read(found, memory.address)
    assert memory.address % 256 == 0 and np.isnan(found.view(np.float32)).all()
