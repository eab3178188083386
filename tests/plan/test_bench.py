"""tools/bench/planning.py: one row for each network and target."""

from __future__ import annotations

import pytest
from bench import planning


def test_a_row_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert planning.main(["--layers", "12", "--repeat", "1"]) == 0
    head, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head[:3] == ["net", "target", "steps"]
    steps = {tuple(row[:3]): int(row[3]) for row in rows}
    assert len(rows) == len(steps) == 8
    assert steps["chain", "model", "inference"] == steps["chain", "cpu", "inference"] == 12
    assert steps["chain", "model", "training"] > 2 * 12
