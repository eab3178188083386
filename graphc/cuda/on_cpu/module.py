"""Module: kernels compiled by g++, called as CuPy calls those of a GPU."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from graphc.config import Config
from graphc.cuda.sources import kernel_folder

HERE = Path(__file__).resolve().parent
ORDERS = ("ascending", "descending", "shuffled")
FLAGS = ["-std=c++17", "-fPIC", "-w", "-ffp-contract=off", "-fno-strict-aliasing"]
PLAIN, SANITIZED = ["-O1"], ["-O0", "-g1", "-fno-omit-frame-pointer", "-DCUDA_ON_CPU_SANITIZED"]
SANITIZED += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


class KernelError(RuntimeError):
    """A kernel does not compile, is called wrongly, or its threads got stuck."""


def unavailable() -> str:
    """Why kernels cannot run here; empty if they can."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        return "fibers are written for x86-64 Linux"
    return "" if shutil.which("g++") else "no g++"


def runtimes() -> str:
    """LD_PRELOAD of a process that calls sanitized kernels; empty if g++ has no sanitizers."""
    found = []
    for name in ("libasan.so", "libubsan.so"):
        done = subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True)
        found.append(done.stdout.strip())
    return " ".join(found) if all(map(os.path.isabs, found)) else ""


def cache_folder() -> Path:
    """Where libraries are kept: of a checkout in build/, else in the user's cache."""
    checkout = kernel_folder().parent
    if (checkout / "setup.py").is_file() and os.access(checkout, os.W_OK):
        return checkout / "build" / "cuda_on_cpu"
    return Config.load().cache / "cuda_on_cpu"


class Module:
    """The kernels `names` (template arguments and all) of CUDA source text.

    `include`: folders of its headers; `sanitized`: the process must have `runtimes` preloaded.
    A library is built once for the same text, headers and flags. Raises KernelError.
    """

    def __init__(
        self,
        source: str,
        names: Sequence[str],
        *,
        include: Sequence[Path] = (),
        sanitized: bool = False,
    ) -> None:
        self.names = {name: number for number, name in enumerate(names)}
        flags = [*FLAGS, *(SANITIZED if sanitized else PLAIN), f"-I{HERE}"]
        flags += [f"-I{folder}" for folder in include]
        headers = [p for folder in (HERE, *include) for p in sorted(folder.glob("*.[hc]*"))]
        path = _built(_unit(source, names), flags, [p for p in headers if p.is_file()])
        self._library = ctypes.CDLL(str(path))
        self._library.cuda_on_cpu_order.argtypes = [ctypes.c_int, ctypes.c_uint64]

    def order(self, kind: str, seed: int = 0) -> None:
        """In which of `ORDERS` threads, and blocks, run from now on; `seed` is that of shuffles."""
        self._library.cuda_on_cpu_order(ORDERS.index(kind), seed)

    def get_function(self, name: str) -> Callable[..., None]:
        """f(grid, block, args, *, shared_mem=0): arrays, addresses or None (null) where the kernel
        takes pointers, numpy scalars of the very type for numbers, records for structs."""
        number = self.names[name]
        spelled = getattr(self._library, f"spelled_{number}")
        spelled.restype = ctypes.c_char_p
        types = spelled().decode().split()
        call = getattr(self._library, f"call_{number}")
        call.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        call.restype = ctypes.c_char_p

        def launch(
            grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0
        ) -> None:
            if len(args) != len(types):
                raise KernelError(f"{name} takes {len(types)} arguments, not {len(args)}")
            kept = [_passed(name, i, *pair) for i, pair in enumerate(zip(args, types, strict=True))]
            pointers = (ctypes.c_void_p * max(1, len(kept)))(*map(ctypes.addressof, kept))
            extents = (*_three(name, "grid", grid), *_three(name, "block", block))
            error = call(pointers, (ctypes.c_uint * 6)(*extents), shared_mem)
            if error:
                raise KernelError(f"{name}: {error.decode()}")

        return launch


def _three(name: str, what: str, given: Sequence[int]) -> tuple[int, ...]:
    """An extent with all axes, within a GPU's limits."""
    full = (*map(int, given), *(1,) * (3 - len(given)))
    most = (1024, 1024, 64) if what == "block" else (2**31 - 1, 65535, 65535)
    is_small = what == "grid" or full[0] * full[1] * full[2] <= 1024
    is_short = len(full) == 3 and all(1 <= n <= m for n, m in zip(full, most, strict=True))
    if not is_short or not is_small:
        raise KernelError(f"{name}: {what} {tuple(given)} is none that a GPU takes")
    return full


def _passed(name: str, index: int, given: Any, wanted: str) -> Any:
    """A C object with the argument's bytes, or with its address. Raises KernelError."""
    type_ = wanted.lstrip("*&")
    is_pointer = wanted != type_
    if is_pointer and (given is None or type(given) is int):
        return ctypes.c_void_p(given)
    if not isinstance(given, np.ndarray if is_pointer else np.generic):
        raise KernelError(f"{name}: argument {index} is {type(given).__name__}, wanted {wanted}")
    if not _matches(given.dtype, type_):
        raise KernelError(f"{name}: argument {index} is {given.dtype}, wanted {wanted}")
    if not isinstance(given, np.ndarray):
        return ctypes.create_string_buffer(given.tobytes(), given.itemsize)
    if wanted[0] == "*" and not given.flags.writeable:
        raise KernelError(f"{name}: argument {index} is written, but read-only")
    return ctypes.c_void_p(given.ctypes.data)


def _matches(dtype: np.dtype[Any], type_: str) -> bool:
    """Structs of two bytes are halves and bfloat16's bits; larger ones are records."""
    if type_ == "v2":
        return dtype in (np.float16, np.uint16)
    return f"{dtype.kind.lower()}{dtype.itemsize}" == type_


def _unit(source: str, names: Sequence[str]) -> str:
    """The text that is compiled: the kernels, and two functions for each that Python calls."""
    lines = ['#include "device.h"', '#include "arguments.h"', "namespace {", source, "}"]
    for number, name in enumerate(names):
        lines += [
            f'extern "C" const char* spelled_{number}() {{ return cuda_on_cpu::spelled(&{name}); }}'
            f'\nextern "C" const char* call_{number}(void** args, const unsigned* extents, '
            f"std::size_t shared) {{ return cuda_on_cpu::call(&{name}, args, extents, shared); }}"
        ]
    return "\n".join(lines) + "\n"


def _built(unit: str, flags: list[str], headers: list[Path]) -> Path:
    """The library of a unit, built unless it is there. Raises KernelError."""
    scheduler = _compiled((HERE / "scheduler.cpp").read_text(), flags, headers[:0], "o", ["-c"])
    return _compiled(unit, flags, headers, "so", ["-shared", str(scheduler)])


def _compiled(
    text: str, flags: list[str], headers: list[Path], suffix: str, extra: list[str]
) -> Path:
    told = [text, _compiler(), *flags, *extra]
    told += [p.read_text(encoding="utf-8") for p in (HERE / "scheduler.h", *headers)]
    path = (
        cache_folder() / f"{hashlib.sha256(chr(0).join(told).encode()).hexdigest()[:24]}.{suffix}"
    )
    with _alone(path.with_suffix(".lock")):
        if not path.exists():
            unit, aside = path.with_suffix(f".{suffix}.cpp"), path.with_suffix(".new")
            unit.write_text(text, encoding="utf-8")
            last = [*extra[1:], "-o", str(aside)]
            command = ["g++", *flags, extra[0], str(unit), *last]
            clean = os.environ | {"LD_PRELOAD": ""}  # a sanitizer's runtime slows g++ down
            done = subprocess.run(command, env=clean, capture_output=True, text=True)
            if done.returncode:
                raise KernelError(re.sub(r"(?s)^(.{4000}).*", r"\1 ...", done.stderr))
            aside.replace(path)
    return path


@functools.cache
def _compiler() -> str:
    return subprocess.run(["g++", "--version"], capture_output=True, text=True).stdout


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Test processes that want the same library wait for the one that builds it."""
    import fcntl  # which other systems lack

    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
