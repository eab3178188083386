"""plan, largest_batch, sweep_batches: whether a network fits in a budget, and which batch does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc import driver
from graphc.budget import over_budget, wish_of
from graphc.count import batch_size
from graphc.errors import GraphError, fail
from graphc.ir.clone import forward_part
from graphc.ir.graph import Graph, typed
from graphc.ir.op import Kind
from graphc.ir.types import Phase
from graphc.lowering import Lowering
from graphc.memory.plans import lowered
from graphc.memory.search import BatchPeak, LargestBatch, Search, allowed_plans
from graphc.plan import Plan, verify_plan
from graphc.plan.wish import Wish, forced_roots
from graphc.plan.within import Choosing
from graphc.runtime.keeping import Keep

if TYPE_CHECKING:
    from graphc.front.overrides import Overrides

TOO_LARGE = ("GC-L001", "GC-S001", "GC-M002")
MAX_OVERHEAD = 35.0
"""Percent of more time that training may take to fit in a budget."""
MAX_REPLAYED = 30_000
"""Steps beyond which batches are looked for without replays: a plan with these, from reading on,
takes some twenty seconds for 24,000, and several are needed."""
FIXED = "write sizes that depend on it as 0, the bottom's, or -1, what is left"


def plan(
    net: Graph | str | Path,
    *,
    train: bool = False,
    batch: int | None = None,
    target: str = "model",
    keep: Keep = (),
    threads: int | None = None,
    solver: str | Path | None = None,
    fused_update: bool = True,
    set: Overrides = (),
    memory: str | int | None = None,
    policy: str = "ours",
    host: str | int | None = None,
    overrides: Mapping[str, str] | None = None,
    micro_batch: int | None = None,
    mbs: str | int | None = None,
) -> Plan:
    """The memory plan of a network; a Graph given is not changed.

    `train=True`: what a Solver runs, forward, backward and update, in phase TRAIN if `net` is a
    file; a net without a loss takes its outputs' gradients as inputs. `solver`: the solver prototxt
    that says how parameters are updated, None: SGD with momentum. `fused_update=False`: gradients
    are kept until all are there, and then updates run. `target`: "model", plain float32 NCHW
    without workspaces, the measure of published figures, "cpu", what the C++ core runs, or "cuda",
    what a GPU would. `keep`: blobs that must not be overwritten, or "all". `threads` of target cpu:
    as in `graphc.compile`; workspaces depend on them. `set`: fields to change, as in `graphc.load`;
    with a `solver`, its own, and those of `net` with "net." in front. `memory`: bytes, or a size as
    "6GiB", that the plan must not exceed; training computes activations twice to stay below, which
    `policy` chooses, see `graphc.plan.within.plan_within`. `host`: how much of what waits for the
    backward may be sent to the host. `overrides`: layer -> "keep", what it makes is never computed
    twice, or "replay", it always is. `micro_batch`: training runs layers on so many
    samples at a time, see `graphc.micro_batches.micro_batched`. `mbs`: as in `graphc.compile`.
    Raises GC-M001 where that does not help, GC-R002 for what does not exist, GC-X001 for a target
    without gradients, GC-R004, GC-P005 for a wrong solver, and what loading raises.
    """
    how: dict[str, Any] = {"train": train, "target": target, "keep": keep, "threads": threads}
    how |= {"solver": solver, "fused_update": fused_update, "set": set}
    how |= {"micro_batch": micro_batch, "mbs": mbs}
    wish = wish_of(memory, policy, overrides, host, train)
    return lowered_within(net, batch, wish, **how).plan


def lowered_within(
    net: Graph | str | Path,
    batch: int | None,
    wish: Wish,
    **how: Any,
) -> Lowering:
    """What a network is lowered to, within the wish's memory if it has one; `how`: arguments of
    `plan`. Raises GC-M001, with what would make it smaller, and what `plan` raises."""
    try:
        found = lowered(net, batch=batch, wish=wish, **how)
        told = over_budget(found.plan, wish.memory)
    except GraphError as error:
        if error.code != "GC-M001" or wish.memory is None:
            raise
        told = error.message
    if told and wish.memory is not None:
        fail("GC-M001", told, "; ".join(_ways_out(net, wish, **how)))
    return found


def _ways_out(net: Graph | str | Path, wish: Wish, **how: Any) -> list[str]:
    """What would bring a network's plan below a wish's memory."""
    hints = []
    try:
        best = batch_search(net, memory=wish.memory or 1, **how).largest()
        hints.append(f"batch {best.batch} fits, with {best.peak_bytes:,} B ({best.plans} plans)")
    except GraphError as error:
        if error.code not in ("GC-M001", "GC-R003", "GC-L001"):
            raise
        hints.append(error.message)
    if how.get("train") and not how.get("fused_update", True):
        hints.append("updates that are fused need less: leave out --no-fused-update")
    if how.get("keep"):
        hints.append("what --keep keeps takes memory")
    return hints


def largest_batch(
    net: Graph | str | Path,
    *,
    memory: str | int,
    train: bool = False,
    max_overhead: float = MAX_OVERHEAD,
    host: str | int | None = None,
    **how: Any,
) -> LargestBatch:
    """The batch that fits in `memory`, while the next one does not; `how`: as in `plan`.

    Training may take `max_overhead` percent more time than without a budget, by estimate, in which
    it computes activations twice, or waits for what it has sent to the host, `host` bytes at most.
    Both batches are planned and verified. A still larger one could
    fit where packing happens to be better. Raises GC-M001 if batch 1 does not fit, GC-R003 for a
    net whose batch cannot be changed, GC-L001 if a very long net needs too many plans, and what
    `plan` raises.
    """
    told: dict[str, Any] = {"max_overhead": max_overhead, "host": host}
    return batch_search(net, memory=memory, train=train, **told, **how).largest()


def sweep_batches(
    net: Graph | str | Path, *, memory: str | int, train: bool = False, **how: Any
) -> list[BatchPeak]:
    """What batches 1, 2, 4, ... need, up to the first over `memory`; `how`: as in
    `largest_batch`. Raises GC-R003, GC-L001 as that."""
    return batch_search(net, memory=memory, train=train, **how).powers()


def batch_search(
    net: Graph | str | Path,
    *,
    memory: str | int,
    train: bool = False,
    max_overhead: float = MAX_OVERHEAD,
    policy: str = "ours",
    overrides: Mapping[str, str] | None = None,
    host: str | int | None = None,
    **how: Any,
) -> Search:
    """A search over the batches of a network. Raises GC-R003, GC-R004 for an overhead that is none,
    GC-R002 for a host pool where nothing is sent, and what `lowered` raises."""
    wish = wish_of(memory, policy, overrides, host, train)
    budget = wish.memory or 0
    if not 0 <= max_overhead < inf:
        told = f"{max_overhead!r} % of more time; 0 and more are possible"
        fail("GC-R004", told, "35 for a third more")
    if wish.host and max_overhead == 0:
        told = "a host pool is given, but no more time that sending may take"
        fail("GC-R002", told, "leave it out, or allow some, as --max-overhead 35")
    replays = train and max_overhead > 0
    if "batch" in how:
        fail("GC-R002", "a batch is given, but is to be found", "leave it out")
    how = {"target": "model"} | how
    if not isinstance(net, Graph) and how.get("solver") is None:
        phase: Phase = "TRAIN" if train else "TEST"
        net = driver.load(net, phase=phase, set=how.pop("set", ()))
    elif not isinstance(net, Graph):
        from graphc.front.overrides import split_overrides

        own, of_net = split_overrides(how.pop("set", ()))
        net = driver.load(net, phase="TRAIN", set=of_net)
        of_net.check()
        how["set"] = own
    graph = driver.shape(net if net.shaped else forward_part(net))
    _check_batch_axis(graph)

    def peak(batch: int, wish: Wish) -> int | None:
        try:
            low = lowered(graph, train=train, batch=batch, **how)
            return _least(low, wish, max_overhead / 100) if replays else low.plan.peak_bytes
        except GraphError as error:
            if error.code in TOO_LARGE:
                return None
            raise

    steps = len(graph.nodes) * (3 if train else 1)
    if replays and steps > MAX_REPLAYED:
        replays = False
    allowed = allowed_plans(steps * (2 if replays else 1))
    alone = replace(wish, host=0)
    search = Search(lambda batch: peak(batch, alone), budget, allowed)
    if not (replays and wish.host):
        return search
    # Plans that send fill the budget, so that peaks say nothing of the next batch; but those that
    # only replay soon say where to begin.
    return Search(lambda batch: peak(batch, wish), budget, allowed, search)


def _least(low: Lowering, wish: Wish, max_overhead: float) -> int:
    """Bytes of the smallest plan of a training Program that takes at most so much more time, as a
    part of the whole. They do not depend on the budget, if no workspaces do, and so grow with the
    batch as those of plans without replays. Over the budget, those of the fastest plan within it
    that also sends to the host, if one takes no more time than that."""
    forced = forced_roots(low.program, low.graph, wish)
    choosing, budget = Choosing(low.program, wish.policy, wish.host, forced), wish.memory or 0
    found = choosing.least(0, max_overhead)
    if found.peak_bytes > budget:
        roomy = choosing.least(budget, max_overhead)
        found = roomy if roomy.peak_bytes <= budget else found
    if found.peak_bytes > budget and wish.host:
        most = choosing.fastest_us * (1 + max_overhead) * (1 + 1e-9)
        plans = choosing.hybrids(budget).plans(wish.host)
        found = min((p for p in plans if p.est_us <= most), key=lambda p: p.est_us, default=found)
    verify_plan(low.program, found)
    return found.peak_bytes


def _check_batch_axis(graph: Graph) -> None:
    """Raise GC-R003 for a graph that cannot have another batch and the same weights."""
    weights = _weight_shapes(graph)
    for batch in (1, 2):
        other = forward_part(graph)
        other.weights = dict(graph.weights)
        try:
            driver.shape(other, batch=batch)
        except GraphError as error:
            told = f"the batch cannot be {batch}: {error.message}"
            raise GraphError("GC-R003", told, FIXED).at(
                loc=error.loc, layer=error.layer, type_=error.type_
            ) from None
        if batch_size(other) != batch:
            fail("GC-R003", "no input has a batch that could be changed", FIXED)
        for name, shape in _weight_shapes(other).items():
            if shape != weights[name]:
                told = f"with batch {batch} weight {name!r} would have shape {shape}"
                fail("GC-R003", f"{told}, not {weights[name]}", FIXED)


def _weight_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    values = (value for value in graph.param_values() if value.kind is not Kind.CARRY)
    return {value.name: typed(value).shape for value in values}


__all__ = ["batch_search", "largest_batch", "plan", "sweep_batches"]
