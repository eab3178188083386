"""Training steps of torch as the baseline to beat: SGD with momentum, channels last, one device.

bf16: autocast with float weights; tf32: float with TF32 products. Inputs are random, never zeros.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from typing import Any

from bench.probe.facts import Clock, Facts, Missing, need
from bench.probe.stats import summary
from bench.probe.torch_nets import NETS
from bench.probe.workload import WORKLOADS, train_flops

BATCHES = {"bf16": 256, "tf32": 128}
STEPS = 20
CHECKED = 3


def open_torch(facts: Facts, dry: bool) -> Any:
    """torch with what it says of itself noted; Missing without a device unless `dry`."""
    torch = need("torch")
    facts("torch", {"version": torch.__version__, "cuda": torch.version.cuda})
    facts("torch_cudnn", torch.backends.cudnn.version())
    if not dry:
        if not torch.cuda.is_available():
            raise Missing("CUDA device", "torch sees none")
        torch.manual_seed(1)
    return torch


def precision(torch: Any, tf32: bool) -> None:
    """Float products through TF32, or in full."""
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32


class Trainer:
    """A network, its data and its step; `wrap` may compile what goes from images to the loss."""

    def __init__(
        self,
        torch: Any,
        net: str,
        kind: str,
        batch: int,
        device: str = "cuda",
        wrap: Callable[[Any], Any] = lambda forward: forward,
    ) -> None:
        self.torch, self.kind, self.device = torch, kind, device
        precision(torch, tf32=True)
        size = WORKLOADS[net]().size
        last = torch.channels_last
        self.model = NETS[net](torch.nn).to(device).to(memory_format=last).train()
        self.x = torch.randn(batch, 3, size, size, device=device).to(memory_format=last)
        self.label = torch.randint(1000, (batch,), device=device)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, fused=True
        )
        self._loss = wrap(self._forward())

    def _forward(self) -> Callable[[Any, Any], Any]:
        """Images and labels -> loss, as a function that holds no more than the model."""
        torch, model, device = self.torch, self.model, self.device
        loss, enabled = torch.nn.functional.cross_entropy, self.kind == "bf16"

        def forward(x: Any, label: Any) -> Any:
            # No cache of cast weights: inside a captured graph it would outlive its memory.
            with torch.autocast(device, torch.bfloat16, enabled=enabled, cache_enabled=False):
                return loss(model(x), label)

        return forward

    def step(self) -> Any:
        """Forward, backward and update. Returns the loss, detached."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(self.x, self.label)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def losses(self, count: int) -> list[float]:
        return [float(self.step()) for _ in range(count)]


def captured(torch: Any, trainer: Trainer) -> Callable[[], None]:
    """The eager step as one CUDA graph. Returns what replays it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(CHECKED):
            trainer.step()
    torch.cuda.current_stream().wait_stream(side)
    trainer.optimizer.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        trainer.step()
    replay: Callable[[], None] = graph.replay
    return replay


def step_times(torch: Any, step: Callable[[], Any], count: int = STEPS) -> dict[str, Any]:
    """Milliseconds per step: device events around each, and the host's clock over all."""
    step()
    torch.cuda.synchronize()
    pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
    began = time.perf_counter()
    for first, last in pairs:
        first.record()
        step()
        last.record()
    torch.cuda.synchronize()
    wall = (time.perf_counter() - began) * 1e3 / count
    samples = [first.elapsed_time(last) for first, last in pairs]
    return summary(samples) | {"wall_ms": wall, "samples": samples}


def peak_bytes(torch: Any, step: Callable[[], Any]) -> dict[str, int]:
    """Greatest bytes in tensors and taken from the device while one step runs."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return {
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
    }


def measured(torch: Any, trainer: Trainer, mode: str, net: str) -> dict[str, Any]:
    """Times, peaks and losses of one cell; the first steps tune, compile and load."""
    batch = BATCHES[trainer.kind]
    began = time.perf_counter()
    losses = trainer.losses(CHECKED)
    record: dict[str, Any] = {
        "batch": batch,
        "first_steps_s": time.perf_counter() - began,
        "losses": losses,
        "peak": peak_bytes(torch, trainer.step),
    }
    run: Callable[[], Any] = trainer.step
    if mode == "eager_graph":
        record["eager_ms"] = step_times(torch, trainer.step, STEPS // 2)
        run = captured(torch, trainer)
        record["peak_graph"] = peak_bytes(torch, run)
    record["ms"] = times = step_times(torch, run)
    record["images_per_s"] = batch / times["median"] * 1e3
    record["tflops"] = train_flops(WORKLOADS[net](), batch) / times["median"] / 1e9
    return record


def cells(kinds: Iterable[str] = ("bf16", "tf32")) -> list[tuple[str, str]]:
    """(network, arithmetic) in the order of measuring: all networks in bf16 first."""
    return [(net, kind) for kind in kinds for net in NETS]


def measure_cell(torch: Any, facts: Facts, net: str, kind: str, mode: str) -> None:
    """Measure one cell and free its memory, whatever became of it."""

    def cell() -> dict[str, Any]:
        wrap = (lambda forward: forward) if mode == "eager_graph" else _compiler(torch, mode)
        return measured(torch, Trainer(torch, net, kind, BATCHES[kind], wrap=wrap), mode, net)

    torch.backends.cudnn.benchmark = True
    with facts.part(f"{net} {kind} {mode}"):
        record = cell()
        facts(f"{net}.{kind}.{mode}", record)
        facts.say(
            f"{net} {kind} B={record['batch']} {mode}: {record['ms']['median']:.2f} ms, "
            f"{record['images_per_s']:.0f} img/s, {record['tflops']:.0f} TFLOP/s, "
            f"peak {record['peak']['allocated'] / 2**30:.2f} GiB"
        )
    gc.collect()
    torch.cuda.empty_cache()


def _compiler(torch: Any, mode: str) -> Callable[[Any], Any]:
    return lambda forward: torch.compile(forward, mode=mode)


def device_free(torch: Any | None, facts: Facts) -> None:
    """Work and weights of the networks, and whether torch's modules have those weights."""
    for net, work in ((name, make()) for name, make in WORKLOADS.items()):
        record: dict[str, Any] = {
            "gflop_per_image": 2 * work.macs / 1e9,
            "weights": work.weights,
            "train_gflop": {k: train_flops(work, b) / 1e9 for k, b in BATCHES.items()},
        }
        if torch is not None:
            with torch.device("meta"):
                parameters = list(NETS[net](torch.nn).parameters())
            record["torch_weights"] = sum(p.numel() for p in parameters if p.dim() > 1)
            record["torch_parameters"] = sum(p.numel() for p in parameters)
        facts(f"work.{net}", record)


def run_cells(facts: Facts, clock: Clock, dry: bool, modes: tuple[str, ...], cell_s: float) -> None:
    """Measure cell after cell while `cell_s` seconds are left for the next."""
    device_free(None, facts)
    torch = open_torch(facts, dry)
    device_free(torch, facts)
    if dry:
        return
    left_out = []
    for mode in modes:
        for net, kind in cells():
            if clock.left() < cell_s:
                left_out.append(f"{net} {kind} {mode}")
                continue
            measure_cell(torch, facts, net, kind, mode)
    facts("left_out", left_out)
    if left_out:
        facts.say(f"no time for {', '.join(left_out)}")
