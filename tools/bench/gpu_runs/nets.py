"""Steps and runs of networks: ours, and torch's eager steps as a CUDA graph, in turns."""

from __future__ import annotations

from typing import Any

import graphc
from bench.gpu_runs.workload import NETS, SMALL, feeds, file
from bench.probe.facts import Clock, Facts, need
from bench.probe.stats import summary
from bench.probe.torch_steps import Trainer, captured, precision, step_times

BATCH = {"alexnet": 256, "vgg16": 32, "resnet50": 32}
"""Those of the files in models/."""
SECONDS, TURNS = 3.0, 2
CELL_S = 30.0


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    """Train in float32 on both sides: what graphc computes in. TF32 by GRAPHC_TF32 on both."""
    for net in SMALL[:1] if dry else NETS:
        if clock.left() < (1 if dry else CELL_S):
            facts.miss(net, "no time was left")
            continue
        batch = 8 if dry else BATCH[net]
        with facts.part(f"{net} B={batch}"):
            ours = [_ours(net, batch, dry) for _ in range(TURNS)]
            theirs = [] if dry else [_theirs(facts, net, batch) for _ in range(TURNS)]
            record = {"ours": ours, "torch": theirs, "batch": batch}
            mine = min(each["ms"]["median"] for each in ours)
            line = f"{net} B={batch}: step {mine:.2f} ms, planned {ours[0]['peak_bytes']:,} B"
            if theirs:
                other = min(each["median"] for each in theirs)
                record["ratio"] = other / mine
                line += f"; torch {other:.2f} ms, ratio {other / mine:.2f}"
            facts(net, record)
            facts.say(line)


def _ours(net: str, batch: int, dry: bool) -> dict[str, Any]:
    where = "cpu" if dry else "cuda"
    told = feeds({"data": image(net, batch), "label": (batch,)})
    report = graphc.bench(
        file(net, True),
        train=True,
        batch=batch,
        target=where,
        inputs=told,
        seconds=0.2 if dry else SECONDS,
    )
    assert report.plan is not None
    samples = [us / 1e3 for us in report.run_us]
    return {"ms": summary(samples), "samples": samples, "peak_bytes": report.plan.peak_bytes}


def image(net: str, batch: int) -> tuple[int, ...]:
    graph = graphc.load(file(net, True), batch=batch)
    return next(v.type.shape for v in graph.inputs if v.name == "data" and v.type is not None)


def _theirs(facts: Facts, net: str, batch: int) -> dict[str, Any]:
    torch = need("torch")
    torch.backends.cudnn.benchmark = True
    trainer = Trainer(torch, net, "tf32", batch)
    precision(torch, tf32=False)
    trainer.losses(3)
    return step_times(torch, captured(torch, trainer))
