"""Arguments -> networks -> cells and cold starts -> tables and JSON."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.peers import machine, networks, report
from bench.peers.client import EngineFailed, EngineMissing, Worker, environment
from bench.peers.cold import run_cold
from bench.peers.engines import AGAIN, ENGINES, OURS
from bench.peers.files import Files
from bench.peers.from_graph import Unsupported
from bench.peers.rounds import Cell, Settings, run_cell
from bench.probe.report import write_json
from graphc.errors import GraphError

FORMAT = 1
QUICK: dict[str, Any] = {"rounds": 3, "turn": 0.2, "batches": [1], "threads": [1], "starts": 3}
FULL: dict[str, Any] = {
    "rounds": 7,
    "turn": 0.4,
    "batches": [1, 16],
    "threads": [1, 2],
    "starts": 7,
}
WRONG = (EngineFailed, EngineMissing, GraphError, MemoryError, OSError, Unsupported, ValueError)


def _listed(one: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def parse(text: str) -> list[Any]:
        found = [one(part.strip()) for part in text.split(",") if part.strip()]
        if not found:
            raise argparse.ArgumentTypeError("the list is empty")
        return list(dict.fromkeys(found))

    return parse


def _engine(text: str) -> str:
    if text not in ENGINES:
        told = f"no engine {text!r}; there are {', '.join(ENGINES)}"
        raise argparse.ArgumentTypeError(told)
    return text


def _net(text: str) -> str:
    try:
        networks.find(text)
    except FileNotFoundError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


def _threads(text: str) -> int:
    count = _count(text)
    if count > machine.usable_cores():
        told = f"{count} threads, but this process may use {machine.usable_cores()} cores"
        raise argparse.ArgumentTypeError(told)
    return count


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="cpu.py", description="Forward passes on the CPU: graphc and its peers, in turns."
    )
    add = made.add_argument
    add("--python", default=sys.executable, metavar="PYTHON", help="the Python with the peers")
    add("--nets", type=_listed(_net), metavar="A,B", help="names in models/, or .prototxt files")
    add("--engines", type=_listed(_engine), default=list(ENGINES), metavar="A,B")
    add("--batches", type=_listed(_count), metavar="N,M", help="1,16 unless told")
    add("--threads", type=_listed(_threads), metavar="N,M", help="1,2 unless told")
    add("--rounds", type=_count, metavar="N", help="turns of each engine, 7 unless told")
    add("--turn", type=_seconds, metavar="S", help="length of the slowest engine's turn, 0.4")
    add("--settle", type=_seconds, default=0.2, metavar="S", help="pause before a turn, 0.2")
    add("--time", choices=("wall", "cpu"), default="wall", help="what the tables show")
    add("--passive", action="store_true", help="OMP_WAIT_POLICY=PASSIVE for all engines")
    add("--cold", nargs="?", const="also", choices=("also", "only"), help="cold starts, too")
    add("--starts", type=_count, metavar="N", help="cold starts of each engine, 7 unless told")
    add("--quick", action="store_true", help="3 rounds and starts, batch 1, 1 thread unless told")
    add("--seed", type=int, default=1, metavar="N", help="of weights and inputs")
    add("--work", type=Path, metavar="DIR", help="where networks are written, and kept")
    add("--json", type=Path, metavar="FILE", help="everything measured; rewritten after each cell")
    add("--list", action="store_true", help="print engines and networks, and end")
    add("--show", type=Path, metavar="FILE", help="print the tables of an earlier --json, and end")
    return made


def main(argv: list[str]) -> int:
    """0 done, 1 stopped by an error, 2 wrong arguments, 130 or 143 by a signal."""
    args = parser().parse_args(argv)
    before = signal.signal(signal.SIGTERM, _terminated)
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    args.threads = [n for n in args.threads if n <= machine.usable_cores()]
    try:
        if args.show:
            print(report.report(json.loads(args.show.read_text("utf-8")), args.time))
        elif args.list:
            print(_listing(args))
        else:
            _run(args)
    except WRONG as error:
        _say(f"cpu.py: {error}")
        return 1
    except KeyboardInterrupt:
        _say("cpu.py: interrupted; what was measured is in --json")
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _terminated(number: int, frame: object) -> None:
    """Leave through `finally`, which ends the workers and removes the networks."""
    sys.exit(128 + number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run(args: argparse.Namespace) -> None:
    to = Settings(args.python, args.rounds, args.turn, args.settle, args.passive)
    found = versions([name for name in ENGINES if name in args.engines or name == OURS], to)
    doc: dict[str, Any] = {
        "format": FORMAT,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": machine.commit(networks.ROOT),
        "machine": machine.described(),
        "load_at_start": machine.load_average(),
        "settings": asdict(to) | {"seed": args.seed, "starts": args.starts},
        "engines": found,
        "cells": [],
        "cold": [],
    }
    usable = [name for name, entry in found.items() if "missing" not in entry]

    def keep() -> None:
        if args.json:
            write_json(args.json, doc)

    keep()
    with ExitStack() as stack:
        work = args.work or Path(stack.enter_context(TemporaryDirectory(prefix="graphc-bench-")))
        for net in args.nets or networks.STANDARD:
            _one_net(net, args, to, usable, work, doc, keep)
    print(report.report(doc, args.time))


def _one_net(
    net: str,
    args: argparse.Namespace,
    to: Settings,
    engines: Sequence[str],
    work: Path,
    doc: dict[str, Any],
    keep: Callable[[], None],
) -> None:
    """Prepare one network, measure all its cells, and its cold start."""
    is_cold = args.cold and (args.nets or net in networks.COLD)
    batches = [1] if args.cold == "only" else args.batches
    if args.cold == "only" and not is_cold:
        return
    name = networks.label(net)
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    _say(f"preparing {name}")
    plain = networks.prepare(networks.find(net), sorted({1, *batches}), args.seed, folder)
    files, weight_bytes = Files(folder), plain.weight_bytes()
    del plain
    for batch in () if args.cold == "only" else batches:
        for threads in args.threads:
            cell = Cell(name, batch, threads)
            doc["cells"].append(run_cell(cell, files, weight_bytes, engines, to, _say))
            keep()
    if is_cold:
        doc["cold"].append(run_cold(name, files, engines, args.starts, to, _say))
        keep()
    if args.work is None:
        shutil.rmtree(folder)


def versions(engines: Sequence[str], to: Settings) -> dict[str, dict[str, str]]:
    """`version` or `missing` of each engine. Raises EngineMissing, EngineFailed for graphc's."""
    found = {}
    for name in engines:
        with Worker(name, to.peers, environment(1, to.passive), to.patience_s) as worker:
            try:
                found[name] = worker.ask("hello")
            except (EngineMissing, EngineFailed) as error:
                if name == OURS:
                    raise
                _say(f"skipping {error}")
                found[name] = {"missing": str(error)}
    return found


def _listing(args: argparse.Namespace) -> str:
    to = Settings(args.python)
    rows = [
        f"{name:12} {entry.get('version') or 'missing: ' + entry['missing']}\n"
        f"{'':12} {ENGINES[name].about}"
        for name, entry in versions(list(ENGINES), to).items()
    ]
    nets = f"networks: {', '.join(networks.STANDARD)}; cold starts: {', '.join(networks.COLD)}"
    return "\n".join([*rows, nets])


__all__ = ["AGAIN", "main", "parser", "versions"]
