"""Driver, CUDA and library versions, as installed and as loaded."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from bench.probe.facts import Clock, Facts, need
from bench.probe.gpu import device_count, preload

PACKAGES = (
    "cupy-cuda13x",
    "torch",
    "triton",
    "nvidia-cudnn-cu13",
    "nvidia-cudnn-frontend",
    "nvidia-cublas",
    "nvidia-cusparselt-cu13",
    "nvidia-cuda-nvrtc",
    "nvidia-cuda-runtime",
    "cuda-pathfinder",
    "numpy",
)
LOADED = (("libcudnn", "cudnnGetVersion"), ("libcublasLt", "cublasLtGetVersion"))
ASKED = "name,driver_version,memory.total,pci.bus_id,pcie.link.gen.max,pcie.link.width.max"


def installed() -> dict[str, str | None]:
    """Version of every package of PACKAGES; None for one that is absent."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def host() -> dict[str, Any]:
    """Processor, memory in bytes and kernel of the machine."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [row for row in info.read_text().splitlines() if row.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else ""
    return {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "libc": "-".join(platform.libc_ver()),
        "cpu": model,
        "cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def library_version(library: str, function: str) -> int | None:
    """What a library of the installed wheels says of itself; needs no driver."""
    path = preload(library)
    if path is None:
        return None
    call = getattr(ctypes.CDLL(f"{library}.so.{path.rpartition('.so.')[2]}"), function)
    call.restype = ctypes.c_size_t
    return int(call())


def driver_report(facts: Facts) -> None:
    if shutil.which("nvidia-smi") is None:
        facts.miss("nvidia-smi", "not on the path")
        return
    command = ["nvidia-smi", f"--query-gpu={ASKED}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=True)
    facts("nvidia_smi", dict(zip(ASKED.split(","), done.stdout.strip().split(", "), strict=False)))
    facts.say(done.stdout.strip())


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    facts("host", host())
    found = installed()
    facts("packages", found)
    facts.say(", ".join(f"{name} {version}" for name, version in found.items() if version))
    for name in [name for name, version in found.items() if version is None]:
        facts.miss(name, "not installed")
    for library, function in LOADED:
        with facts.part(library):
            facts(f"loaded.{library}", library_version(library, function))
    with facts.part("nvrtc"):
        facts("loaded.nvrtc", need("cupy_backends.cuda.libs.nvrtc", "nvrtc").getVersion())
    if dry:
        return
    with facts.part("nvidia-smi"):
        driver_report(facts)
    runtime = need("cupy").cuda.runtime
    facts("cuda.driver", runtime.driverGetVersion())
    facts("cuda.runtime", runtime.runtimeGetVersion())
    facts("devices", device_count())
    facts("memory_free_total", runtime.memGetInfo())
