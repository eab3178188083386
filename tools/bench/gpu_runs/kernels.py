"""cuDNN's plans of the networks' convolutions: timed on the GPU, beside cuDNN's order."""

from __future__ import annotations

from typing import Any

from bench.gpu_runs.workload import NETS, file
from bench.probe.facts import Clock, Facts
from bench.probe.stats import rank_correlation, summary
from graphc.cuda.library import library
from graphc.gpu_tuning import tune_gpu

NET_S = 15.0
"""What a network may take at least."""


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    planned = library(runs=False)
    facts("cudnn", planned.version)
    facts("remark", planned.remark)
    for net in NETS:
        if dry:
            continue
        if clock.left() < NET_S:
            facts.miss(net, "no time was left")
            continue
        with facts.part(net):
            found = tune_gpu(file(net, True), train=True, again=True)
            facts(f"{net}.us", found.times)
            ranks = orders(found.times)
            facts(f"{net}.ranks", ranks)
            facts.say(f"{net}: {len(found.times)} plans timed; cuDNN's order against time {ranks}")


def orders(times: dict[str, float]) -> dict[str, Any]:
    """Rank correlation of cuDNN's order with time, over the products."""
    groups: dict[str, list[float]] = {}
    for key, us in times.items():
        groups.setdefault(key.partition(" | ")[0], []).append(us)
    found = [rank_correlation(range(len(us)), us) for us in groups.values() if len(us) > 1]
    return summary([r for r in found if r is not None]) if found else {}
