"""Kernels: cubins of our own compilation, loaded by the driver; launches with packed arguments."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from graphc.config import Config
from graphc.cuda import Launch, nvrtc
from graphc.cuda.nvrtc import Cubin
from graphc.cuda.sources import kernel_folder, text_of
from graphc.files import write_file
from graphc.numpy_later import np
from graphc.runtime._gpu import Gpu
from graphc.runtime.device import Argument

ALIGN = 8


class Kernels:
    """The kernels of one GPU. Cubins stay in the cache, GRAPHC_CACHE, under a digest of all text
    that is compiled, headers included, of the flags and of the compiler's version."""

    def __init__(self, gpu: Gpu) -> None:
        self._driver, self._arch = gpu.cupy.cuda.driver, gpu.capability
        self._functions: dict[tuple[str, str], int] = {}
        self._modules: list[int] = []

    def load(self, launches: Iterable[Launch]) -> None:
        """Compile what is not there yet, a source at a time. Raises GC-X001 for what does not
        compile, or where NVRTC is missing."""
        wanted: dict[str, dict[str, None]] = {}
        for launch in launches:
            if (launch.source, launch.kernel) not in self._functions:
                wanted.setdefault(launch.source, {})[launch.kernel] = None
        for source, names in wanted.items():
            cubin = compiled(source, [*names], self._arch)
            module = self._driver.moduleLoadData(cubin.code)
            self._modules.append(module)
            for name in names:
                lowered = self._driver.moduleGetFunction(module, cubin.names[name])
                self._functions[source, name] = lowered

    def launch(self, launch: Launch, args: Sequence[Argument], stream: int) -> None:
        """Queue a loaded kernel on the stream at an address."""
        storage, pointers = packed(args)
        self._driver.launchKernel(
            self._functions[launch.source, launch.kernel],
            *_three(launch.grid),
            *_three(launch.block),
            launch.shared,
            stream,
            pointers.ctypes.data,
            0,
        )
        del storage  # the driver has copied what pointers lead to


def packed(args: Sequence[Argument]) -> tuple[Any, Any]:
    """(bytes of the arguments, addresses of each among them), as a launch takes them."""
    values = [np.uint64(arg) if isinstance(arg, int) else arg for arg in args]
    starts, end = [], 0
    for value in values:
        starts.append(end)
        end += -(-value.nbytes // ALIGN) * ALIGN
    storage = np.zeros(max(end, ALIGN), np.uint8)
    for start, value in zip(starts, values, strict=True):
        storage[start : start + value.nbytes] = np.frombuffer(value.tobytes(), np.uint8)
    return storage, np.array(starts, np.uint64) + np.uint64(storage.ctypes.data)


def compiled(source: str, names: Sequence[str], arch: int) -> Cubin:
    """Machine code of some kernels, of the cache if it is there, else compiled and kept there."""
    folder = kernel_folder()
    path = _cache() / f"{_digest(source, names, arch, folder)}.cubin"
    known = _kept(path)
    if known is not None:
        return known
    made = nvrtc.compile_cubin(text_of(source), names, arch, [folder])
    head = json.dumps(dict(made.names)).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, len(head).to_bytes(4, "little") + head + made.code)
    return made


def _kept(path: Path) -> Cubin | None:
    """What was compiled before; None if it is not there, or not whole."""
    try:
        told = path.read_bytes()
        past = 4 + int.from_bytes(told[:4], "little")
        names = json.loads(told[4:past])
    except (OSError, ValueError):
        return None
    code = told[past:]
    return Cubin(code, names, {}) if code.startswith(b"\x7fELF") else None


def _digest(source: str, names: Sequence[str], arch: int, folder: Path) -> str:
    told = [text_of(source), *names, str(arch), *nvrtc.FLAGS, str(nvrtc.version())]
    seen = hashlib.sha256("\0".join(told).encode())
    for path in sorted((*folder.glob("*.h"), *folder.glob("*.cu"))):
        seen.update(path.name.encode() + b"\0" + path.read_bytes())
    return seen.hexdigest()[:32]


def _cache() -> Path:
    return Config.load().cache / "cubins"


def _three(extents: Sequence[int]) -> tuple[int, int, int]:
    x, y, z = (*extents, 1, 1)[:3]
    return x, y, z


__all__ = ["Kernels", "compiled", "packed"]
