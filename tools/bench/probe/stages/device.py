"""cuDNN's description of the device, next to the hand-made one."""

from __future__ import annotations

import json

from bench.probe import devices
from bench.probe.facts import Clock, Facts, need
from bench.probe.gpu import device_count


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    facts("hand_made", devices.H200)
    with facts.part("hand-made description"):
        cudnn = need("cudnn", "nvidia-cudnn-frontend")
        taken = json.loads(devices.properties(cudnn, devices.H200).serialize())
        facts("hand_made_taken_with", devices.differences(devices.H200, taken))
    if dry:
        return
    device_count()
    cupy = need("cupy")
    with facts.part("attributes"):
        facts("attributes", cupy.cuda.Device(0).attributes)
        facts("runtime_properties", cupy.cuda.runtime.getDeviceProperties(0))
    cudnn = need("cudnn", "nvidia-cudnn-frontend")
    cupy.cuda.Device(0).use()
    real = devices.read(cudnn)
    facts("device_properties", real)
    differing = devices.differences(devices.H200, real)
    facts("differences", differing)
    text = ", ".join(f"{key} {a} / {b}" for key, (a, b) in differing.items())
    facts.say(f"hand-made / real: {text or 'equal'}")
