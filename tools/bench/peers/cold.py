"""run_cold: whole processes from start to first result, engines in turns, on one CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.peers.client import START, EngineFailed, EngineMissing, Worker, environment, interpreter
from bench.peers.engines import OURS
from bench.peers.files import Files
from bench.peers.rounds import Say, Settings, orders

CLI, FLOOR = "graphc run", "python+numpy"
SILENT = ("caffe",)  # tell times, but no outputs that a result could be


class Starter:
    """The small process that starts the others. `cpu`: the only one they may use."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("starter.py")
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, argv: Sequence[str], env: Mapping[str, str], cpu: int | None) -> dict[str, Any]:
        """Run a command to its end. Raises EngineFailed unless it exits with 0 and prints."""
        assert self._child.stdin is not None and self._child.stdout is not None
        order = {"argv": list(argv), "env": dict(env), "cpu": cpu}
        print(json.dumps(order), file=self._child.stdin, flush=True)
        told: dict[str, Any] = json.loads(self._child.stdout.readline())
        if told["status"] or told["first_s"] is None:
            raise EngineFailed(f"exit status {told['status']}: {told['words']}")
        return told

    def __enter__(self) -> Starter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._child.communicate()


def run_cold(
    net: str, files: Files, engines: Sequence[str], starts: int, to: Settings, say: Say
) -> dict[str, Any]:
    """`starts` counted starts of each engine after one that fills the file cache.

    Each engine first converts the network to what it loads fastest, which is not counted. Batch 1,
    one thread, one CPU: `graphc run` uses as many threads as there are CPUs.
    """
    env = environment(1, to.passive)
    found: dict[str, dict[str, Any]] = {}
    for name in (OURS, *engines):
        if name not in SILENT:
            _convert(name, files, env, to, found, say)
    lines = commands([name for name in found if "failed" not in found[name]], files, to.peers)
    found = {name: found.get(name, {}) for name in (*lines, *found)}
    cpu = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    with Starter() as starter:
        for index, order in enumerate([list(lines), *orders(list(lines), starts)]):
            say(f"cold start of {net}: {f'{index} of {starts}' if index else 'filling the cache'}")
            for name in order:
                if "failed" in found[name]:
                    continue
                time.sleep(to.settle_s)
                try:
                    told = starter.start(lines[name], env, cpu)
                except EngineFailed as error:
                    if name in (OURS, CLI):
                        raise EngineFailed(f"{name}: {error}") from None
                    found[name] = {"failed": f"{name}: {error}"}
                    say(f"left out: {name}: {error}")
                    continue
                for key in ("first_s", "wall_s", "cpu_s", "peak_bytes") if index else ():
                    found[name].setdefault(key, []).append(told[key])
    return {"net": net, "engines": found}


def commands(engines: Sequence[str], files: Files, peers: str) -> dict[str, list[str]]:
    """The command line of each process: what a user of that engine would run."""
    numpy = f"import numpy; print(numpy.load({str(files.inputs(1))!r}).shape, flush=True)"
    lines = {
        CLI: [*graphc_command(), "run", str(files.artefact), "--input", str(files.inputs(1))],
        FLOOR: [sys.executable, "-c", numpy],
    }
    for name in engines:
        told = f"main({name!r}, {str(files.folder)!r})"
        code = f"{START}from bench.peers.once import main; {told}"
        lines[name] = [interpreter(name, peers), "-c", code]
    return lines


def graphc_command() -> list[str]:
    """The installed script beside this Python, else the module."""
    script = Path(sys.executable).with_name("graphc")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "graphc"]


def _convert(
    name: str,
    files: Files,
    env: Mapping[str, str],
    to: Settings,
    found: dict[str, dict[str, Any]],
    say: Say,
) -> None:
    found[name] = {}
    try:
        with Worker(name, to.peers, env, to.patience_s) as worker:
            worker.ask("convert", folder=str(files.folder))
    except (EngineFailed, EngineMissing) as error:
        if name == OURS:
            raise
        found[name] = {"failed": str(error)}
        say(f"left out: {error}")


def least(entry: Mapping[str, Any]) -> dict[str, float] | None:
    """The minimum over the starts of each figure; of memory the maximum."""
    if "first_s" not in entry:
        return None
    told = {key: min(entry[key]) for key in ("first_s", "wall_s", "cpu_s")}
    return told | {"peak_bytes": max(entry["peak_bytes"])}
