"""What a stage writes down while it runs, one JSON line each, so that a killed stage leaves all."""

from __future__ import annotations

import importlib
import json
import math
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any


class Missing(Exception):
    """A package, library or device that a stage needs is not there."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what, self.why = what, why


def plain(value: Any) -> Any:
    """`value` as strict JSON can hold it: NumPy scalars as numbers, NaN and infinities as text."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)


def described(error: BaseException) -> dict[str, str]:
    """Type, message and innermost place of an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return {"type": type(error).__name__, "message": str(error)[:2000], "where": place}


class Facts:
    """The record of one stage. `facts(name, value)` notes a fact, `say` a line of the table."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.missing = False
        self.failed = False

    def _write(self, entry: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(entry), allow_nan=False) + "\n")

    def __call__(self, name: str, value: Any) -> None:
        self._write({"fact": name, "value": value})

    def say(self, line: str) -> None:
        self._write({"line": line[:500]})

    def miss(self, what: str, why: str) -> None:
        self.missing = True
        self._write({"missing": what, "why": why[:500]})

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Run a piece that may fail without ending its stage; the failure is written down."""
        try:
            yield
        except Missing as error:
            self.miss(error.what, error.why)
        except Exception as error:
            self.failed = True
            self._write({"failed": name, "error": described(error)})

    def end(self, status: str, error: BaseException | None = None) -> None:
        self._write({"end": status, "error": described(error) if error else None})


class Clock:
    """Counts the seconds a stage has; a stage stops by itself before it would be killed."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds - min(3.0, 0.1 * seconds)

    def left(self) -> float:
        return self._end - time.monotonic()


def need(module: str, package: str = "") -> ModuleType:
    """Import `module`; Missing if it or a library it loads is absent."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise Missing(package or module, f"{type(error).__name__}: {error}") from error
