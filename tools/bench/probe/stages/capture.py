"""One captured step against the eager one: convolution, ReLU, SGD, a forked copy to the host.

    y = conv(x, w);  r = relu(y);  fork: host = r;  m = mu*m + rate*g, w -= m;  join

From equal beginnings every replay must leave the bits of the eager step, and 20 replays in a row
those of 20 eager steps. Buffers are poisoned before each step. Without cuDNN's frontend the
convolution is left out and y is fixed.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from typing import Any

from bench.probe import kernels
from bench.probe.cudnn_graphs import Sketch, convolution, list_plans
from bench.probe.facts import Clock, Facts, Missing, need
from bench.probe.gpu import Gpu
from bench.probe.workload import Conv

REPLAYS = 20
BATCH = 32
CONV = Conv(64, 64, 3, 1, 56, 1)
RATE, MOMENTUM = 0.01, 0.9


class Step:
    """The buffers of the step and what it enqueues. Halves are 2 bytes, floats 4."""

    def __init__(self, gpu: Gpu, with_conv: bool) -> None:
        self.gpu, self.np = gpu, need("numpy")
        self.n = BATCH * CONV.filters * CONV.out**2
        self.params = CONV.weights
        inputs = BATCH * CONV.channels * CONV.size**2
        sizes = {
            "x": 2 * inputs,
            "y": 2 * self.n,
            "r": 2 * self.n,
            "half": 2 * self.params,
            "w": 4 * self.params,
            "m": 4 * self.params,
            "g": 4 * self.params,
            "w0": 4 * self.params,
        }
        self.sizes = sizes
        self.at = {name: gpu.alloc(size) for name, size in sizes.items()}
        self.host = gpu.pinned(sizes["r"])
        self.copies = gpu.stream()
        self.fork, self.join = gpu.event(timing=False), gpu.event(timing=False)
        gpu.fill(self.at["x"], inputs, "half", seed=1)
        gpu.fill(self.at["w0"], self.params, "float", seed=2, scale=0.05)
        gpu.fill(self.at["g"], self.params, "float", seed=3)
        if not with_conv:
            gpu.fill(self.at["y"], self.n, "half", seed=4)
        self.conv: Callable[[], None] | None = self._convolution() if with_conv else None

    def _convolution(self) -> Callable[[], None]:
        cudnn = need("cudnn", "nvidia-cudnn-frontend")
        handle = cudnn.create_handle()
        cudnn.set_stream(handle=handle, stream=self.gpu.main.ptr)
        sketch = Sketch(cudnn, cudnn.data_type.HALF, handle=handle)
        convolution(sketch, "fprop", CONV, BATCH)
        plans = list_plans(sketch, most=1, deterministic=True)
        if not plans:
            raise Missing("cuDNN plan", f"none builds for {CONV.label}")
        plan = plans[0]
        self.plan = {"name": plan.name, "workspace": plan.workspace}
        space = self.gpu.alloc(max(plan.workspace, 1))
        pack = sketch.pack([self.at["x"], self.at["half"], self.at["y"]])
        return lambda: sketch.graph.execute_plan_at_index(pack, space, plan.index, handle=handle)

    def restore(self) -> None:
        """Set the beginning: w, its half copy, zero momentum; poison what the step writes."""
        gpu, at = self.gpu, self.at
        gpu.copy(at["w"], at["w0"], self.sizes["w"], "DeviceToDevice")
        gpu.runtime.memsetAsync(at["m"], 0, self.sizes["m"], gpu.main.ptr)
        # A step of rate 0 makes the half copy without touching w.
        self._update(rate=0.0)
        self.poison()

    def poison(self) -> None:
        for name in ("y", "r") if self.conv else ("r",):
            self.gpu.poison(self.at[name], self.sizes[name])
        self.gpu.main.synchronize()
        ctypes.memset(self.host, 0xFF, self.sizes["r"])

    def _update(self, rate: float) -> None:
        np, at = self.np, self.at
        pointers = [np.uint64(at[name]) for name in ("w", "m", "g", "half")]
        scalars = (np.uint64(self.params), np.float32(rate), np.float32(MOMENTUM))
        self.gpu.launch("sgd", self.params, *pointers, *scalars)

    def enqueue(self) -> None:
        """The step itself, on the main stream and one that forks from it and joins again."""
        gpu, np, at = self.gpu, self.np, self.at
        if self.conv:
            self.conv()
        count = np.uint64(self.n)
        gpu.launch("relu_half", self.n, np.uint64(at["y"]), np.uint64(at["r"]), count)
        self.fork.record(gpu.main)
        self.copies.wait_event(self.fork)
        gpu.copy(self.host, at["r"], self.sizes["r"], "DeviceToHost", self.copies)
        self._update(RATE)
        self.join.record(self.copies)
        gpu.main.wait_event(self.join)

    def bits(self) -> tuple[str, ...]:
        """What the step left: result on the host, result, weights and momentum on the device."""
        self.gpu.main.synchronize()
        host = hashlib.sha256(ctypes.string_at(self.host, self.sizes["r"])).hexdigest()[:16]
        return (host, *(f"{self.gpu.digest(self.at[n], self.sizes[n]):x}" for n in "rwm"))


def compare(gpu: Gpu, step: Step) -> dict[str, Any]:
    """Eager and captured steps from equal beginnings, alone and in a row."""

    def single(run: Callable[[], None]) -> tuple[str, ...]:
        step.restore()
        run()
        return step.bits()

    def row(run: Callable[[], None]) -> list[tuple[str, ...]]:
        step.restore()
        left = []
        for _ in range(REPLAYS):
            step.poison()
            run()
            left.append(step.bits())
        return left

    single(step.enqueue)  # loads every module: nothing may load inside a capture
    eager = single(step.enqueue)
    graph = gpu.captured(step.enqueue)
    replayed = [single(lambda: gpu.replay(graph)) for _ in range(REPLAYS)]
    eager_row, replayed_row = row(step.enqueue), row(lambda: gpu.replay(graph))
    return {
        "eager_repeats": single(step.enqueue) == eager,
        "replays_equal_eager": sum(bits == eager for bits in replayed),
        "row_equals_eager_row": eager_row == replayed_row,
        "steps_differ": len(set(eager_row)) == REPLAYS,
        "replays": REPLAYS,
        "bits": list(eager),
    }


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    with facts.part("kernels without a device"):
        facts("kernels_sm_90", kernels.build("90"))
    if dry:
        return
    gpu = Gpu()
    for name, with_conv in (("kernels", False), ("convolution", True)):
        with facts.part(name):
            step = Step(gpu, with_conv)
            if with_conv:
                facts("plan", step.plan)
            found = compare(gpu, step)
            facts(name, found)
            facts.say(
                f"{name}: {found['replays_equal_eager']} of {REPLAYS} replays equal the eager "
                f"step, {REPLAYS} in a row equal: {found['row_equals_eager_row']}"
            )
