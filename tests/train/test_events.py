"""Events tell what real Caffe's log tells."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from graphc.train import events as ev

SHARED = Path(os.environ.get("GRAPHC_SHARED", "../shared"))
KINDS = {
    cls.kind: cls
    for cls in (
        ev.TestStart,
        ev.TestOutput,
        ev.TrainLoss,
        ev.TrainOutput,
        ev.LearningRate,
        ev.Snapshot,
        ev.TestBatch,
        ev.FinalLoss,
        ev.Final,
    )
}


def test_tuples_are_those_of_the_golden_log():
    path = SHARED / "golden" / "solvers" / "cli_train.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    golden = json.loads(path.read_text())
    told = [row for part in ("train", "resume_from_10", "test") for row in golden[part]]
    assert {kind for kind, *_ in told} == KINDS.keys()
    for kind, *values in told:
        assert list(KINDS[kind](*values).tuple()) == [kind, *values]


def test_tuples():
    assert ev.TestStart(5, 0).tuple() == ("test_start", 5, 0)
    assert ev.LearningRate(8, 0.025).tuple() == ("lr", 8, 0.025)
    assert ev.Tick(3, 1.5, 0.1, 64, 0.01).tuple()[0] not in KINDS


def test_numbers_of_one_output_are_told_apart():
    assert ev.element_names(["acc", "p", "p", "loss"]) == ["acc", "p[0]", "p[1]", "loss"]
