"""Networks on target cuda, with a stand-in for CuPy and kernels on the CPU: the device as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_cupy
import numpy as np
import pytest

import graphc
from graphc.cuda import on_cpu
from graphc.errors import GraphError
from graphc.runtime import cuda as cuda_device

MODELS = Path(__file__).resolve().parents[2] / "models"
NET = """name: "small"
layer { name: "data" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 4 dim: 2 dim: 12 dim: 12 } shape { dim: 4 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "drop1" type: "Dropout" bottom: "pool1" top: "pool1" }
layer { name: "ip1" type: "InnerProduct" bottom: "pool1" top: "ip1"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip1" bottom: "label" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.1 momentum: 0.9 lr_policy: "fixed" max_iter: 9 display: 0 '
SOLVER += 'snapshot_prefix: "small" random_seed: 3'

pytestmark = pytest.mark.skipif(bool(on_cpu.unavailable()), reason="kernels cannot be built here")


class Kernels:
    """Launches that run on the CPU when their stream comes to them."""

    def __init__(self, gpu: Any) -> None:
        self._kernels = on_cpu.Kernels()
        self.load = self._kernels.load

    def launch(self, launch: Any, args: Any, stream: int) -> None:
        kernels = self._kernels
        fake_cupy.Stream.by_address[stream].enqueue(lambda: kernels.launch(launch, args))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    fake_cupy.install(monkeypatch)
    monkeypatch.setattr(cuda_device, "Kernels", Kernels)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path


def trained(target: str, steps: int = 4, **how: Any) -> tuple[Any, list[float]]:
    solver = graphc.Solver("solver.prototxt", target=target, **how)
    rng = np.random.default_rng(5)
    losses = []
    for _ in range(steps):
        feed = {"data": rng.standard_normal((4, 2, 12, 12)), "label": rng.integers(0, 5, 4)}
        solver.step(1, feed=feed)
        losses.append(solver.loss)
    return solver, losses


@pytest.mark.parametrize("mode", ["graph", "eager", "trace"])
def test_steps_give_the_bits_of_the_fake_device(
    folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_GPU", mode)
    ours, losses = trained("cuda")
    theirs, wanted = trained("fake")
    assert losses == wanted and len({*losses}) == 4
    for layer, blobs in theirs.net.params.items():
        for blob, own in zip(blobs, ours.net.params[layer], strict=True):
            np.testing.assert_array_equal(own, blob)


def test_a_network_runs_and_an_artefact_of_the_cpu_too(folder: Path) -> None:
    net = graphc.compile(str(MODELS / "lenet" / "deploy.prototxt"))
    net.save("lenet.gcz")
    x = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
    (wanted,) = net.run({"data": x}).values()
    with graphc.open("lenet.gcz", target="cuda") as exe:
        assert exe.target == exe.plan.target == "cuda"
        for _ in range(3):
            (found,) = exe.run({"data": x}).values()
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
        exe.save("on-gpu.gcz")
    assert graphc.open("on-gpu.gcz", target="cpu").run({"data": x})


def test_a_lost_gpu_leaves_the_snapshot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solver, _ = trained("cuda", 2)
    saved = Path(solver.snapshot())
    before = {path.name: path.read_bytes() for path in folder.glob("small_iter_2*")}

    def fall(self: object) -> None:
        raise fake_cupy.CUDARuntimeError("cudaErrorLaunchFailure: unspecified launch failure")

    with monkeypatch.context() as broken:
        broken.setattr(fake_cupy.Stream, "synchronize", fall)
        with pytest.raises(GraphError, match="GC-X002: the GPU failed") as caught:
            solver.step(1, feed={"data": np.ones((4, 2, 12, 12)), "label": np.zeros(4)})
    assert caught.value.exit_code == 6 and "--resume" in caught.value.hint
    assert len(before) >= 2 and saved.name in {*before, "small_iter_2.solverstate"}
    assert before == {path.name: path.read_bytes() for path in folder.glob("small_iter_2*")}
    again = graphc.Solver.resume(
        "small_iter_2.solverstate", solver="solver.prototxt", target="cuda"
    )
    assert again.iter == 2


def test_too_little_device_memory_names_the_budget(folder: Path) -> None:
    fake_cupy.Runtime.room, room = 20_000, fake_cupy.Runtime.room
    try:
        with pytest.raises(GraphError, match="of 20,000 B, and the plan needs") as caught:
            trained("cuda", 1)
    finally:
        fake_cupy.Runtime.room = room
    assert (caught.value.code, caught.value.exit_code) == ("GC-M002", 5)
    assert "--memory " in caught.value.hint


def test_budgets_hold_and_copies_go_beside(folder: Path) -> None:
    free, _ = trained("cuda", 1)
    peak = free.net.plan.peak_bytes
    tight, losses = trained("cuda", memory=peak - 3_000, host="1MiB")
    assert tight.net.plan.peak_bytes <= peak - 3_000
    assert losses == pytest.approx(trained("cuda")[1], rel=1e-6)


@pytest.mark.parametrize("target", ["cuda:", "cuda:x", "cpu:1", "cuda:1234567"])
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(GraphError, match="no target") as caught:
        graphc.compile(str(MODELS / "lenet" / "deploy.prototxt"), target=target)
    assert caught.value.code == "GC-R002" and "cuda:N" in caught.value.hint


def test_a_gpu_that_is_not_there(folder: Path) -> None:
    with pytest.raises(GraphError, match="no GPU 1: there are 1") as caught:
        graphc.compile(str(MODELS / "lenet" / "deploy.prototxt"), target="cuda:1")
    assert caught.value.exit_code == 6
