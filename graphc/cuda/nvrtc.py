"""compile_cubin: CUDA source -> machine code of one kind of GPU, by NVRTC; needs no GPU, no driver.

NVRTC is found where the wheel nvidia-cuda-nvrtc puts it, or where the system has it.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from graphc.cuda.shared import load
from graphc.errors import fail
from graphc.records import record

FLAGS = ("-std=c++17", "-default-device", "-lineinfo", "-ftz=true", "--ptxas-options=-v")
"""-ftz: as CuPy compiles, so that both make the same code."""


@record(frozen=True, slots=True)
class Usage:
    """What a kernel needs of the machine: registers of a thread, bytes of its stack frame, and
    bytes that went there because registers ran out (stored, loaded)."""

    registers: int
    stack: int
    spilled: tuple[int, int]


@record(frozen=True, slots=True)
class Cubin:
    """`code`: the image that a driver loads; `names`: what each kernel is called in it; `usage`: by
    these names."""

    code: bytes
    names: Mapping[str, str]
    usage: Mapping[str, Usage]


def version() -> tuple[int, int] | None:
    """Of the NVRTC there is; None: there is none."""
    library = _library()
    if library is None:
        return None
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def architectures() -> tuple[int, ...]:
    """Compute capabilities that the NVRTC there is compiles for, as 90 for 9.0; none without it."""
    library = _library()
    if library is None:
        return ()
    count = ctypes.c_int()
    library.nvrtcGetNumSupportedArchs(ctypes.byref(count))
    found = (ctypes.c_int * count.value)()
    library.nvrtcGetSupportedArchs(found)
    return tuple(found)


def compile_cubin(source: str, names: Sequence[str], arch: int, include: Sequence[Path]) -> Cubin:
    """Compile the kernels `names`, C++ expressions with any template arguments, for sm_`arch`.

    Raises GC-X001 without NVRTC, and with its messages for what does not compile.
    """
    library = _library()
    if library is None:
        fail("GC-X001", "NVRTC is not installed", "pip install nvidia-cuda-nvrtc")
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
    try:
        for name in names:
            library.nvrtcAddNameExpression(program, name.encode())
        flags = [*FLAGS, f"-arch=sm_{arch}", *(f"-I{folder}" for folder in include)]
        array = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
        status = library.nvrtcCompileProgram(program, len(flags), array)
        log = _bytes(library, program, "ProgramLog").rstrip(b"\0").decode()
        if status:
            fail("GC-X001", f"sm_{arch}: {log.strip() or f'NVRTC error {status}'}")
        found = {}
        for name in names:
            lowered = ctypes.c_char_p()
            library.nvrtcGetLoweredName(program, name.encode(), ctypes.byref(lowered))
            found[name] = (lowered.value or b"").decode()
        return Cubin(_bytes(library, program, "CUBIN"), found, _usage(log))
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


_ENTRY = re.compile(r"Compiling entry function '(\S+)'(.*?)Used (\d+) registers", re.DOTALL)
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


def _usage(log: str) -> dict[str, Usage]:
    """What ptxas says of each kernel."""
    found = {}
    for name, between, registers in _ENTRY.findall(log):
        stack, stored, loaded = map(int, _STACK.findall(between)[0])
        found[name] = Usage(int(registers), stack, (stored, loaded))
    return found


def _bytes(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw


def _library() -> ctypes.CDLL | None:
    return load("nvrtc")
