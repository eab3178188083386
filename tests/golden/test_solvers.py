"""Training runs of real Caffe, repeated: weights after 1, 2, 5, 10, 20 updates, and the losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphc import Solver
from graphc.train.settings import read_settings

RUNS = (
    "sgd_batchnorm",
    "sgd_momentum",
    "sgd_momentum_l2",
    "sgd_plain",
    "sgd_shared",
)
CHECKED = (1, 2, 5, 10, 20)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(("target", "fused"), [("reference", True), ("cpu", True), ("cpu", False)])
def test_run(name: str, target: str, fused: bool, caffe: Path) -> None:
    folder = caffe / "solvers"
    golden = np.load(folder / f"{name}.npz", allow_pickle=False)
    batches = np.load(folder / "solver_data.npz", allow_pickle=False)
    path = folder / f"{name}.solver.prototxt"
    net = read_settings(path).net
    start = net.with_name(f"{net.stem}_init.caffemodel")
    solver = Solver(path, start, target=target, fused_update=fused)
    compared = check_weights(solver, golden, 0)
    for iteration in range(20):
        feed = {blob: batches[blob][iteration] for blob in ("data", "label")}
        loss = solver.step(1, feed)
        assert abs(loss - golden["loss_last_forward"][iteration]) <= 1e-4
        if iteration + 1 in CHECKED:
            compared += check_weights(solver, golden, iteration + 1)
    assert compared == sum(key.startswith("w") for key in golden.files)
    solver.close()


def check_weights(solver: Solver, golden: np.lib.npyio.NpzFile, iteration: int) -> int:
    """How many blobs were compared with those after so many updates."""
    prefix, compared = f"w{iteration}/", 0
    for layer, blobs in solver.net.params.items():
        for index, blob in enumerate(blobs):
            expected = golden[f"{prefix}{layer}/{index}"]
            bound = 2e-5 * max(1.0, np.abs(expected).max()) + 2e-4 * np.abs(expected)
            assert blob.shape == expected.shape
            assert (np.abs(blob - expected) <= bound).all(), (iteration, layer, index)
            compared += 1
    return compared
