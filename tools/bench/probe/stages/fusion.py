"""Which fused patterns cuDNN lists, how long their plans take to build, whether they run."""

from __future__ import annotations

from typing import Any

from bench.probe import devices
from bench.probe.cudnn_graphs import Listing, Sketch, listing, reasons
from bench.probe.facts import Clock, Facts, need
from bench.probe.gpu import Gpu, preload
from bench.probe.patterns import PATTERNS
from bench.probe.stats import summary

# Fused plans are compiled when they are built; the first two tell the time of one.
BUILT = 2
REPS = 10


def recorded(found: Listing) -> dict[str, Any]:
    """A listing as a fact: counts, milliseconds, the plans that were built."""
    plans = [
        {"name": plan.name, "workspace": plan.workspace, "build_ms": round(plan.build_ms, 2)}
        for plan in found.plans
    ]
    return {
        "named": found.named,
        "list_ms": round(found.list_ms, 2),
        "built": plans,
        "refused": sorted(set(found.refused)),
    }


def timed(gpu: Gpu, handle: Any, sketch: Sketch, found: Listing) -> dict[str, Any]:
    """Run the first built plan on random input. Returns milliseconds per run."""
    plan = found.plans[0]
    addresses = []
    for seed, (tensor, is_input) in enumerate(sketch.buffers):
        size = sketch.bytes(tensor)
        addresses.append(gpu.alloc(size))
        is_float = tensor.get_data_type() == sketch.single
        if is_input and is_float:
            gpu.fill(addresses[-1], size // 4, "float", seed)
        elif is_input:
            gpu.fill(addresses[-1], size // 2, "half", seed)
        else:
            gpu.poison(addresses[-1], size)
    pack, space = sketch.pack(addresses), gpu.alloc(max(plan.workspace, 1))

    def step() -> None:
        sketch.graph.execute_plan_at_index(pack, space, plan.index, handle=handle)

    times = summary(gpu.device_ms(step, REPS))
    for address in (*addresses, space):
        gpu.runtime.free(address)
    return times


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    facts("nvrtc", preload("libnvrtc"))
    cudnn = need("cudnn", "nvidia-cudnn-frontend")
    gpu = handle = None
    if not dry:
        gpu = Gpu()
        handle = cudnn.create_handle()
        cudnn.set_stream(handle=handle, stream=gpu.main.ptr)
    for name, pattern in PATTERNS.items():
        if clock.left() < 0.5:
            facts.say(f"no time for {name} and later patterns")
            break
        described = devices.H200 if dry else None
        try:
            sketch = Sketch(cudnn, cudnn.data_type.HALF, handle, described)
            pattern(sketch)
            found = listing(sketch, BUILT, go_on=lambda: clock.left() > 0.5)
        except Exception as error:
            # cuDNN's answer to a pattern it does not support: that is what is asked here.
            refused = reasons(str(error))
            facts(name, {"named": 0, "refused": refused})
            facts.say(f"{name}: none; {refused[0]}")
            continue
        record = recorded(found)
        if gpu and found.plans:
            with facts.part(f"run {name}"):
                record["ms"] = timed(gpu, handle, sketch, found)
        facts(name, record)
        built = ", ".join(f"{p.build_ms:.0f} ms {p.workspace} B" for p in found.plans)
        facts.say(f"{name}: {found.named} plans, built: {built or 'none'}")
