"""A run that is killed, and goes on from its snapshot, ends with the bits of one that was not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphc import Solver

pytest.importorskip("PIL")

NET = """
name: "pictures"
layer { name: "data" type: "ImageData" top: "x" top: "label"
        transform_param { crop_size: 8 mirror: true scale: 0.01 }
        image_data_param { source: "list.txt" batch_size: 5 shuffle: true } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv" convolution_param {
        num_output: 6 kernel_size: 3 bias_term: false weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
        pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
TYPES = {
    "SGD": "base_lr: 0.01 momentum: 0.9 weight_decay: 0.01",
    "Nesterov": "base_lr: 0.01 momentum: 0.9 iter_size: 2",
    "AdaGrad": "base_lr: 0.01 weight_decay: 0.01 regularization_type: 'L1'",
    "RMSProp": "base_lr: 0.001 rms_decay: 0.95 clip_gradients: 1",
    "AdaDelta": "base_lr: 1 momentum: 0.95 delta: 1e-6",
    "Adam": "base_lr: 0.001 momentum: 0.9 iter_size: 2 clip_gradients: 1",
    "AdamW": "base_lr: 0.001 momentum: 0.9 weight_decay: 0.1",
}
POLICIES = {
    "fixed": "",
    "step": "gamma: 0.5 stepsize: 70",
    "exp": "gamma: 0.99",
    "inv": "gamma: 0.01 power: 0.75",
    "multistep": "gamma: 0.5 stepvalue: 60 stepvalue: 130",
    "poly": "power: 0.5",
    "sigmoid": "gamma: -0.05 stepsize: 100",
    "plateau": "gamma: 0.5 plateau_winsize: 12 plateau_winsize: 30 average_loss: 9",
    "multifixed": "stagelr: 0.01 stageiter: 90 stagelr: 0.005 stageiter: 150",
    "cosine": "warmup_iter: 120",
}
RUNS = [(kind, "step") for kind in TYPES] + [("SGD", policy) for policy in POLICIES]
HALF, ALL = 100, 200


def write(folder: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(3)
    lines = []
    for index in range(13):
        Image.fromarray(rng.integers(0, 255, (10, 11, 3), np.uint8)).save(folder / f"{index}.png")
        lines.append(f"{index}.png {index % 3}\n")
    (folder / "list.txt").write_text("".join(lines))
    (folder / "net.prototxt").write_text(NET)
    for kind, policy in RUNS:
        (folder / f"{kind}-{policy}.prototxt").write_text(
            f'net: "net.prototxt" type: "{kind}" lr_policy: "{policy}" max_iter: {ALL}\n'
            f'snapshot_prefix: "{kind}-{policy}" random_seed: 7 {TYPES[kind]} {POLICIES[policy]}'
        )


def half(folder: Path, threads: int) -> None:
    """What the process that is killed does."""
    import os

    for kind, policy in RUNS:
        solver = Solver(folder / f"{kind}-{policy}.prototxt", threads=threads)
        solver.step(HALF)
        solver.snapshot(folder / f"{kind}-{policy}")
        solver.step(3)
    os.kill(os.getpid(), signal.SIGKILL)


def bits(solver: Solver) -> dict[str, bytes]:
    found = {name: array.tobytes() for name, array in solver.net.graph.weights.items()}
    told = (solver.iter, solver.loss, solver.rate, solver.smoothed.value, solver.net.positions())
    return found | {"told": repr(told).encode()}


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits(threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    call = f"from train.test_going_on import *; half(Path('.'), {threads})"
    tests = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r}); {call}"]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for kind, policy in RUNS:
        name = f"{kind}-{policy}"
        whole = Solver(f"{name}.prototxt", threads=threads)
        whole.step(ALL)
        state = f"{name}_iter_{HALF}.solverstate"
        again = Solver.resume(state, f"{name}.prototxt", threads=threads)
        assert again.iter == HALF
        again.step(ALL - HALF)
        one, other = bits(whole), bits(again)
        assert one.keys() == other.keys()
        assert [k for k in one if one[k] != other[k]] == [], name
        whole.close()
        again.close()
