"""The one-source kernels of kernels/*.h also compile as CUDA, with nvcc and with NVRTC."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADERS = sorted((ROOT / "kernels").glob("*.h"))
SOURCE = Path(__file__).with_name("device_functions.cu")
FLAGS = ["-std=c++17", f"-I{ROOT / 'kernels'}"]


def test_the_source_includes_every_header() -> None:
    text = SOURCE.read_text(encoding="utf-8")
    assert HEADERS and all(f'#include "{header.name}"' in text for header in HEADERS)


def test_nvcc_compiles_it(tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc")
    ptx = tmp_path / "device.ptx"
    command = [nvcc, *FLAGS, "-Werror", "all-warnings", "-ptx", str(SOURCE), "-o", str(ptx)]
    environment = os.environ | {"LD_PRELOAD": ""}  # a sanitizer's runtime breaks it
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ".entry everything" in ptx.read_text(encoding="utf-8")


def _nvrtc() -> ctypes.CDLL:
    """The system's library, or that of a wheel."""
    places = [ctypes.util.find_library("nvrtc")]
    site = Path(sysconfig.get_path("purelib"))
    places += sorted(map(str, site.glob("nvidia/*/lib/libnvrtc.so.*[0-9]")))
    for place in filter(None, places):
        try:
            return ctypes.CDLL(place)
        except OSError:
            continue
    pytest.skip("no NVRTC library")


def test_nvrtc_compiles_it() -> None:
    nvrtc = _nvrtc()
    program = ctypes.c_void_p()
    text = SOURCE.read_bytes()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"device.cu", 0, None, None) == 0
    try:
        flags = (ctypes.c_char_p * len(FLAGS))(*(flag.encode() for flag in FLAGS))
        status = nvrtc.nvrtcCompileProgram(program, len(FLAGS), flags)
        size = ctypes.c_size_t()
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        assert status == 0, log.value.decode()
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
