"""One engine's process: orders in on stdin, answers out on stdout, one JSON object a line.

{"do": "hello"} -> version; "load" folder, batch, threads -> seconds, facts; "output" path ->
whether it was written; "turn" count -> wall, cpu; "peak" -> peak_bytes; "convert" folder; end of
input: leave.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.engines import Engine, make
from bench.peers.engines.base import Missing
from bench.peers.files import Files


class Desk:
    """Carries out orders. The engine is made by the first, so that its absence is an answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made: Engine | None = None
        self.x: Any = None

    @property
    def engine(self) -> Engine:
        if self.made is None:
            self.made = make(self.name)
        return self.made

    def hello(self) -> dict[str, Any]:
        return {"version": self.engine.version()}

    def load(self, folder: str, batch: int, threads: int) -> dict[str, Any]:
        files = Files(Path(folder))
        self.x = np.load(files.inputs(batch))
        began = time.perf_counter()
        self.engine.load(files, batch, threads)
        return {"seconds": time.perf_counter() - began, "facts": self.engine.facts()}

    def output(self, path: str) -> dict[str, Any]:
        y = self.engine.run(self.x)
        if y is not None:
            np.save(path, y)
        return {"written": y is not None}

    def turn(self, count: int) -> dict[str, Any]:
        found = self.engine.measure(self.x, count)
        return {"wall": found.wall, "cpu": found.cpu}

    def peak(self) -> dict[str, Any]:
        return {"peak_bytes": self.engine.peak_bytes()}

    def convert(self, folder: str) -> dict[str, Any]:
        self.engine.convert(Files(Path(folder)))
        return {}

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            told: dict[str, Any] = getattr(self, order.pop("do"))(**order)
            return told
        except (ImportError, Missing) as error:
            return {"missing": f"{error}"}
        except Exception as error:
            traceback.print_exc()
            return {"error": f"{type(error).__name__}: {error}"[:2000]}


def main(name: str) -> None:
    """Answer until stdin ends. What engines print goes to stderr."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        desk = Desk(name)
        for line in sys.stdin:
            print(json.dumps(desk.answer(json.loads(line))), file=out, flush=True)
