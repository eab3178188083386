"""tools/smaller.py: the table of docs/smaller.md, in far fewer iterations."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

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
    short = dataclasses.replace(module.PLANS["lenet"], iterations=10)
    monkeypatch.setitem(module.PLANS, "lenet", short)
    monkeypatch.setattr(module, "ROUNDS", 1)
    module.main(["lenet", str(shared / "data" / "mnist.npz"), "--out", str(tmp_path)])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "| " in line]
    told = (root / "docs" / "smaller.md").read_text().splitlines()
    written = [line.split(" | ") for line in told if line.startswith("| ")]
    assert rows[0] == written[0] and len(rows) == len(written) == 7
    assert [row[1:3] for row in rows[:3]] == [row[1:3] for row in written[:3]]
    assert float(rows[1][3]) == float(written[1][3])
    assert int(rows[5][1].replace(",", "")) <= 0.25 * int(rows[1][1].replace(",", ""))
    assert rows[6][0] == written[6][0] and rows[6][1] == rows[5][1]
