"""graphc plan NET."""

from __future__ import annotations

from typing import Any

import click

from graphc.cli.nets import keep_option, open_planned
from graphc.cli.options import (
    given,
    host_option,
    json_option,
    memory_option,
    net_options,
    threads_option,
)
from graphc.cli.output import emit_json, note, note_budget, say
from graphc.cli.plan_text import draw, tell
from graphc.count import batch_size
from graphc.errors import fail
from graphc.ir.graph import Graph
from graphc.plan import Plan
from graphc.plan.explain import explained
from graphc.plan.timeline import timeline
from graphc.plan.within import NEED_HOST
from graphc.program import BufferKind, Program


@click.command("plan")
@click.argument("net")
@click.option("--train", is_flag=True, help="Plan what a solver runs, in phase TRAIN.")
@click.option(
    "--solver",
    metavar="FILE",
    help="Of --train: a solver prototxt.  [default: SGD with momentum]",
)
@click.option(
    "--no-fused-update",
    "fused_update",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Of --train: keep all gradients, then update.",
)
@click.option(
    "--target",
    type=click.Choice(["model", "cpu"]),
    default="model",
    show_default=True,
    help="model: plain float32 NCHW, no workspaces; cpu: what the C++ core runs.",
)
@click.option("--keep", multiple=True, metavar="BLOB", help="A blob to keep, or all (repeatable).")
@click.option("--timeline", "as_timeline", is_flag=True, help="Draw the bytes needed, by step.")
@memory_option
@host_option
@click.option(
    "--policy",
    type=click.Choice(["ours", "sqrt", "speed", "memory", "cost_aware", *NEED_HOST]),
    default="ours",
    show_default=True,
    help="Of --train --memory: how to choose what is computed twice.",
)
@click.option("--explain", is_flag=True, help="Of --train: say what is kept, replayed and sent.")
@click.option(
    "--largest-batch", "as_largest", is_flag=True, help="Of --memory: find the batch that fits."
)
@click.option(
    "--sweep", is_flag=True, help="Of --memory: what batches 1, 2, 4, ... need, until it is full."
)
@click.option("--html", metavar="FILE.html", help="Draw where every buffer lies, as one page.")
@threads_option
@net_options
@json_option
def command(
    net: str,
    train: bool,
    solver: str | None,
    fused_update: bool,
    target: str,
    keep: tuple[str, ...],
    as_timeline: bool,
    memory: int | None,
    host: int | None,
    policy: str,
    explain: bool,
    as_largest: bool,
    sweep: bool,
    html: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Say how much memory NET takes, which layer needs the most, and what for.

    Nothing is run, and weights are not read unless named. Training is forward, backward and update;
    a parameter is updated as soon as nobody needs the old one, so that its gradient can go. A net
    without a loss takes its outputs' gradients as inputs. The peak is all device memory: the
    weights, what the solver remembers of each, and the work arena, which holds all else.
    """
    from graphc.memory import lowered_within

    _check(memory, as_largest, sweep)
    if explain and not train:
        fail("GC-C001", "--explain tells what training keeps", "add --train")
    note_budget(memory, host)
    graph, how = open_planned(
        net, options, train, target, keep_option(keep), solver=solver, fused_update=fused_update
    )
    batches = _batches(graph, how, memory, as_largest, sweep)
    batch = batches.get("largest_batch")
    budget = None if sweep else memory
    low = lowered_within(graph, batch, budget, policy, None if sweep else host, **how)
    found = describe(low.program, low.plan, batch or batch_size(graph) or 1)
    if train and (memory is not None or explain):
        found["recompute"] = recompute(low.program, low.plan, policy, explain)
    if memory is not None:
        left = memory - low.plan.peak_bytes
        found["memory"] = {"budget_bytes": memory, "left_bytes": left, "fits": left >= 0}
    found |= batches
    if html is not None:
        from graphc.report import memory_page

        rows = [(row["batch"], row["peak_bytes"]) for row in found.get("sweep", ())]
        title = _title(low.graph.name or net, found)
        memory_page.write(html, low, title=title, batches=rows, memory=memory or 0)
    if as_json:
        emit_json(found | ({"timeline": list(low.plan.live)} if as_timeline else {}))
        return
    tell(found)
    if as_timeline:
        say("")
        for line in draw(low.program, low.plan):
            say(line)
    if html is not None:
        note(f"wrote {html}")


def _check(memory: int | None, as_largest: bool, sweep: bool) -> None:
    for name, is_asked in (("--largest-batch", as_largest), ("--sweep", sweep)):
        if is_asked and memory is None:
            fail("GC-C001", f"{name} needs a budget", "add --memory SIZE, as 6GiB")
        if is_asked and given("batch"):
            fail("GC-C001", f"{name} and --batch exclude each other", "leave one of them out")


def _batches(
    graph: Graph, how: dict[str, Any], memory: int | None, as_largest: bool, sweep: bool
) -> dict[str, Any]:
    """What --largest-batch and --sweep find."""
    if memory is None or not (as_largest or sweep):
        return {}
    from graphc.memory import batch_search

    search = batch_search(graph, memory=memory, **how)
    found: dict[str, Any] = {}
    if sweep:
        rows = ((row.batch, row.peak_bytes, row.fits) for row in search.powers())
        found["sweep"] = [dict(zip(("batch", "peak_bytes", "fits"), r, strict=True)) for r in rows]
    if as_largest:
        best = search.largest()
        found |= {"largest_batch": best.batch, "next_bytes": best.next_bytes}
    return found | {"plans_made": search.plans}


def _title(name: str, found: dict[str, Any]) -> str:
    return f"{name}: memory of batch {found['batch']}, target {found['target']}"


def describe(program: Program, plan: Plan, batch: int) -> dict[str, Any]:
    """The plan's figures as one JSON-ready object; sizes in bytes."""
    owner = plan.owner
    functional = timeline(program).most(BufferKind.ACT, BufferKind.IO)
    return {
        "target": plan.target,
        "batch": batch,
        "peak_bytes": plan.peak_bytes,
        "host_bytes": plan.host_bytes,
        "breakdown": dict(plan.breakdown),
        "arenas": {arena.name: arena.nbytes for arena in plan.arenas},
        "activation_bytes": functional,
        "bounds": {"live": plan.live_bound, "op": plan.op_bound},
        "packing": plan.work_bytes / plan.live_bound if plan.live_bound else 1.0,
        "steps": len(plan.steps),
        "est_us": plan.est_us,
        "owner": None
        if owner is None
        else {
            "step": owner.step,
            "entry": _entry(plan, owner.step),
            "layer": owner.name,
            "part": owner.part,
            "buffers": [{"name": n, "kind": k, "bytes": b} for n, k, b in owner.buffers],
        },
    }


def recompute(program: Program, plan: Plan, policy: str, explain: bool) -> dict[str, Any]:
    """What a training plan computes twice; with `explain` also what it keeps."""
    told = explained(program, plan)
    found: dict[str, Any] = {
        "policy": policy,
        "replays": sum(count for _, _, count, _ in told.replayed),
        "replay_us": told.us,
        "sent": len(told.sent),
        "host_bytes": plan.host_bytes,
        "stall_us": told.stall_us,
        "overhead": told.overhead,
    }
    if explain:
        found["kept"] = [{"name": name, "bytes": nbytes} for name, nbytes in told.kept]
        keys = ("layer", "part", "times", "us")
        found["replayed"] = [dict(zip(keys, row, strict=True)) for row in told.replayed]
        found["sent_buffers"] = [
            {"name": name, "bytes": nbytes, "times": times} for name, nbytes, times in told.sent
        ]
    return found


def _entry(plan: Plan, step: int) -> str:
    return next((name for name, (lo, hi) in plan.entries.items() if lo <= step < hi), "")
