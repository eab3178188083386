"""graphc plan --train: the Program that a Solver runs."""

from pathlib import Path

import graphc

LENET = Path(__file__).resolve().parents[2] / "models/lenet/train.prototxt"
SGD = 'net: "x" base_lr: 0.1 lr_policy: "fixed" '


def test_updates_are_fused_unless_told(cli, tmp_path):
    solver = tmp_path / "solver.prototxt"
    solver.write_text(SGD)
    fused = cli("plan", LENET, "--train", "--solver", solver, "--json").json
    apart = cli("plan", LENET, "--train", "--solver", solver, "--no-fused-update", "--json").json
    assert fused["peak_bytes"] == graphc.plan(LENET, train=True, solver=solver).peak_bytes
    assert fused["peak_bytes"] < apart["peak_bytes"]
    plan = graphc.plan(LENET, train=True, solver=solver, fused_update=False)
    assert apart["peak_bytes"] == plan.peak_bytes
    assert list(plan.entries) == ["forward", "backward", "update"]
    assert fused["breakdown"]["history"] == fused["breakdown"]["weights"] > 0


def test_wrong_solver(cli, tmp_path):
    solver = tmp_path / "solver.prototxt"
    solver.write_text(SGD + "larc: true")
    unsupported = cli("plan", LENET, "--train", "--solver", solver)
    assert (unsupported.code, "GC-U001" in unsupported.err) == (4, True)
    missing = cli("plan", LENET, "--train", "--solver", tmp_path / "no")
    assert (missing.code, "GC-F001" in missing.err) == (7, True)
    idle = cli("plan", LENET, "--solver", solver)
    assert (idle.code, "GC-R002" in idle.err) == (2, True)
