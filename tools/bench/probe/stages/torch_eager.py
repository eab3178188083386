"""torch's eager training step, and the same captured as one CUDA graph."""

from __future__ import annotations

from bench.probe.facts import Clock, Facts
from bench.probe.torch_steps import run_cells


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    run_cells(facts, clock, dry, ("eager_graph",), cell_s=3.0)
