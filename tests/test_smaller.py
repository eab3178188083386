"""tools/smaller.py: the table of docs/smaller.md, in far fewer iterations."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest


def test_each_step_is_a_row(
    root: Path, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = root / "tools" / "smaller.py"
    if not path.exists():
        pytest.skip("tools/ is not in the installed package")
    spec = importlib.util.spec_from_file_location("smaller", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "smaller", module)
    spec.loader.exec_module(module)
    plan = module.PLANS["lenet"]
    short = dataclasses.replace(plan, rounds=[(passes, 5) for passes, _ in plan.rounds])
    monkeypatch.setitem(module.PLANS, "lenet", short)
    monkeypatch.setattr(module, "ROUNDS", 1)
    monkeypatch.setattr(module, "CALIBRATION", 64)
    data = tmp_path / "few.npz"
    with np.load(shared / "data" / "mnist.npz") as file:
        np.savez(data, **{name: file[name][:1000] for name in file.files})
    words = ["lenet", str(data), "--out", str(tmp_path)]
    module.main(words)
    printed = capsys.readouterr().out
    module.main([*words, "--measure"])
    for out in (printed, capsys.readouterr().out):
        rows = [line.split(" | ") for line in out.splitlines() if line.startswith("| ")]
        told = (root / "docs" / "smaller.md").read_text().partition("## CIFAR")[0].splitlines()
        written = [line.split(" | ") for line in told if line.startswith("| ")]
        assert [row[1:3] for row in rows] == [row[1:3] for row in written] and len(rows) == 7
        assert rows[1][:3] == written[1][:3] and float(rows[1][3]) > 0.97
        assert rows[6][0] == written[6][0]
