"""The runner in a GPU's place: works are bound to arrays and run; many share one library.

`GRAPHC_CUDA_SANITIZED=1` in the environment builds with sanitizers, see test_sanitized.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc.cuda import Spec, Work
from graphc.cuda.launch import FAULT, NULL, STREAM, Operand, Scratch
from graphc.cuda.on_cpu import ORDERS as ALL_ORDERS
from graphc.cuda.on_cpu import Module

KERNELS = Path(__file__).resolve().parents[2] / "kernels"
SANITIZED = bool(os.environ.get("GRAPHC_CUDA_SANITIZED"))
DTYPES = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}
DTYPES |= {"u8": np.uint8, "i32": np.int32, "i64": np.int64}
WIDTH = {name: np.dtype(d).itemsize for name, d in DTYPES.items()}
ORDERS = ALL_ORDERS[2:] if SANITIZED else ALL_ORDERS  # a sanitizer needs one
NO_FAULT = 2**31 - 1
SEED, STEP = (3 << 32) + 5, 2


def spec(array: np.ndarray) -> Spec:
    names = {np.dtype(d): name for name, d in DTYPES.items()}
    return Spec(names[array.dtype], array.shape)


def _behind(array: np.ndarray, offset: int) -> np.ndarray:
    """The memory of an array from a byte on."""
    return array.reshape(-1)[offset // array.itemsize :] if offset else array


def turned(array: np.ndarray) -> np.ndarray:
    """The same values with axis 1 running fastest in memory, if there are more than two."""
    if array.ndim < 3:
        return np.array(array)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def memory(array: np.ndarray) -> np.ndarray:
    """All that lies between an array's first and last element, as a kernel is given it."""
    steps = zip(array.shape, array.strides, strict=True)
    count = 1 + sum((n - 1) * step for n, step in steps) // array.itemsize
    return np.lib.stride_tricks.as_strided(array, (count if array.size else 0,), (array.itemsize,))


class Bench:
    """One library of all kernels that the works use."""

    def __init__(self, works: Iterable[Work]) -> None:
        launches = [launch for work in works for launch in work.launches]
        sources = dict.fromkeys(launch.source for launch in launches)
        texts = [f'#include "{s}"\n' if s.endswith(".cu") else s for s in sources]
        names = list(dict.fromkeys(launch.kernel for launch in launches))
        self.module = Module("".join(texts), names, include=[KERNELS], sanitized=SANITIZED)

    def run(self, work: Work, operands: Sequence[np.ndarray]) -> int:
        """Runs the launches in order; returns the fault's place, `NO_FAULT` if there is none."""
        room = np.full(work.workspace // 4 + 1, np.nan, np.float32)
        fault = np.array([NO_FAULT], np.int32)
        stream = np.zeros(1, [("key", np.uint32, 2), ("step", np.uint32)])
        stream[0] = ((SEED & 0xFFFFFFFF, SEED >> 32), STEP)
        given = {FAULT.name: fault, STREAM.name: stream, NULL.name: None}
        for launch in work.launches:
            args: list[Any] = []
            for arg in launch.args:
                if isinstance(arg, Operand):
                    args.append(_behind(operands[arg.index], arg.offset))
                elif isinstance(arg, Scratch):
                    args.append(room.view(DTYPES[arg.dtype])[arg.offset // WIDTH[arg.dtype] :])
                else:
                    args.append(arg if isinstance(arg, np.generic) else given[arg.name])
            call = self.module.get_function(launch.kernel)
            call(launch.grid, launch.block, args, shared_mem=launch.shared)
        return int(fault[0])
