"""torch.compile's training step; compiling takes most of the time, so ask for more seconds."""

from __future__ import annotations

from bench.probe.facts import Clock, Facts
from bench.probe.torch_steps import run_cells


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    run_cells(facts, clock, dry, ("default", "reduce-overhead"), cell_s=12.0)
