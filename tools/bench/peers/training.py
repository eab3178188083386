"""Training steps: prepare a network for every trainer, and time them in turns."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import graphc
from bench.peers import machine
from bench.peers.client import Worker, environment
from bench.peers.engines import OURS, TRAINERS
from bench.peers.files import Files
from bench.peers.folding import merge_scales
from bench.peers.from_graph import network
from bench.peers.networks import MODELS
from bench.peers.rates import DECAY, MOMENTUM, RATE
from bench.peers.rounds import Cell, Lineup, Say, Settings, need_memory, orders
from bench.peers.weights import seed_weights
from graphc.front.caffemodel_writer import write_caffemodel

STANDARD = {"alexnet": 16, "resnet50": 8, "cifar10_quick": 100, "lenet": 64}
"""Networks and the batches they are trained with here."""
SOLVER = f"""net: "train.prototxt" type: "SGD" lr_policy: "fixed"
base_lr: {RATE} momentum: {MOMENTUM} weight_decay: {DECAY} random_seed: 1
"""
LAYER = re.compile(r"^layer \{.*?^\}\n", re.S | re.M)
LEFT_OUT = ("Dropout", "Accuracy")


def prepare(name: str, batch: int, seed: int, folder: Path) -> int:
    """Write the `Files` that trainers read; returns the bytes of the weights. Dropout is left out,
    since no two engines draw alike."""
    files = Files(folder)
    graph = graphc.load(MODELS / name / "deploy.prototxt", batch=1)
    seed_weights(graph, seed)
    plain = merge_scales(network(graph))
    plain.save(folder)
    write_caffemodel(graph, files.caffemodel)
    text = (MODELS / name / "train.prototxt").read_text("utf-8")
    files.train_net.write_text(LAYER.sub(_kept, text), "utf-8")
    files.solver.write_text(SOLVER, "utf-8")
    rng = np.random.default_rng([seed, batch])
    np.save(files.inputs(batch), rng.standard_normal((batch, *plain.shape[1:]), np.float32))
    classes = int(np.prod(plain.layers[-1].shape[1:]))
    np.save(files.labels(batch), rng.integers(0, classes, batch).astype(np.float32))
    return plain.weight_bytes()


def _kept(layer: re.Match[str]) -> str:
    text = layer.group()
    return "" if any(f'type: "{type_}"' in text for type_ in LEFT_OUT) else text


def run_cell(
    cell: Cell, files: Files, weight_bytes: int, trainers: Sequence[str], to: Settings, say: Say
) -> dict[str, Any]:
    """Load every trainer, compare the losses of three steps, then rounds of one turn each."""
    lineup = Lineup(say)
    with ExitStack() as stack:
        env = environment(cell.threads, to.passive)
        for name in trainers:
            need_memory(4 * weight_bytes)
            say(f"{cell}: loading {name}")
            worker = Worker(name, to.peers, env, to.patience_s)
            lineup.workers[name] = stack.enter_context(worker)
            order = {"folder": str(files.folder), "batch": cell.batch, "threads": cell.threads}
            lineup.found[name] = {}
            loaded = lineup.ask(name, "load", **order)
            if loaded is not None:
                losses = [_loss(lineup, name, files) for _ in range(3)]
                lineup.found[name] |= {"losses": losses, "facts": loaded["facts"]}
        others = machine.Bystander(worker.pid for worker in lineup.workers.values())
        slowest = max(_step_s(lineup, name) for name in list(lineup.workers))
        count = max(1, min(50, int(to.turn_s / slowest)))
        for index, order_ in enumerate(orders(list(lineup.workers), to.rounds)):
            say(f"{cell}: round {index + 1} of {to.rounds}")
            for name in order_:
                time.sleep(to.settle_s)
                told = lineup.ask(name, "turn", count=count)
                for kind, samples in (told or {}).items():
                    lineup.found[name].setdefault(kind, []).append(samples)
        cores = others.cores()
        for name in list(lineup.workers):
            lineup.found[name] |= lineup.ask(name, "peak") or {}
    return {**vars(cell), "steps": count, "other_cores": cores, "engines": lineup.found}


def _loss(lineup: Lineup, name: str, files: Files) -> float | None:
    path = files.folder / f"loss-{name}.npy"
    shown = lineup.ask(name, "output", path=str(path))
    return float(np.load(path)[0]) if shown else None


def _step_s(lineup: Lineup, name: str) -> float:
    told = lineup.ask(name, "turn", count=1)
    return min(told["wall"]) if told else 0.0


def table(cells: Sequence[dict[str, Any]]) -> str:
    """Medians (minima) of all steps in ms, ratios of minima to the best of PyTorch, memory. Of
    trainers with less memory also the time over that of the same without, by minima and by medians
    of the same rounds, beside what was planned, and the memory saved. A/A is the ratio of those of
    ours that are alike."""
    lines = []
    for cell in cells:
        head = Cell(cell["net"], cell["batch"], cell["threads"])
        lines.append(f"{head}; others kept {cell['other_cores']:.2f} cores busy")
        least: dict[str, float] = {}
        alike = [n for n in cell["engines"] if n.startswith(OURS) and "@" not in n]
        for name, found in cell["engines"].items():
            if "wall" not in found:
                lines.append(f"  {found.get('failed', name).splitlines()[0]}")
                continue
            wall = np.concatenate(found["wall"]) * 1e3
            least[name] = float(wall.min())
            losses = " ".join(f"{loss:.5f}" for loss in found["losses"])
            times = f"{np.median(wall):9.2f} ({wall.min():.2f}) ms"
            peak = f"{found['peak_bytes'] / 2**20:7.0f} MiB"
            lines.append(f"  {name:<22} {times:<24} {peak}   losses {losses}")
            if "@" in name:
                base = cell["engines"].get(name.partition("@")[0], {})
                lines.append(f"{'':25}{_over(found, base)}")
        ours = [least[n] for n in least if n.startswith(OURS)]
        peers = [least[n] for n in least if not n.startswith(OURS)]
        if ours and peers:
            same = [least[n] for n in alike if n in least]
            noise = f"; A/A {max(same) / min(same):.3f}" if len(same) > 1 else ""
            lines.append(f"  ours / best peer, minima: {ours[0] / min(peers):.3f}{noise}")
    return "\n".join(lines)


def _over(found: dict[str, Any], base: dict[str, Any]) -> str:
    """What less memory costs a trainer, beside the same with all it wants."""
    if "wall" not in base:
        return ""
    own, usual = (np.array([np.median(turn) for turn in each["wall"]]) for each in (found, base))
    lowest = min(map(min, found["wall"])) / min(map(min, base["wall"])) - 1
    told = found["facts"].get("planned_overhead")
    planned = f", planned {told:.1%}" if told is not None else ""
    grown = (found["peak_bytes"] - base["peak_bytes"]) / 2**20
    more = f"{lowest:.1%} more time, {np.median(own / usual) - 1:.1%} by medians{planned}"
    return f"{more}; memory {grown:+.0f} MiB"


__all__ = ["STANDARD", "TRAINERS", "prepare", "run_cell", "table"]
