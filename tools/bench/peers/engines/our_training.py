"""graphc.Solver: a call is one step, and what it returns is the loss before its update."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from bench.peers.engines.base import Engine
from bench.peers.files import Files
from bench.peers.plain import Array


class OurTraining(Engine):
    """`level`: percent of the work arena that it would take without a budget."""

    def __init__(self, level: int) -> None:
        self.level = level

    def version(self) -> str:
        return graphc.__version__

    def load(self, files: Files, batch: int, threads: int) -> None:
        how: dict[str, Any] = {"batch": batch, "threads": threads}
        whole = graphc.plan(files.train_net, train=True, target="cpu", solver=files.solver, **how)
        memory = whole.peak_bytes - whole.work_bytes * (100 - self.level) // 100
        self.solver = graphc.Solver(files.solver, files.caffemodel, memory=memory, **how)
        self.label = np.load(files.labels(batch))
        self.data, self.truth = self.solver.net.inputs
        made = self.solver.net.plan
        self.told = {
            "planned_overhead": made.est_us / whole.est_us - 1,
            "planned_bytes": made.peak_bytes,
            "live_over_op_bound": made.live_bound / made.op_bound,
        }

    def facts(self) -> dict[str, float]:
        return self.told

    def run(self, x: Array) -> Array:
        loss = self.solver.step(1, {self.data: x, self.truth: self.label})
        return np.array([loss], np.float32)


def make(level: int = 100) -> Engine:
    return OurTraining(level)
