"""tune_gpu: measure cuDNN's plans of a network's convolutions on the GPU that is here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from graphc.config import Config
from graphc.costs import write_times
from graphc.cuda.calls import spec
from graphc.cuda.dense import CUDNN, PRODUCTS, product_of
from graphc.cuda.launch import ITEM_BYTES, Spec
from graphc.cuda.library import Library, key_of, library, time_key, times_file
from graphc.cuda.plans import Plan, Product
from graphc.cuda.variants import Use
from graphc.errors import fail
from graphc.ir.graph import Graph
from graphc.lower.cuda import PRODUCTS as DENSE
from graphc.lower.cuda import lower
from graphc.memory import pinned_values, prepared
from graphc.runtime.cuda import CudaDevice
from graphc.runtime.keeping import Keep
from graphc.tuning import Progress, TuneReport

REPEATS = 7


def tune_gpu(
    net: Graph | str | Path,
    *,
    number: int = 0,
    train: bool = False,
    batch: int | None = None,
    keep: Keep = (),
    again: bool = False,
    progress: Progress = lambda done, count, key: None,
) -> TuneReport:
    """Measure, on GPU `number`, every plan of cuDNN for the network's convolutions, and keep the
    times in the cache: later plans for this GPU and this cuDNN go by them.

    `train`, `batch`, `keep`, `again`, `progress`: as in `graphc.tuning.tune`. Raises GC-X001
    without a GPU or cuDNN, GC-F002 for a cache that cannot be written, and what loading raises.
    """
    device = CudaDevice(number, mode="eager")
    here = library(runs=True, gpu=key_of(device.gpu.name))
    if not here.version:
        fail("GC-X001", "there is no cuDNN, whose plans are measured", here.remark)
    graph = prepared(net, train=train, batch=batch, keep=keep)
    uses = dict.fromkeys(_uses(graph, keep))
    found = [(use, product, plan) for use in uses for product, plan in _plans(use, here)]
    wanted = [row for row in found if again or time_key(*row[1:]) not in here.times]
    times: dict[str, float] = {}
    for done, (use, product, plan) in enumerate(wanted):
        key = time_key(product, plan)
        progress(done, len(wanted), key)
        times[key] = _measured(device, use, plan)
    path = times_file(here.gpu, here.version, Config.load().cache)
    write_times(path, {"gpu": device.gpu.name, "cudnn": here.version}, times)
    return TuneReport(times, len(found) - len(wanted), path, 1)


def _uses(graph: Graph, keep: Keep) -> Iterator[Use]:
    """The dense products that the network runs."""
    program = lower(graph, pinned_values(graph, keep))
    for call in program.calls:
        symbol = call.variants[0].symbol
        if symbol in DENSE and symbol not in PRODUCTS:
            sides = (
                tuple(spec(program.buffers[o.buffer]) for o in operands)
                for operands in (call.reads, call.writes)
            )
            yield Use(symbol, tuple(sorted(call.attrs.items())), *sides)


def _plans(use: Use, here: Library) -> Iterator[tuple[Product, Plan]]:
    product = product_of(use)
    if product is not None:
        yield from ((product, plan) for plan in here.plans(product))


def _measured(device: CudaDevice, use: Use, plan: Plan) -> float:
    """Microseconds of a plan on random operands."""
    rng = np.random.Generator(np.random.Philox(key=0))
    memories = [device.arena(_nbytes(s)) for s in (*use.reads, *use.writes)]
    for each, memory in zip(use.reads, memories, strict=False):
        numbers = rng.random(_nbytes(each) // 4, np.float32)
        device.write(memory.address, numbers.view(np.uint8))
    space = device.arena(plan.workspace)
    operands = [(s, m.address) for s, m in zip((*use.reads, *use.writes), memories, strict=True)]
    reads, writes = operands[: len(use.reads)], operands[len(use.reads) :]
    kernel = device.library(
        f"{CUDNN} {plan.key}", use.symbol, dict(use.told), reads, writes, space.address
    )
    return device.microseconds(lambda: kernel(0), REPEATS)


def _nbytes(of: Spec) -> int:
    return ITEM_BYTES[of.dtype] * math.prod(of.shape)


__all__ = ["tune_gpu"]
