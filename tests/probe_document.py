"""The GPU probe's document as a strict reader takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def strict(path: Path) -> Any:
    """JSON without NaN and infinities."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(path.read_text(), parse_constant=refuse)
