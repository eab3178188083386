"""A training step within less and less memory: bytes planned, replays, milliseconds."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import graphc
from bench.gpu_runs.nets import BATCH, image
from bench.gpu_runs.workload import NETS, feeds, file
from bench.probe.facts import Clock, Facts
from bench.probe.stats import summary
from graphc.budget import wish_of
from graphc.errors import GraphError
from graphc.memory import lowered

SHARES = (1.0, 0.9, 0.8, 0.7, 0.5, 0.35)
STEPS = 10
CELL_S = 15.0
SOLVER = 'net: "{net}" base_lr: 0.0 momentum: 0.9 lr_policy: "fixed" max_iter: 1000 display: 0\n'


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    for net in NETS[:1] if dry else NETS:
        free = _planned(net, None)
        assert free is not None
        for share in SHARES:
            if clock.left() < (1 if dry else CELL_S):
                facts.miss(f"{net} at {share:.0%}", "no time was left")
                continue
            with facts.part(f"{net} at {share:.0%}"):
                budget = int(share * free["peak_bytes"])
                record = _planned(net, None if share == 1 else budget)
                if record is None:
                    facts.say(f"{net} at {share:.0%}: no plan fits")
                    continue
                if not dry:
                    record["ms"] = _steps(net, budget)
                facts(f"{net}.{share}", record)
                took = f"{record['ms']['median']:.2f} ms" if "ms" in record else "not run"
                facts.say(f"{net} at {share:.0%}: {record['peak_bytes']:,} B, {took}")


def _planned(net: str, memory: int | None) -> dict[str, Any] | None:
    try:
        wish = wish_of(memory)
        low = lowered(file(net, True), train=True, batch=BATCH[net], target="cuda", wish=wish)
    except GraphError as error:
        if error.code != "GC-M001":
            raise
        return None
    replays = sum(step.instance > 0 for step in low.plan.steps)
    return {"peak_bytes": low.plan.peak_bytes, "replays": replays, "est_us": low.plan.est_us}


def _steps(net: str, memory: int) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "solver.prototxt")
        path.write_text(SOLVER.format(net=file(net, True)), encoding="utf-8")
        solver = graphc.Solver(path, target="cuda", memory=memory)
        told = feeds({"data": image(net, BATCH[net]), "label": (BATCH[net],)}, 1000)
        samples = []
        for _ in range(STEPS):
            began = time.perf_counter()
            solver.step(1, feed=told)
            samples.append(1e3 * (time.perf_counter() - began))
        assert np.isfinite(solver.loss)
        solver.close()
    return summary(samples[3:]) | {"samples": samples}
