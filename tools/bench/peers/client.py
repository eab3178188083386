"""Worker: the parent's end of an engine's process."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

from bench.peers.engines import OURS

TOOLS = Path(__file__).resolve().parents[2]

# Appended, not put first: a peer's own imports must not find this folder's modules.
START = f"import sys; sys.path.append({str(TOOLS)!r}); "
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_WAIT_POLICY", "PYTHONDONTWRITEBYTECODE")
UNSET_PREFIXES = ("KMP_", "GOMP_", "OMP_PROC", "OMP_PLACES")


class EngineMissing(Exception):
    """The engine is not installed."""


class EngineFailed(Exception):
    """It raised an error, died or did not answer in time."""


def environment(threads: int, passive: bool) -> dict[str, str]:
    """This process's environment with the thread pools limited, OpenMP's waiting as it is by
    default unless `passive`, and bytecode kept, without which every start of graphc's own checkout
    would compile its sources, but not a start of the installed peers."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in UNSET and not name.startswith(UNSET_PREFIXES)
    }
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    env |= dict.fromkeys(pools, str(threads))
    return env | ({"OMP_WAIT_POLICY": "PASSIVE"} if passive else {})


def interpreter(engine: str, peers: str) -> str:
    """The Python of an engine: this one for graphc, else that of the peers."""
    return sys.executable if engine.startswith(OURS) else peers


class Worker:
    """A process that holds one engine; ended with the `with` block, whatever happens."""

    def __init__(self, engine: str, peers: str, env: Mapping[str, str], patience_s: float) -> None:
        self.engine, self.patience_s = engine, patience_s
        self._log = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        code = f"{START}from bench.peers.worker import main; main({engine!r})"
        try:
            self._child = subprocess.Popen(
                [interpreter(engine, peers), "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=dict(env),
                text=True,
            )
        except OSError as error:
            self._log.close()
            raise EngineFailed(f"{engine}: {error}") from error

    @property
    def pid(self) -> int:
        return self._child.pid

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """One order, one answer. Raises EngineMissing, EngineFailed."""
        assert self._child.stdin is not None
        try:
            print(json.dumps({"do": do, **order}), file=self._child.stdin, flush=True)
            line = self._line()
        except OSError:  # it died before
            line = ""
        if not line:
            raise EngineFailed(f"{self.engine}: died at {do!r}: {self._last_words()}")
        told: dict[str, Any] = json.loads(line)
        if "missing" in told:
            raise EngineMissing(f"{self.engine}: {told['missing']}")
        if "error" in told:
            raise EngineFailed(f"{self.engine}: {do!r}: {told['error']}")
        return told

    def _line(self) -> str:
        out = self._child.stdout
        assert out is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(out, selectors.EVENT_READ)
            if not waiting.select(self.patience_s):
                self._child.kill()
                raise EngineFailed(f"{self.engine}: no answer within {self.patience_s:.0f} s")
        return out.readline()

    def _last_words(self) -> str:
        """Exit status and the last line of stderr."""
        try:
            status = f"exit status {self._child.wait(5)}"
        except subprocess.TimeoutExpired:
            status = "still running"
        self._log.seek(0)
        lines = [line for line in self._log.read().splitlines() if line.strip()]
        return f"{status}; {lines[-1][:500]}" if lines else status

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let it leave by itself, else kill it; its memory is free afterwards."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was still to be sent to a dead process
                    pipe.close()
        deadline = time.monotonic() + 5
        while self._child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._log.close()
