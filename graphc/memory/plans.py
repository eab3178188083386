"""lowered: what runs, and the memory it will take, to the byte; without weights or a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphc import driver
from graphc.budget import MAX_BYTES, checked_size
from graphc.cuda.dense import offers_of
from graphc.cuda.library import library
from graphc.errors import fail
from graphc.ir.clone import forward_part
from graphc.ir.graph import Array, Graph, Value, typed
from graphc.ir.verify import verify
from graphc.lower import cpu, cuda, model
from graphc.lowering import Lowering
from graphc.mbs import serialize
from graphc.pauses import uncollected
from graphc.plan import plan_program, verify_plan
from graphc.plan.wish import Wish, forced_roots
from graphc.plan.within import check_policy, plan_within
from graphc.runtime.keeping import Keep, check_kept, kept_names
from graphc.runtime.threads import checked_threads
from graphc.services import Services
from graphc.train.build import training_graph
from graphc.train.settings import Settings, read_settings

if TYPE_CHECKING:
    from graphc.front.overrides import NetOverrides, Overrides

TARGETS = ("model", "cpu", "cuda")


@uncollected
def lowered(
    net: Graph | str | Path,
    *,
    train: bool = False,
    batch: int | None = None,
    target: str = "cpu",
    keep: Keep = (),
    threads: int | None = None,
    passes: Iterable[driver.PassLike] | str | None = None,
    solver: str | Path | None = None,
    fused_update: bool = True,
    set: Overrides = (),
    micro_batch: int | None = None,
    mbs: str | int | None = None,
    wish: Wish | None = None,
) -> Lowering:
    """What a network is lowered to, with its plan; arguments and errors are those of `plan`.

    `wish`: what the plan is asked for, see `graphc.budget.wish_of`; without `train`, it may be over
    the wish's memory.

    `passes` None: the default ones, but none for `train`, as `graphc.compile` runs them. The plan
    is verified.
    """
    if target not in TARGETS:
        fail("GC-R002", f"no target {target!r} to plan for", f"targets: {', '.join(TARGETS)}")
    wish = wish or Wish()
    check_policy(wish.policy, wish.host)
    if micro_batch is not None and not train:
        told = "a micro-batch is given, but nothing is trained"
        fail("GC-R002", told, "say train=True, or --train")
    if solver is not None and not train:
        fail("GC-R002", "a solver is given, but nothing is trained", "say train=True, or --train")
    settings = Settings()
    slices = {"micro_batch": micro_batch, "mbs": None if mbs is None else checked_size(mbs)}
    if solver is not None:
        from graphc.front.overrides import split_overrides

        own, of_net = split_overrides(set)
        settings = read_settings(solver, set=own)
        graph = prepared(net, train, batch, keep, passes, settings, of_net, **slices)
        of_net.check()
    else:
        graph = prepared(net, train, batch, keep, passes, settings, set, **slices)
    pinned = pinned_values(graph, keep)
    if target == "cpu":
        count = checked_threads(threads)
        program = cpu.lower(graph, pinned, count, fused_update=fused_update)
    elif target == "cuda":
        offers = offers_of(library(runs=False))
        program = cuda.lower(graph, pinned, fused_update=fused_update, variants=offers)
    else:
        program = model.lower(graph, pinned, fused_update)
    forced = forced_roots(program, graph, wish)
    if train and (wish.memory is not None or forced.dropped):
        budget = MAX_BYTES if wish.memory is None else wish.memory
        return Lowering(
            graph, program, plan_within(program, budget, wish.policy, wish.host, forced)
        )
    made = plan_program(program, wish.memory)
    verify_plan(program, made)
    return Lowering(graph, program, made)


@uncollected
def prepared(
    net: Graph | str | Path,
    train: bool,
    batch: int | None,
    keep: Keep,
    passes: Iterable[driver.PassLike] | str | None = None,
    settings: Settings | None = None,
    set: Overrides | NetOverrides = (),
    micro_batch: int | None = None,
    mbs: int | None = None,
) -> Graph:
    """What `passed` gives, in slices if told, with gradients and updates if `train`."""
    graph, kept = passed(net, train, batch, keep, passes, set), kept_names(keep)
    if train:
        own = settings or Settings()
        slices: dict[str, int | None] = {"micro_batch": micro_batch, "mbs": mbs}
        training_graph(graph, own, needs_loss=False, kept=kept, **slices)
    elif mbs is not None:
        serialize(graph, mbs, False, kept)
    verify(graph, 1)
    return graph


def passed(
    net: Graph | str | Path,
    train: bool,
    batch: int | None,
    keep: Keep = (),
    passes: Iterable[driver.PassLike] | str | None = None,
    set: Overrides | NetOverrides = (),
) -> Graph:
    """A shaped copy, of primitives alone, after passes, as `lowered` runs them; its weights are
    never made. `set`: overrides for a path."""
    from graphc.passes.expand import Expand
    from graphc.passes.pipeline import run_passes, run_until_stable
    from graphc.passes.registry import resolve

    kept = kept_names(keep)
    if isinstance(net, Graph) and not set:
        graph = forward_part(net)
        graph.weights = dict(graph.weights)
    else:
        graph = driver.own(net, phase="TRAIN" if train else "TEST", set=set)
    driver.shape(graph, batch=batch)
    graph.fill = _unknown
    names = frozenset(() if kept == "all" else kept)
    check_kept(names, _tops(graph))
    usual: tuple[()] | str = () if train else "default"
    asked = usual if passes is None else passes
    chosen, ctx = resolve(asked), Services(driver.assemble, names, train=train)
    run_passes(graph, [Expand()], ctx)
    if asked == "default":
        run_until_stable(graph, chosen, ctx)
    else:
        run_passes(graph, chosen, ctx)
    return graph


def _unknown(value: Value) -> Array:
    """What stands for weights that are not there while passes run: takes no memory, and is nothing
    special, neither 0 nor 1."""
    return np.broadcast_to(np.float32(0.5), typed(value).shape)


def _tops(graph: Graph) -> dict[str, Value]:
    return {n.outs[r].name: n.outs[r] for n in graph.forward_nodes() for r in n.tops}


def pinned_values(graph: Graph, keep: Keep) -> set[Value]:
    """Kept blobs; with "all", also all gradients."""
    tops, names = _tops(graph), kept_names(keep)
    if names == "all":
        return {*tops.values(), *graph.grads.values()}
    return {tops[name] for name in names}


__all__ = ["TARGETS", "lowered", "passed", "pinned_values", "prepared"]
