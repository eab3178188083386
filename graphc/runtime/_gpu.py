"""opened: CuPy with a GPU made ready; what is missing is said with what to do about it."""

from __future__ import annotations

import importlib
from typing import Any, NoReturn

from graphc.errors import GraphError, fail
from graphc.records import record

OLDEST_DRIVER = 13000
"""What CUDA 13's libraries need, as cudaDriverGetVersion tells it."""
OLDEST_CAPABILITY = 75
INSTALL = "pip install 'graphc[gpu]'"
DOCTOR = "`graphc doctor` says what a GPU needs; target cpu runs everywhere"


@record(frozen=True, slots=True)
class Gpu:
    """`cupy`: the module; `name`: "NVIDIA H200"; `capability`: 90 for 9.0."""

    cupy: Any
    number: int
    name: str
    capability: int


def cupy_module() -> Any:
    """CuPy. Raises GC-X001 where it is missing or broken."""
    try:
        return importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise _broken(error) from error
        fail("GC-X001", "running on a GPU needs the package cupy", INSTALL)
    except Exception as error:  # whatever a broken package raises
        raise _broken(error) from error


def _broken(error: Exception) -> GraphError:
    told = f"{type(error).__name__}: {error}".partition("\n")[0]
    return GraphError("GC-X001", f"the package cupy is there and broken: {told}", INSTALL)


def check_driver(cupy: Any) -> int:
    """The driver's version, 13000 for 13.0. Raises GC-X001 for none and for one too old."""
    version = int(cupy.cuda.runtime.driverGetVersion())
    if version == 0:
        fail("GC-X001", "there is no NVIDIA driver", DOCTOR)
    if version < OLDEST_DRIVER:
        told = f"the NVIDIA driver is for CUDA {text(version)}, and {text(OLDEST_DRIVER)} is needed"
        fail("GC-X001", told, "install a newer driver; target cpu runs everywhere")
    return version


def text(version: int) -> str:
    """13010 -> "13.1"."""
    return f"{version // 1000}.{version % 1000 // 10}"


def opened(number: int = 0) -> Gpu:
    """GPU `number`, from now on this thread's. Raises GC-X001."""
    cupy = cupy_module()
    check_driver(cupy)
    runtime = cupy.cuda.runtime
    try:
        count = int(runtime.getDeviceCount())
        if number >= count:
            here = f"there are {count}, counted from 0" if count else "there is none"
            fail("GC-X001", f"no GPU {number}: {here}", DOCTOR)
        runtime.setDevice(number)
        told = runtime.getDeviceProperties(number)
    except runtime.CUDARuntimeError as error:
        fail("GC-X001", f"GPU {number} cannot be used: {error}", DOCTOR)
    name = told["name"].decode() if isinstance(told["name"], bytes) else str(told["name"])
    capability = 10 * int(told["major"]) + int(told["minor"])
    if capability < OLDEST_CAPABILITY:
        least = f"{OLDEST_CAPABILITY // 10}.{OLDEST_CAPABILITY % 10}"
        fail("GC-X001", f"{name} is older than what CUDA 13 compiles for, {least}", DOCTOR)
    return Gpu(cupy, number, name, capability)


def lost(what: str, error: Exception) -> NoReturn:
    """Raise GC-X002: a GPU failed while it computed."""
    told = str(error).partition("\n")[0]
    hint = "snapshots are intact: `graphc train --resume` goes on; GRAPHC_GPU=trace finds the step"
    raise GraphError("GC-X002", f"the GPU failed {what}: {told}", hint) from error


__all__ = ["DOCTOR", "Gpu", "check_driver", "cupy_module", "lost", "opened", "text"]
