"""docs/cuda.md shows what its example prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "cuda.md"


def test_the_example_prints_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)
    exec(example, {})
    assert f"prints `{capsys.readouterr().out.strip()}`" in text
