"""Targets by name: which there are, what each can do, and the executor behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from graphc.budget import checked_size, wish_of
from graphc.errors import fail
from graphc.ir.graph import Graph, Value
from graphc.plan.wish import Wish
from graphc.runtime.reference import ReferenceExecutor

if TYPE_CHECKING:
    from graphc.runtime._mirror import DeviceWeights
    from graphc.runtime._weights import WeightMemory

Lent: TypeAlias = "WeightMemory | DeviceWeights"
"""Parameters of one executor that another one is to use, of the same target."""
TARGETS = ("reference", "cpu", "cuda", "fake")
GPU = "cuda"


DEFAULT_TARGET = "cpu"
"""The fastest one that runs everywhere."""


def check_target(target: str, memory: str | int | None = None) -> int | None:
    """The budget in bytes. Raises GC-R002 for an unknown target, GC-X001 for a GPU that cannot be
    used, GC-U001 for a memory budget for the reference, which has no plan, GC-R004 for one that is
    no size."""
    name, number = split_target(target)
    if name == GPU:
        from graphc.runtime._gpu import opened

        opened(number)
    if memory is not None:
        budget = checked_size(memory)
        if target == "reference":
            told = f"target {target!r} has no memory plan, and obeys no budget"
            fail("GC-U001", told, "leave it out, or choose target cpu")
        return budget
    return None


def split_target(target: str) -> tuple[str, int]:
    """(target, number of the GPU) of "cuda:1"; the number is 0 unless told. Raises GC-R002."""
    name, colon, number = target.partition(":")
    is_number = number.isdecimal() and len(number) < 6
    if name not in TARGETS or (colon and (name != GPU or not is_number)):
        hint = f"targets: {', '.join(TARGETS)}, and cuda:N for the GPU of that number"
        fail("GC-R002", f"no target {target!r}", hint)
    return name, int(number or 0)


def checked_wish(
    target: str,
    memory: str | int | None,
    policy: str = "ours",
    overrides: Mapping[str, str] | None = None,
    host: str | int | None = None,
    train: bool = True,
) -> Wish:
    """As `graphc.budget.wish_of`. Raises what that and `check_target` raise."""
    check_target(target, memory)
    if target == "reference" and overrides:
        fail("GC-U001", f"target {target!r} replays nothing", "leave overrides of layers out")
    return wish_of(memory, policy, overrides, host, train)


def make_executor(
    target: str,
    graph: Graph,
    pinned: set[Value],
    seed: int,
    threads: int | None,
    plan: str | None,
    choices: str | None,
    deterministic: bool = False,
    fused_update: bool = True,
    pin_variants: bool = False,
    weights: Lent | None = None,
    wish: Wish | None = None,
) -> ReferenceExecutor:
    """The executor of a target; `plan`, `choices`: an artefact's, see `graphc.runtime._plans` and
    `graphc.lower.cpu.lower_again`. The reference is deterministic, and updates when all gradients
    are there. `weights`: what `ReferenceExecutor.lend` gave; `wish`: what plans are asked for."""
    if target == "reference":
        return ReferenceExecutor(graph, pinned, seed)
    how: dict[str, Any] = {"deterministic": deterministic, "fused_update": fused_update}
    how |= {"pin_variants": pin_variants, "weights": weights, "wish": wish}
    if target == "fake":
        from graphc.runtime.fake import FakeDevice
        from graphc.runtime.walker import DeviceExecutor

        device = FakeDevice() if weights is None else cast("DeviceWeights", weights).device
        return DeviceExecutor(device, graph, pinned, seed, plan, **how)
    name, number = split_target(target)
    if name == GPU:
        from graphc.cuda.dense import offers_of
        from graphc.cuda.library import key_of, library
        from graphc.runtime.cuda import CudaDevice
        from graphc.runtime.walker import DeviceExecutor

        own = cast("DeviceWeights", weights).device if weights is not None else CudaDevice(number)
        gpu = key_of(cast("CudaDevice", own).gpu.name)
        found = library(runs=True, deterministic=deterministic, gpu=gpu)
        if found.remark and found.remark not in graph.notes:
            graph.notes.append(found.remark)
        how["variants"] = offers_of(found)
        return DeviceExecutor(own, graph, pinned, seed, plan, **how)
    from graphc.runtime.cpu import CpuExecutor

    return CpuExecutor(graph, pinned, seed, threads, plan, choices=choices, **how)


__all__ = [
    "DEFAULT_TARGET",
    "TARGETS",
    "check_target",
    "checked_wish",
    "make_executor",
    "split_target",
]
