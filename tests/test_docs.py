"""The tutorials work as typed: their files are written out, their commands and scripts run."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from graphc.train import events

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.S | re.M)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(folder)},
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", ["new-layer.md", "new-pass.md"])
def test_tutorial(name: str, tmp_path: Path) -> None:
    blocks = BLOCK.findall((DOCS / name).read_text(encoding="utf-8"))
    scripts = []
    for _language, file, body in blocks:
        if file:
            (tmp_path / file).write_text(body, encoding="utf-8")
        if file in ("check.py", "use.py"):
            scripts.append(file)
    ran = 0
    for language, _file, body in blocks:
        for line in body.splitlines() if language == "sh" else ():
            run([sys.executable, "-m", "graphc", *line.split()[1:]], tmp_path)
            ran += 1
    for script in scripts:
        assert run([sys.executable, script], tmp_path).strip()
    assert ran >= 2
    assert len(scripts) == 1


def test_listeners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/training.md makes of a run's events."""
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    (script,) = (body for _, _, body in BLOCK.findall(text) if "graphc.report" in body)
    monkeypatch.chdir(tmp_path)
    solver = SimpleNamespace(net=SimpleNamespace(plan=SimpleNamespace(peak_bytes=1 << 20)))
    exec(script, {"max_iter": 1, "solver": solver, "run": [events.Tick(0, 1.5, 0.1, 1, 0.1)]})
    assert Path("log.csv").read_text().splitlines()[1].endswith(",1.5,,0.1")
    assert "last loss" in Path("run.html").read_text()


def test_every_pass_is_described() -> None:
    """With its condition, and those that run by default in their order."""
    text = (DOCS / "passes.md").read_text(encoding="utf-8")
    from graphc.passes.registry import DEFAULT, _built_in

    headings = re.findall(r"^## (\w+)$", text, re.M)
    assert set(headings) == set(_built_in())
    order = re.findall(r"`(\w+)`", text.partition("1. ")[2].partition("and again")[0])
    assert tuple(order) == DEFAULT
