"""Training runs of real Caffe, repeated: weights after 1, 2, 5, 10, 20 updates, and the losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphc import Solver
from graphc.train.checkpoint.caffe_state import read_state
from graphc.train.settings import read_settings

RUNS = (
    *("adadelta", "adadelta_l2", "adagrad", "adagrad_l2", "adam", "adam_l2", "adam_prelu"),
    *("clip_gradients", "iter_size2", "iter_size2_hdf5", "iter_size_clip"),
    *("lr_exp", "lr_inv", "lr_multistep", "lr_poly", "lr_sigmoid", "lr_step"),
    *("nesterov", "nesterov_hdf5_snapshot", "nesterov_l2", "rmsprop", "rmsprop_l2"),
    *("sgd_batchnorm", "sgd_l1", "sgd_momentum", "sgd_momentum_l2", "sgd_plain", "sgd_shared"),
    "solver_type_enum",
)
CHECKED = (1, 2, 5, 10, 20)


def test_every_run_is_here(caffe: Path) -> None:
    named = {path.stem for path in (caffe / "solvers").glob("*.npz")} - {"solver_data"}
    assert named == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(("target", "fused"), [("reference", True), ("cpu", True), ("cpu", False)])
def test_run(
    name: str, target: str, fused: bool, caffe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = caffe / "solvers"
    monkeypatch.chdir(folder)  # data sources are named from there
    golden = np.load(folder / f"{name}.npz", allow_pickle=False)
    batches = np.load(folder / "solver_data.npz", allow_pickle=False)
    path = folder / f"{name}.solver.prototxt"
    net = read_settings(path).net.net
    start = net.with_name(f"{net.stem}_init.caffemodel")
    solver = Solver(path, start, target=target, fused_update=fused)
    compared = check_weights(solver, golden, 0)
    for iteration in range(20):
        feed = {blob: batches[blob][iteration] for blob in solver.net.inputs}
        solver.iterate(feed, tell=True)
        last = float(solver.net.told["loss"])
        assert abs(last - golden["loss_last_forward"][iteration]) <= 1e-4
        assert solver.loss == pytest.approx(golden["loss_logged"][iteration], rel=2e-4)
        assert solver.rate == pytest.approx(golden["lr_logged"][iteration], rel=1e-5)
        if iteration + 1 in CHECKED:
            compared += check_weights(solver, golden, iteration + 1)
    assert compared == sum(key.startswith("w") for key in golden.files)
    if "state_current_step" in golden.files:  # the HDF5 snapshot was not looked into
        assert solver.schedule.current_step == golden["state_current_step"]
    solver.close()


SNAPSHOTS = (
    *("adadelta", "adam", "lr_multistep", "sgd_batchnorm", "sgd_momentum_l2"),
    "nesterov_hdf5_snapshot",
)


def test_every_snapshot_is_here(caffe: Path) -> None:
    named = {path.name.split("_iter_")[0] for path in (caffe / "solvers").glob("*_iter_10.*")}
    assert named == {*SNAPSHOTS, "cli_train"}


@pytest.mark.parametrize("name", SNAPSHOTS)
@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_going_on_from_caffe(
    name: str, target: str, caffe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten iterations after real Caffe's ten; then our snapshot beside Caffe's."""
    folder = caffe / "solvers"
    golden = np.load(folder / f"{name}.npz", allow_pickle=False)
    batches = np.load(folder / "solver_data.npz", allow_pickle=False)
    suffix = ".h5" if "hdf5" in name else ""
    monkeypatch.chdir(tmp_path)  # the weights are found beside the state
    solver = Solver.resume(
        folder / f"{name}_iter_10.solverstate{suffix}",
        folder / f"{name}.solver.prototxt",
        target=target,
    )
    assert solver.iter == 10
    for iteration in range(10, 20):
        solver.step(1, {blob: batches[blob][iteration] for blob in solver.net.inputs})
    check_weights(solver, golden, 20)
    written = solver.snapshot(tmp_path / name)
    assert written == str(tmp_path / f"{name}_iter_20.caffemodel{suffix}")
    state = read_state(tmp_path / f"{name}_iter_20.solverstate{suffix}")
    theirs = read_state(folder / f"{name}_iter_20.solverstate{suffix}")
    assert (state.iter, state.current_step) == (20, theirs.current_step)
    assert [a.shape for a in state.history] == [a.shape for a in theirs.history]
    for ours, expected in zip(state.history, theirs.history, strict=True):
        bound = 2e-5 * max(1.0, np.abs(expected).max(initial=0)) + 2e-4 * np.abs(expected)
        assert (np.abs(ours - expected) <= bound).all()
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
