"""The document that stays and the table that is read at once."""

from __future__ import annotations

import json
import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

FORMAT = 1


def document(budget_s: float, dry: bool, stages: list[str]) -> dict[str, Any]:
    """An empty document: the run's settings, and `stages`, filled as they end."""
    return {
        "format": FORMAT,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "budget_s": budget_s,
        "dry": dry,
        "asked": stages,
        "stages": [],
    }


def write_json(path: Path, value: Any) -> None:
    """Replace `path` in one move, so that a reader or a kill never meets half a document."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(draft, path)


def table(doc: dict[str, Any]) -> str:
    """One row per stage: name, status, seconds; below it what it found, lacked and failed at."""
    rows = []
    for stage in doc["stages"]:
        rows.append(f"{stage['name']:14} {stage['status']:8} {stage['seconds']:7.1f} s")
        notes = list(stage["lines"])
        notes += [f"missing {entry['what']}: {entry['why']}" for entry in stage["missing"]]
        notes += [f"failed {e['part']}: {e['type']}: {e['message']}" for e in stage["failed"]]
        if stage["error"]:
            notes.append("{where}: {type}: {message}".format(**stage["error"]))
        rows += [f"    {_short(note)}" for note in notes]
    return "\n".join(rows)


def _short(note: str, width: int = 150) -> str:
    note = " ".join(note.split())
    return note if len(note) <= width else note[: width - 3] + "..."
