"""graphc.Solver: a call is one step, and what it returns is the loss before its update."""

from __future__ import annotations

import numpy as np

import graphc
from bench.peers.engines.base import Engine
from bench.peers.files import Files
from bench.peers.plain import Array


class OurTraining(Engine):
    def version(self) -> str:
        return graphc.__version__

    def load(self, files: Files, batch: int, threads: int) -> None:
        self.solver = graphc.Solver(files.solver, files.caffemodel, batch=batch, threads=threads)
        self.label = np.load(files.labels(batch))
        self.data, self.truth = self.solver.net.inputs

    def run(self, x: Array) -> Array:
        loss = self.solver.step(1, {self.data: x, self.truth: self.label})
        return np.array([loss], np.float32)


def make() -> Engine:
    return OurTraining()
