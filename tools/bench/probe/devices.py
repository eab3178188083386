"""The H200 as cuDNN wants a device described, from published numbers; not read from a device."""

from __future__ import annotations

import json
from typing import Any

from bench.probe.facts import plain

H200: dict[str, Any] = {
    "maxGridSize": [2147483647, 65535, 65535],
    "maxBlockSize": [1024, 1024, 64],
    "regsPerBlock": 65536,
    "multiProcessorCount": 132,
    "warpSize": 32,
    "maxSharedMemoryPerBlock": 49152,
    "maxSharedMemoryPerBlockOptin": 232448,
    "reservedSharedMemoryPerBlock": 1024,
    "maxRegistersPerSM": 65536,
    "maxCtasPerSM": 32,
    "maxThreadsPerBlock": 1024,
    "maxThreadsPerSM": 2048,
    "pciDeviceId": 0,
    "isTccDriver": 0,
    "supportCoopLaunch": 1,
    "totalGlobalMem": 150754820096,
    "smClockRateKHz": 1980000,
    "memClockRateKHz": 3201000,
    "l2CacheSize": 62914560,
    "cudaDeviceId": 0,
    "deviceVer": 900,
    "driverVer": 13000,
    "deviceName": "NVIDIA H200",
}


def differences(made: dict[str, Any], real: dict[str, Any]) -> dict[str, list[Any]]:
    """key -> [made, real] where two descriptions disagree; None where one lacks the key."""
    keys = [*made, *(key for key in real if key not in made)]
    return {key: [made.get(key), real.get(key)] for key in keys if made.get(key) != real.get(key)}


def version(description: dict[str, Any]) -> int:
    """cuDNN's number of the architecture: 900 -> 90."""
    return int(description["deviceVer"]) // 10


def properties(cudnn: Any, description: dict[str, Any]) -> Any:
    """cuDNN's object for a described device; needs no driver."""
    return cudnn.create_device_properties(json.dumps(plain(description)))


def read(cudnn: Any) -> dict[str, Any]:
    """cuDNN's own description of device 0."""
    described: dict[str, Any] = json.loads(cudnn.create_device_properties(0).serialize())
    return described
