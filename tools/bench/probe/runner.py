"""Runs stages one after the other within a budget, each in a child process with a deadline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

TOOLS = Path(__file__).resolve().parents[2]

# Below this a child would spend its time on starting Python.
LEAST_S = 1.0


@dataclass(frozen=True)
class Stage:
    """`share` is the stage's part of the budget relative to the others; `asks` what it settles."""

    name: str
    share: float
    asks: str
    module: str


def allowance(left_s: float, shares: Sequence[float]) -> float:
    """left_s * shares[0] / sum(shares): seconds for the next stage; what it saves is passed on."""
    return max(0.0, left_s) * shares[0] / sum(shares)


def read_facts(path: Path) -> dict[str, Any]:
    """The lines a child wrote, gathered; a last line torn by a kill is dropped."""
    found: dict[str, Any] = {
        "status": None,
        "facts": {},
        "lines": [],
        "missing": [],
        "failed": [],
        "error": None,
    }
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "fact" in entry:
            found["facts"][entry["fact"]] = entry["value"]
        elif "line" in entry:
            found["lines"].append(entry["line"])
        elif "missing" in entry:
            found["missing"].append({"what": entry["missing"], "why": entry["why"]})
        elif "failed" in entry:
            found["failed"].append({"part": entry["failed"], **entry["error"]})
        elif "end" in entry:
            found["status"], found["error"] = entry["end"], entry["error"]
    return found


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and what it started; it has a session of its own."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def run_stage(stage: Stage, seconds: float, dry: bool) -> tuple[dict[str, Any], str]:
    """Run one stage for at most `seconds`. Returns its record and the text it printed."""
    path = os.pathsep.join(filter(None, (str(TOOLS), os.environ.get("PYTHONPATH"))))
    began = time.monotonic()
    with TemporaryDirectory(prefix="gpu-probe-") as folder:
        file, printed = Path(folder, "facts.jsonl"), Path(folder, "log.txt")
        command = [sys.executable, "-m", "bench.probe.child", stage.module, str(file)]
        with printed.open("wb") as log:
            child = subprocess.Popen(
                [*command, str(seconds), "dry" if dry else "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,
            )
            try:
                child.wait(timeout=seconds)
                late = False
            except subprocess.TimeoutExpired:
                late = True
            finally:
                _stop(child)
        found = read_facts(file)
        text = printed.read_text(encoding="utf-8", errors="replace")
    if found["status"] is None:
        found["status"] = "overrun" if late else "crashed"
        message = f"stopped after {seconds:.1f} s" if late else f"exit status {child.returncode}"
        found["error"] = {"type": found["status"], "message": message, "where": stage.module}
    spent = time.monotonic() - began
    record = {"name": stage.name, "seconds": round(spent, 2), "allowed_s": round(seconds, 2)}
    return record | found, text


def skipped(stage: Stage, seconds: float) -> dict[str, Any]:
    """The record of a stage that no time was left for."""
    found = read_facts(Path(os.devnull))
    found["status"] = "skipped"
    found["error"] = {"type": "skipped", "message": f"{seconds:.1f} s left", "where": stage.module}
    return {"name": stage.name, "seconds": 0.0, "allowed_s": round(seconds, 2)} | found


def run_all(
    stages: Sequence[Stage],
    budget_s: float,
    dry: bool,
    done: Callable[[dict[str, Any], str], None],
) -> None:
    """Run every stage, whatever became of the one before; `done` gets each record at once."""
    end = time.monotonic() + budget_s
    for index, stage in enumerate(stages):
        left = end - time.monotonic()
        seconds = allowance(left, [entry.share for entry in stages[index:]])
        if seconds < LEAST_S:
            done(skipped(stage, seconds), "")
        else:
            done(*run_stage(stage, seconds, dry))
