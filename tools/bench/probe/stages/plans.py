"""ResNet-50's convolutions: plans predicted without a device against the device's own.

Three listings of each product: for the hand-made description, for cuDNN's own description of the
device (both without a handle), and with a handle. Then the first plans are timed, to see whether
cuDNN's order is that of speed, and the first one is captured and replayed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from bench.probe import devices
from bench.probe.cudnn_graphs import Plan, Sketch, convolution, list_plans
from bench.probe.facts import Clock, Facts, need
from bench.probe.gpu import Gpu
from bench.probe.stats import rank_correlation, summary
from bench.probe.workload import Conv, distinct, passes, resnet50

BATCH = 64
SHOWN = 8
REPS = 5
MOST_WORKSPACE = 1 << 30

Key = tuple[Conv, str]


def keys() -> list[Key]:
    """Every distinct convolution of ResNet-50 with every product of a training step."""
    return [(conv, kind) for conv in distinct(resnet50().convs) for kind in passes(conv)]


def brief(plans: Sequence[Plan]) -> dict[str, Any]:
    """Count, a hash over names and workspaces in order, the first plans themselves."""
    pairs = [[plan.name, plan.workspace] for plan in plans]
    text = json.dumps(pairs).encode()
    return {
        "count": len(pairs),
        "hash": hashlib.sha256(text).hexdigest()[:16],
        "first": pairs[:SHOWN],
    }


def agreement(predicted: Sequence[Plan], real: Sequence[Plan]) -> dict[str, Any]:
    """How two listings of one product compare: order, names, workspaces of the same names."""
    a = {plan.name: plan.workspace for plan in predicted}
    b = {plan.name: plan.workspace for plan in real}
    both = a.keys() & b.keys()
    return {
        "same_order": [p.name for p in predicted] == [p.name for p in real],
        "same_names": a.keys() == b.keys(),
        "same_first": bool(predicted and real and predicted[0].name == real[0].name),
        "in_both": len(both),
        "same_workspace": sum(a[name] == b[name] for name in both),
    }


def listed(cudnn: Any, key: Key, **where: Any) -> tuple[Sketch, list[Plan]]:
    sketch = Sketch(cudnn, cudnn.data_type.BFLOAT16, **where)
    conv, kind = key
    convolution(sketch, kind, conv, BATCH)
    return sketch, list_plans(sketch)


class Bench:
    """Buffers large enough for any of the products, filled once with random numbers."""

    def __init__(self, gpu: Gpu, handle: Any) -> None:
        self.gpu, self.handle = gpu, handle
        most = (
            2
            * BATCH
            * max(max(c.channels * c.size**2, c.filters * c.out**2) for c in resnet50().convs)
        )
        self.inputs = [gpu.alloc(most), gpu.alloc(most)]
        for seed, address in enumerate(self.inputs):
            gpu.fill(address, most // 2, "bfloat", seed)
        self.output, self.space = gpu.alloc(most), gpu.alloc(MOST_WORKSPACE)

    def time(self, sketch: Sketch, plans: Sequence[Plan]) -> dict[str, Any]:
        """Milliseconds of the first plans; the first one captured against eager, bit for bit."""
        gpu, graph = self.gpu, sketch.graph
        pack = sketch.pack([*self.inputs, self.output])
        size = sketch.bytes(sketch.buffers[-1][0])
        fitting = [plan for plan in plans if plan.workspace <= MOST_WORKSPACE][:SHOWN]
        medians, bits = [], None
        for place, plan in enumerate(fitting):

            def step(index: int = plan.index) -> None:
                graph.execute_plan_at_index(pack, self.space, index, handle=self.handle)

            medians.append(summary(gpu.device_ms(step, REPS, warm=1))["median"])
            if place == 0:
                bits = self._captured(step, size)
        if not medians:
            return {"ms": []}
        order = rank_correlation(range(len(medians)), medians)
        regret = medians[0] / min(medians)
        return {"ms": medians, "rank_correlation": order, "first_over_best": regret} | (bits or {})

    def _captured(self, step: Any, size: int) -> dict[str, Any]:
        gpu = self.gpu
        found = []
        try:
            graph = gpu.captured(step)
        except Exception as error:
            return {"capture": str(error)[:200]}
        for action in (step, step, lambda: gpu.replay(graph)):
            gpu.poison(self.output, size)
            action()
            found.append(gpu.digest(self.output, size))
        return {"eager_repeats": found[0] == found[1], "capture": found[0] == found[2]}


def predict(cudnn: Any, facts: Facts, name: str, description: dict[str, Any]) -> dict[Key, Any]:
    """List every product for a described device; records the sum, returns the listings."""
    found = {key: listed(cudnn, key, description=description)[1] for key in keys()}
    total = sum(map(len, found.values()))
    most = max((plans[0].workspace for plans in found.values() if plans), default=0)
    facts(name, {"products": len(found), "plans": total, "most_workspace_of_first": most})
    facts.say(
        f"{name}: {total} plans of {len(found)} products, "
        f"first plans need at most {most / 2**20:.1f} MiB"
    )
    return found


def compare(
    facts: Facts, clock: Clock, cudnn: Any, bench: Bench, told: dict[str, dict[Key, list[Plan]]]
) -> None:
    """List every product on the device, compare with what was told, time it."""
    sums: dict[str, dict[str, int]] = {name: {} for name in told}
    correlations, regrets, same, done = [], [], 0, 0
    for key in keys():
        if clock.left() < 1:
            break
        conv, kind = key
        sketch, real = listed(cudnn, key, handle=bench.handle)
        record: dict[str, Any] = {"device": brief(real)}
        for name, listings in told.items():
            agrees = agreement(listings[key], real)
            record[name] = brief(listings[key]) | agrees
            for field, value in agrees.items():
                sums[name][field] = sums[name].get(field, 0) + int(value)
        with facts.part(f"time {conv.label} {kind}"):
            record["timed"] = times = bench.time(sketch, real)
            same += times.get("capture") is True
            if times.get("rank_correlation") is not None:
                correlations.append(times["rank_correlation"])
                regrets.append(times["first_over_best"])
        facts(f"{conv.label}.{kind}", record)
        done += 1
    facts("agreement", sums)
    for name, counts in sums.items():
        facts.say(f"{name} against device, {done} products: {counts}")
    facts("captured_equal", [same, done])
    facts.say(f"first plans whose captured run has the eager bits: {same} of {done}")
    if correlations:
        ranks, slow = summary(correlations), summary(regrets)
        facts("ranks", {"correlation": ranks, "first_over_best": slow})
        facts.say(
            f"rank correlation with time: median {ranks['median']:.2f}; first plan over "
            f"best: median {slow['median']:.2f}, worst {slow['max']:.2f}"
        )


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    facts("convolutions", {c.label: n for c, n in distinct(resnet50().convs).items()})
    facts("batch", BATCH)
    cudnn = need("cudnn", "nvidia-cudnn-frontend")
    told = {"hand_made": predict(cudnn, facts, "hand_made", devices.H200)}
    if dry:
        return
    gpu = Gpu()
    with facts.part("own description"):
        own = devices.read(cudnn)
        told["described"] = predict(cudnn, facts, "described", own)
    handle = cudnn.create_handle()
    cudnn.set_stream(handle=handle, stream=gpu.main.ptr)
    compare(facts, clock, cudnn, Bench(gpu, handle), told)
