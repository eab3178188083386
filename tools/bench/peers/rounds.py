"""run_cell: one network, batch and number of threads, all engines in turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.peers import machine
from bench.peers.client import EngineFailed, EngineMissing, Worker, environment
from bench.peers.engines import AGAIN, OURS
from bench.peers.files import Files
from bench.peers.networks import told_images

MOST_CALLS = 50
RESERVE = 1 << 30  # bytes of memory that are left to others

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """`peers`: their Python. `turn_s`: length of the slowest engine's turn; `settle_s`: pause
    before each turn, in which the threads of the engine before stop spinning; `patience_s`: until
    a worker counts as hung."""

    peers: str
    rounds: int = 7
    turn_s: float = 0.4
    settle_s: float = 0.2
    passive: bool = False
    patience_s: float = 900.0


@dataclass(frozen=True)
class Cell:
    """One row of the tables."""

    net: str
    batch: int
    threads: int

    def __str__(self) -> str:
        return f"{self.net}, batch {self.batch}, {threads(self.threads)}"


def threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


class Lineup:
    """The workers that still take part, and what was found of each engine.

    One that fails is ended and left out, and its entry is the reason; ours must not fail.
    """

    def __init__(self, say: Say) -> None:
        self.say = say
        self.workers: dict[str, Worker] = {}
        self.found: dict[str, dict[str, Any]] = {}

    def ask(self, name: str, do: str, **order: Any) -> dict[str, Any] | None:
        """The answer; None of an engine that is left out. Raises EngineFailed, EngineMissing."""
        try:
            return self.workers[name].ask(do, **order) if name in self.workers else None
        except (EngineFailed, EngineMissing) as error:
            if name in (OURS, AGAIN):
                raise
            self.workers.pop(name).close()
            self.found[name] = {"failed": str(error)}
            self.say(f"left out: {error}")
            return None


def run_cell(
    cell: Cell, files: Files, weight_bytes: int, engines: Sequence[str], to: Settings, say: Say
) -> dict[str, Any]:
    """Load every engine, check its outputs, then `to.rounds` rounds of one turn each.

    Raises EngineFailed and EngineMissing for graphc's own, and MemoryError before an engine for
    which there is no room.
    """
    lineup = Lineup(say)
    with ExitStack() as stack:
        env = environment(cell.threads, to.passive)
        for name in with_again(engines):
            need_memory(weight_bytes)
            say(f"{cell}: loading {name}")
            worker = Worker(name, to.peers, env, to.patience_s)
            lineup.workers[name] = stack.enter_context(worker)
            lineup.found[name] = _load(lineup, name, cell, files)
        slowest = _slowest(lineup)
        calls = max(1, min(MOST_CALLS, int(to.turn_s / max(slowest, 1e-9))))
        load = machine.load_average()
        others = machine.Bystander(worker.pid for worker in lineup.workers.values())
        for index, order in enumerate(orders(list(lineup.workers), to.rounds)):
            say(f"{cell}: round {index + 1} of {to.rounds}")
            for name in order:
                time.sleep(to.settle_s)
                told = lineup.ask(name, "turn", count=calls)
                for kind, samples in (told or {}).items():
                    lineup.found[name].setdefault(kind, []).append(samples)
        cores = others.cores()
        for name in list(lineup.workers):
            lineup.found[name] |= lineup.ask(name, "peak") or {}
    return {
        **vars(cell),
        "calls": calls,
        "load_before": load,
        "load_after": machine.load_average(),
        "other_cores": cores,
        "engines": lineup.found,
    }


def with_again(engines: Sequence[str]) -> list[str]:
    """The A/A pair on both ends, so that they are as far apart as any two."""
    return [OURS, *(name for name in engines if name != OURS), AGAIN]


def orders(names: Sequence[str], rounds: int) -> Iterator[list[str]]:
    """One order a round: every other one backwards, rotated after two, so that no engine always
    comes first or after the same other one."""
    for turn in range(rounds):
        first = turn // 2 % len(names)
        order = [*names[first:], *names[:first]]
        yield order[::-1] if turn % 2 else order


def need_memory(weight_bytes: int) -> None:
    """Room for weights, a packed copy, and what an engine takes by itself; else MemoryError."""
    need, there = 2 * weight_bytes + (300 << 20), machine.available_bytes()
    if there is not None and there < need + RESERVE:
        raise MemoryError(
            f"{there >> 20} MiB of memory are available, but the next engine may take "
            f"{need >> 20} MiB and {RESERVE >> 20} MiB are left to others; take fewer --engines"
        )


def _load(lineup: Lineup, name: str, cell: Cell, files: Files) -> dict[str, Any]:
    """Load the network and compare its outputs; returns the engine's entry."""
    order = {"folder": str(files.folder), "batch": cell.batch, "threads": cell.threads}
    loaded = lineup.ask(name, "load", **order)
    path = files.folder / f"output-{name}.npy"
    shown = lineup.ask(name, "output", path=str(path))
    if loaded is None or shown is None:
        return lineup.found[name]
    error = None
    if shown["written"]:
        error = relative_error(np.load(path), np.load(files.expected(cell.batch)), cell.batch)
    return {"load_s": loaded["seconds"], "error": error}


def relative_error(y: Any, expected: Any, batch: int) -> float:
    """max |y - expected| / max |expected| over the images that were told; inf for NaN or a wrong
    number of elements."""
    if y.size != expected.size // len(expected) * batch:
        return math.inf
    y = y.reshape(batch, -1)[told_images(batch)].astype(np.float64)
    expected = expected.reshape(len(expected), -1).astype(np.float64)
    error = float(np.abs(y - expected).max() / np.abs(expected).max())
    return error if math.isfinite(error) else math.inf


def _slowest(lineup: Lineup) -> float:
    """Seconds of the slowest engine's call. All get as many calls in a turn, since the least of
    more samples would be smaller."""
    told = [lineup.ask(name, "turn", count=2) for name in list(lineup.workers)]
    slowest: float = max(min(entry["wall"]) for entry in told if entry)
    return slowest
