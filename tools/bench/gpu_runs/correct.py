"""Outputs, losses and every gradient of small networks, on the GPU beside the CPU."""

from __future__ import annotations

import graphc
from bench.gpu_runs.workload import NETS, SMALL, distance, feeds, file, target
from bench.probe.facts import Clock, Facts

ALLOWED = 1e-4
"""Relative L2 of what float32 sums in another order may differ by."""
BATCH = 4
RUNS = 3
"""The first is eager, the second captured, the third the graph alone."""


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    where = target(dry)
    for net in SMALL[: 1 if dry else None]:
        with facts.part(f"gradients of {net}"):
            worst = _gradients(net, where)
            facts(f"{net}.gradients", worst)
            name, error = max(worst.items(), key=lambda item: item[1])
            facts.say(f"{net}: loss and {len(worst) - 1} gradients, worst {name} {error:.1e}")
            assert error < ALLOWED, f"{name} differs by {error}"
    for net in () if dry else NETS:
        if clock.left() < 10:
            facts.miss(net, "no time was left")
            continue
        with facts.part(f"outputs of {net}"):
            error = _outputs(net, where)
            facts(f"{net}.outputs", error)
            facts.say(f"{net}: outputs differ by {error:.1e}")
            assert error < ALLOWED, f"outputs differ by {error}"


def _gradients(net: str, where: str) -> dict[str, float]:
    """Blob -> how far its gradient is from the CPU's; "loss" too."""
    found = []
    for each in (where, "cpu"):
        with graphc.compile(file(net, True), train=True, target=each, batch=BATCH) as exe:
            told = feeds(exe.inputs)
            for _ in range(RUNS if where == "cuda" else 1):
                tops = exe.forward(told)
                grads = exe.backward()
            blobs = {f"{n}[{i}]": g for n, gs in grads.params.items() for i, g in enumerate(gs)}
            found.append({"loss": next(iter(tops.values())), **blobs})
    ours, theirs = found
    return {name: distance(ours[name], theirs[name]) for name in theirs}


def _outputs(net: str, where: str) -> float:
    found = []
    for each in (where, "cpu"):
        with graphc.compile(file(net, False), target=each) as exe:
            told = feeds(exe.inputs)
            for _ in range(RUNS):
                outputs = exe.run(told)
            found.append(next(iter(outputs.values())))
    return distance(*found)
