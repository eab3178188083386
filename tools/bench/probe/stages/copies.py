"""Rates of copies on the device and over the bus, and how much memory can be pinned."""

from __future__ import annotations

import time
from typing import Any

from bench.probe.facts import Clock, Facts, need
from bench.probe.gpu import Gpu
from bench.probe.stats import summary

GIB = 1 << 30
DEVICE_BYTES = 4 * GIB
BUS_BYTES = (1 << 20, 16 << 20, 256 << 20, GIB)
PINNED_GIB = (1, 2, 4, 8, 16, 32)


def rate(size: int, ms: float) -> float:
    """size / ms in GB/s, 1 GB = 1e9 bytes."""
    return size / ms / 1e6


def device_copy(gpu: Gpu, facts: Facts) -> None:
    """Copy 4 GiB of random numbers within the device; bytes read and written both count."""
    source, to = gpu.alloc(DEVICE_BYTES), gpu.alloc(DEVICE_BYTES)
    gpu.fill(source, DEVICE_BYTES // 4, "float", seed=1)

    def step() -> None:
        gpu.copy(to, source, DEVICE_BYTES, "DeviceToDevice")

    times = summary(gpu.device_ms(step, reps=10))
    facts("device_copy_ms", times)
    best = rate(2 * DEVICE_BYTES, times["median"])
    facts("device_copy_gbps", best)
    facts("device_copy_same_bits", gpu.digest(to, GIB) == gpu.digest(source, GIB))
    facts.say(f"device copy {best:.0f} GB/s read and written")
    gpu.runtime.free(source)
    gpu.runtime.free(to)


def bus_copies(gpu: Gpu, facts: Facts) -> None:
    """Pinned copies host -> device, device -> host and both at once on two streams."""
    most = BUS_BYTES[-1]
    device = [gpu.alloc(most), gpu.alloc(most)]
    host = [gpu.pinned(most), gpu.pinned(most)]
    for index, address in enumerate(device):
        gpu.fill(address, most // 4, "float", seed=index)
        gpu.copy(host[index], address, most, "DeviceToHost")
    up, down = gpu.stream(), gpu.stream()

    def both(size: int) -> None:
        fork, ends = gpu.event(timing=False), []
        fork.record(gpu.main)
        for stream, to, source, kind in (
            (up, device[0], host[0], "HostToDevice"),
            (down, host[1], device[1], "DeviceToHost"),
        ):
            stream.wait_event(fork)
            gpu.copy(to, source, size, kind, stream)
            ends.append(gpu.event(timing=False))
            ends[-1].record(stream)
        for end in ends:
            gpu.main.wait_event(end)

    rates: dict[str, dict[str, Any]] = {}
    for size in BUS_BYTES:
        ways = {
            "h2d": lambda n=size: gpu.copy(device[0], host[0], n, "HostToDevice"),
            "d2h": lambda n=size: gpu.copy(host[1], device[1], n, "DeviceToHost"),
            "both": lambda n=size: both(n),
        }
        for way, step in ways.items():
            times = summary(gpu.device_ms(step, reps=7))
            moved = size * (2 if way == "both" else 1)
            rates.setdefault(way, {})[str(size)] = {"gbps": rate(moved, times["median"])} | times
    facts("pinned_copies", rates)
    text = ", ".join(f"{way} {rates[way][str(most)]['gbps']:.1f}" for way in rates)
    facts.say(f"pinned, 1 GiB, GB/s: {text}")
    for address in host:
        gpu.runtime.freeHost(address)


def pinned_limit(gpu: Gpu, facts: Facts, clock: Clock) -> None:
    """Pin more and more at a time until it fails, takes the rest of the time, or is 32 GiB."""
    seconds: dict[str, float] = {}
    refused = None
    for size in PINNED_GIB:
        if seconds and clock.left() < 4 * max(seconds.values()):
            break
        began = time.perf_counter()
        try:
            address = gpu.pinned(size * GIB)
        except gpu.runtime.CUDARuntimeError as error:
            refused = f"{size} GiB: {error}"
            break
        seconds[str(size)] = time.perf_counter() - began
        gpu.runtime.freeHost(address)
    facts("pinned_gib_seconds", seconds)
    facts("pinned_refused", refused)
    facts.say(f"pinned at once: {max(map(int, seconds), default=0)} GiB; refused: {refused}")


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    need("cupy")
    if dry:
        return
    gpu = Gpu()
    with facts.part("device copy"):
        device_copy(gpu, facts)
    with facts.part("bus copies"):
        bus_copies(gpu, facts)
    with facts.part("pinned limit"):
        pinned_limit(gpu, facts, clock)
