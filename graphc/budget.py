"""Budgets of memory: how they are spelled, and whether a plan stays within one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from graphc.errors import fail
from graphc.plan import Plan
from graphc.plan.wish import Wish

MAX_BYTES = 1 << 62
UNITS: dict[str, int] = {
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)},
}
KEEP, REPLAY = "keep", "replay"
"""What a layer's override can say."""
SPELLED = "write 6GiB, 500MB or 12000000000B"
_SIZE = re.compile(r"([0-9]+)(?:\.([0-9]+))?\s*([A-Za-z]+)")


def checked_size(told: Any) -> int:
    """Bytes of "6GiB", "1.5 GB", "12000000000B", or of a whole number of bytes; a fraction of a
    byte is dropped. Raises GC-R004 for anything else, and for what is not positive."""
    size = told if type(told) is int else _read(told)
    if not 0 < size <= MAX_BYTES:
        fail("GC-R004", f"a memory budget of {told!r}; 1 B to 2^62 B are possible", SPELLED)
    return size


def checked_host(host: Any, memory: Any, train: bool = True) -> int:
    """Bytes of the host that plans may use; 0 for None. Raises GC-R004 as `checked_size`, GC-R002
    where nothing would ever be sent: without a budget of `memory`, or without training."""
    if host is None:
        return 0
    size = checked_size(host)
    if not train:
        fail("GC-R002", "a host pool is given, but only training sends to it", "leave it out")
    if memory is None:
        told = "a host pool is given, but no budget of memory that would need it"
        fail("GC-R002", told, "give both, as --memory 6GiB --host 32GiB")
    return size


def wish_of(
    memory: str | int | None = None,
    policy: str = "ours",
    overrides: Mapping[str, str] | None = None,
    host: str | int | None = None,
    train: bool = True,
) -> Wish:
    """The wish of a caller. `overrides`: layer -> "keep" or "replay". Raises GC-R004 for a budget
    that is no size, GC-R002 for what policies and overrides there are not, and as `checked_host`.
    """
    host_bytes = checked_host(host, memory, train)
    if policy != "ours":
        from graphc.plan.within import check_policy

        check_policy(policy, host_bytes)
    table = dict(overrides or {})
    for layer, how in table.items():
        if not isinstance(layer, str) or how not in (KEEP, REPLAY):
            told = f"layer {layer!r} is to be {how!r} in memory"
            fail("GC-R002", told, f"{KEEP!r} and {REPLAY!r} are possible")
    keep, replay = (tuple(n for n, how in table.items() if how == each) for each in (KEEP, REPLAY))
    budget = None if memory is None else checked_size(memory)
    return Wish(budget, policy, keep, replay, host_bytes)


def _read(told: Any) -> int:
    text = told.strip() if isinstance(told, str) else ""
    found = _SIZE.fullmatch(text[:100]) if len(text) <= 100 else None
    unit = UNITS.get(found[3].lower()) if found is not None else None
    if found is None or unit is None:
        shown = repr(told)
        shown = shown if len(shown) <= 40 else f"{shown[:40]}.."
        fail("GC-R004", f"a memory budget of {shown} is no size", SPELLED)
    tail = found[2] or ""
    return int(found[1] + tail) * unit // int(10 ** len(tail))


def over_budget(plan: Plan, memory: int | None) -> str:
    """By how much, and where, a plan needs more than `memory` bytes; "" if it does not."""
    if memory is None or plan.peak_bytes <= memory:
        return ""
    owner = plan.owner
    where = f", at step {owner.step}, layer {owner.name!r} ({owner.part})" if owner else ""
    return (
        f"the plan for target {plan.target} needs {plan.peak_bytes:,} B, "
        f"{plan.peak_bytes - memory:,} B over the budget of {memory:,} B{where}"
    )


def check_budget(plan: Plan, memory: int | None) -> None:
    """Raise GC-M001 for a plan that needs more device memory than `memory` bytes; None: any."""
    if told := over_budget(plan, memory):
        fail("GC-M001", told, "`graphc plan --memory SIZE --largest-batch` says which batch fits")


def physical_memory() -> int | None:
    """Bytes of memory that this machine has; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


__all__ = [
    "check_budget",
    "checked_host",
    "checked_size",
    "over_budget",
    "physical_memory",
    "wish_of",
]
