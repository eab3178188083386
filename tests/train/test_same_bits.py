"""Training gives the same bits in every run and process, wherever the plan puts things, and, if
that is asked for, with any number of threads."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plan.apart import unplanned

import graphc
from graphc.runtime.executable import Gradients
from graphc.services import sample_inputs

MODELS = Path(__file__).resolve().parents[2] / "models"
NETS = {"lenet": 5, "cifar10_quick": 4, "cifar10_full": 3, "resnet20": 3, "squeezenet_v1.1": 1}
SOLVER = 'net: "{}" base_lr: 0.01 momentum: 0.9 weight_decay: 0.001 lr_policy: "fixed" '
DIGEST = """
import sys; from pathlib import Path; sys.path[:0] = {paths}
from train.test_same_bits import digest, trained
print(digest(trained(Path(sys.argv[1]), sys.argv[2], threads=2)))
"""
Weights = Mapping[str, np.ndarray]


def feeds(graph: graphc.Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    given = sample_inputs(graph)
    labels = [name for name, array in given.items() if array.ndim < 4]
    return given | {name: rng.integers(0, 10, given[name].shape) for name in labels}


def trained(
    folder: Path, name: str, check: Mapping[str, bool] | None = None, **words: Any
) -> Weights:
    """The weights after two steps."""
    path = folder / f"{name}.solver.prototxt"
    path.write_text(SOLVER.format(MODELS / name / "train.prototxt"))
    solver = graphc.Solver(path, batch=NETS[name], **words)
    solver.net._executor.check = dict(check or {})
    solver.step(2, feeds(solver.net.graph))
    blobs = solver.net.params.items()
    return {f"{layer}/{i}": a.copy() for layer, own in blobs for i, a in enumerate(own)}


def digest(weights: Weights) -> str:
    return hashlib.sha256(b"".join(weights[k].tobytes() for k in sorted(weights))).hexdigest()


def differ(one: Weights, two: Weights) -> list[str]:
    return [key for key in one if not np.array_equal(one[key], two[key], equal_nan=True)]


@pytest.mark.parametrize("name", NETS)
def test_wherever_the_plan_puts_things(name: str, tmp_path: Path) -> None:
    planned = trained(tmp_path, name)
    assert all(np.isfinite(blob).all() for blob in planned.values())
    assert not differ(planned, trained(tmp_path, name, {"poison": True}))
    assert not differ(planned, trained(tmp_path, name, {"audit": True}))
    with unplanned():
        assert not differ(planned, trained(tmp_path, name))


@pytest.mark.parametrize("name", ["lenet", "resnet20"])
def test_in_another_process(name: str, tmp_path: Path) -> None:
    here = digest(trained(tmp_path, name, threads=2))
    code = DIGEST.format(paths=[str(Path(__file__).parents[1])])
    command = [sys.executable, "-c", code, str(tmp_path), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == here


def gradients(name: str, **words: Any) -> Gradients:
    net = graphc.load(MODELS / name / "train.prototxt", phase="TRAIN", batch=NETS[name])
    with graphc.compile(net, train=True, **words) as exe:
        exe.forward(feeds(exe.graph))
        return exe.backward()


@pytest.mark.parametrize("name", NETS)
def test_threads_change_little(name: str) -> None:
    one, two = (gradients(name, threads=threads).params for threads in (1, 2))
    for layer, blobs in one.items():
        for index, blob in enumerate(blobs):
            error = np.linalg.norm((blob - two[layer][index]).astype(np.float64))
            assert error <= 1e-5 * max(np.linalg.norm(blob), 1e-6), (layer, index)


@pytest.mark.parametrize("name", NETS)
def test_deterministic_is_so_with_any_number_of_threads(name: str, tmp_path: Path) -> None:
    one, two = (trained(tmp_path, name, threads=t, deterministic=True) for t in (1, 2))
    assert not differ(one, two)
    made = [gradients(name, threads=t, deterministic=True).params for t in (1, 2)]
    for layer, blobs in made[0].items():
        assert all((a == b).all() for a, b in zip(blobs, made[1][layer], strict=True)), layer


def test_an_artefact_stays_deterministic(tmp_path: Path) -> None:
    net = graphc.load(MODELS / "lenet" / "train.prototxt", phase="TRAIN", batch=5)
    graphc.compile(net, train=True, deterministic=True, threads=1).save(tmp_path / "a.gcz")
    graphc.compile(net, train=True).save(tmp_path / "b.gcz")
    assert not graphc.open(tmp_path / "b.gcz").deterministic
    found = []
    for threads in (1, 2):
        with graphc.open(tmp_path / "a.gcz", threads=threads) as exe:
            assert exe.deterministic
            exe.forward(feeds(exe.graph))
            found.append(exe.backward().params)
    for layer, blobs in found[0].items():
        assert all((a == b).all() for a, b in zip(blobs, found[1][layer], strict=True)), layer
