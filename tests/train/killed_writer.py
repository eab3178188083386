"""Kills a process that writes a snapshot, at many points, and looks at what is left each time.

usage: python killed_writer.py FOLDER SCENARIO FORMAT POINTS
Prints how many processes were killed, and how many then left the older and the newer snapshot.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.front import parse_net
from graphc.front.weights import read_weights
from graphc.ir.graph import Graph
from graphc.ir.infer import infer
from graphc.train.checkpoint.caffe_state import read_state
from graphc.train.checkpoint.load import Loaded, load_snapshot
from graphc.train.checkpoint.snapshot import write_snapshot

NET = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
"""
CALLS = {"open", "write", "fsync", "link", "replace", "unlink", "close", "scandir", "fdopen"}


class Run:
    """A training run whose every number is its version."""

    def __init__(self, prefix: Path, format: str) -> None:
        self.prefix, self.format = prefix, format
        self.graph: Graph = parse_net(NET, phase="TRAIN")
        infer(self.graph)

    def write(self, iteration: int, version: int) -> None:
        for value in self.graph.param_values():
            assert value.type is not None
            self.graph.weights[value.name] = np.full(value.type.shape, version, np.float32)
        write_snapshot(
            self.prefix,
            iteration,
            graph=self.graph,
            history=[np.full((4, 3), version, np.float32), np.full(4, version, np.float32)],
            current_step=version,
            meta={"version": version},
            arrays={"c": np.full(5, version)},
            format=self.format,
        )

    def state(self, iteration: int) -> Path:
        end = ".h5" if self.format == "HDF5" else ""
        return Path(f"{self.prefix}_iter_{iteration}.solverstate{end}")


def versions(found: Loaded) -> set[float]:
    """Every number that a snapshot holds: one, if it is whole."""
    told = {
        float(n) for blobs in read_weights(found.weights).values() for b in blobs for n in b.flat
    }
    told |= {float(n) for array in found.state.history for n in array.flat}
    told.add(float(found.state.current_step))
    if found.extra is not None:
        told |= {float(found.extra.meta["version"]), *found.extra.arrays["c"].astype(float)}
    return told


def raw_versions(state: Path) -> set[float]:
    """What somebody sees who knows of Caffe's files only."""
    read = read_state(state)
    return versions(Loaded(state, read, state.parent / Path(read.learned_net).name))


def killed(work: Callable[[], None], at: int) -> int:
    """Fork, do `work`, be killed at the call with that number; returns how many there were, or -1
    if it was killed. `at` 0: not at all."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        count, seen = 0, list[int]()

        def hook(frame: FrameType, event: str, what: Any) -> None:
            nonlocal count
            if not event.startswith("c_"):
                return
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            if not at and getattr(what, "__name__", "") in CALLS:
                seen.append(count)

        sys.setprofile(hook)
        work()
        sys.setprofile(None)
        os.write(writes, b"".join(b"%d\n" % each for each in seen))
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        POINTS.extend(int(line) for line in pipe)
    _, status = os.waitpid(pid, 0)
    return -1 if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


POINTS: list[int] = []


def main(folder: Path, scenario: str, format: str, points: int) -> dict[str, int]:
    before, place = folder / "before", folder / "now"
    before.mkdir()
    start = Run(before / "x", format)
    start.write(10, 1)
    if scenario == "caffe":
        (before / "x_iter_10.gck").unlink()
    run = Run(place / "x", format)
    iteration = 20 if scenario == "next" else 10

    def prepare() -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(before, place)

    for _ in range(20):  # what is imported or made only the first times is no part of the count
        prepare()
        run.write(iteration, 2)
    prepare()
    assert killed(lambda: run.write(iteration, 2), 0) == 0
    calls = sorted(POINTS)
    more = np.linspace(1, calls[-1], max(2, points - len(calls)), dtype=int).tolist()
    if points < len(calls):
        calls = calls[-1 :: -(len(calls) // points + 1)]
    told = {"killed": 0, "old": 0, "new": 0, "pending": 0}
    for at in sorted({*calls, *more}):
        prepare()
        told["killed"] += killed(lambda: run.write(iteration, 2), at) == -1
        check(run, scenario, told)
    return told


def check(run: Run, scenario: str, told: dict[str, int]) -> None:
    """One whole snapshot loads, none that is mixed does, and the next run clears up."""
    state = run.state(10)
    told["pending"] += not state.exists()
    found = versions(load_snapshot(state))
    assert found in ({1.0}, {2.0}), found
    told["new" if found == {2.0} else "old"] += 1
    if scenario == "next":
        assert found == {1.0}
        try:
            assert versions(load_snapshot(run.state(20))) == {2.0}
            told["new"] += 1
        except GraphError as error:
            assert error.code == "GC-F001", error
    for each in (10, 20):
        if run.state(each).exists():
            assert len(raw_versions(run.state(each))) == 1
    run.write(30, 3)
    assert not [name for name in os.listdir(state.parent) if name.startswith(".")]
    assert versions(load_snapshot(run.state(30))) == {3.0}
    after = versions(load_snapshot(state))
    assert state.exists() and (after == found or (found == {1.0} and after == {2.0}))


if __name__ == "__main__":
    where, scenario, format, points = sys.argv[1:]
    print(json.dumps(main(Path(where), scenario, format, int(points))))
