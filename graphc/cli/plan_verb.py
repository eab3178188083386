"""graphc plan NET."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import click

from graphc.budget import wish_of
from graphc.cli.gpu import GpuCommand
from graphc.cli.nets import keep_option, open_planned, parse_overrides
from graphc.cli.options import (
    given,
    host_option,
    json_option,
    mbs_option,
    memory_option,
    micro_batch_option,
    net_options,
    override_option,
    policy_option,
    threads_option,
)
from graphc.cli.output import emit_json, note, note_budget, say
from graphc.cli.plan_text import draw, tell
from graphc.count import batch_size
from graphc.cuda.library import library
from graphc.errors import fail
from graphc.ir.graph import Graph
from graphc.lowering import Lowering
from graphc.plan import Plan
from graphc.plan.explain import explained, taken
from graphc.plan.wish import Wish
from graphc.program import Program
from graphc.report.residents import activation_bytes
from graphc.train.build import MIXED


@click.command("plan", cls=GpuCommand)
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
    type=click.Choice(["model", "cpu", "cuda"]),
    default="model",
    show_default=True,
    help="model: plain float32 NCHW, no workspaces; cpu, cuda: what these run.",
)
@click.option("--gpu", type=click.IntRange(0), metavar="[=N]", help="Plan for target cuda.")
@click.option("--keep", multiple=True, metavar="BLOB", help="A blob to keep, or all (repeatable).")
@click.option("--timeline", "as_timeline", is_flag=True, help="Draw the bytes needed, by step.")
@memory_option
@host_option
@micro_batch_option
@policy_option
@override_option
@click.option("--recipe", metavar="R.toml", help="Of its [[memory]]: what to keep, and to replay.")
@click.option("--explain", is_flag=True, help="Of --train: say what is kept, replayed, run.")
@click.option(
    "--largest-batch", "as_largest", is_flag=True, help="Of --memory: find the batch that fits."
)
@click.option(
    "--max-overhead",
    type=float,
    default=35.0,
    show_default=True,
    metavar="PCT",
    help="Of --train --largest-batch or --sweep: how much more time a batch may take to fit.",
)
@click.option(
    "--sweep",
    is_flag=True,
    help="With --memory: what batches 1, 2, 4, ... need, until it is full. With --train alone: the "
    "time that training takes in less and less memory.",
)
@mbs_option
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
    gpu: int | None,
    keep: tuple[str, ...],
    as_timeline: bool,
    memory: int | None,
    host: int | None,
    micro_batch: int | None,
    policy: str,
    override_specs: tuple[str, ...],
    recipe: str | None,
    explain: bool,
    as_largest: bool,
    max_overhead: float,
    sweep: bool,
    mbs: int | None,
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
    from graphc.memory import lowered_within, swept

    _check(memory, as_largest, sweep, train)
    if explain and not train:
        fail("GC-C001", "--explain tells what training keeps", "add --train")
    note_budget(memory, host)
    target = _target(target, gpu)
    graph, how = open_planned(
        net, options, train, target, keep_option(keep), solver=solver, fused_update=fused_update
    )
    wish = wish_of(memory, policy, parse_overrides(override_specs, recipe), host, train)
    if not train and (wish.keep or wish.replay):
        fail("GC-C001", "--override tells what training keeps", "add --train")
    how |= {"micro_batch": micro_batch, "mbs": mbs}
    batches = _batches(graph, how, wish, max_overhead, as_largest, sweep)
    batch = batches.get("largest_batch")
    low = lowered_within(graph, batch, replace(wish, memory=None, host=0) if sweep else wish, **how)
    found = describe(low, batch or batch_size(graph) or 1)
    if micro_batch is not None:
        told = [remark for remark in low.graph.notes if remark.startswith(MIXED)]
        found["micro_batch"] = {"samples": micro_batch, "notes": told}
    if mbs is not None:
        found["mbs"] = _groups(graph, how, mbs, batch)
    if sweep and memory is None:
        batches["time_sweep"] = [asdict(point) for point in swept(low, wish)]
    if train and (memory is not None or explain or wish.replay):
        found["recompute"] = recompute(low.program, low.plan, policy, explain)
    if memory is not None:
        left = memory - low.plan.peak_bytes
        found["memory"] = {"budget_bytes": memory, "left_bytes": left, "fits": left >= 0}
    found |= batches
    if html is not None:
        from graphc.report import memory_page

        rows = [(row["batch"], row["peak_bytes"]) for row in found.get("sweep", ())]
        title = _title(low.graph.name or net, found)
        times = [(row["memory"], row["overhead"]) for row in found.get("time_sweep", ())]
        memory_page.write(html, low, title=title, batches=rows, memory=memory or 0, times=times)
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


def _target(target: str, gpu: int | None) -> str:
    """`target`, or what --gpu means. Says which tables of libraries do not hold."""
    if gpu is not None:
        if given("target") and target != "cuda":
            told = f"--gpu and --target {target} exclude each other"
            fail("GC-C001", told, "leave one of them out")
        target = "cuda"
    if target == "cuda" and (remark := library(runs=False).remark):
        note(f"note: {remark}")
    return target


def _groups(graph: Graph, how: dict[str, Any], mbs: int, batch: int | None) -> dict[str, Any]:
    """The groups that run."""
    from graphc.memory import mbs as grouped

    words = {key: how[key] for key in ("train", "keep", "passes") if key in how}
    return grouped(graph, cache=mbs, batch=batch, **words).told()


def _check(memory: int | None, as_largest: bool, sweep: bool, train: bool) -> None:
    of_batches = sweep and not (train and memory is None)
    for name, is_asked in (("--largest-batch", as_largest), ("--sweep", of_batches)):
        if is_asked and memory is None:
            more = "" if as_largest else ", or --train for the time that memory costs"
            fail("GC-C001", f"{name} needs a budget", f"add --memory SIZE, as 6GiB{more}")
        if is_asked and given("batch"):
            fail("GC-C001", f"{name} and --batch exclude each other", "leave one of them out")


def _batches(
    graph: Graph,
    how: dict[str, Any],
    wish: Wish,
    max_overhead: float,
    as_largest: bool,
    sweep: bool,
) -> dict[str, Any]:
    """What --largest-batch and --sweep find."""
    if wish.memory is None or not (as_largest or sweep):
        return {}
    from graphc.memory import batch_search

    layers = [*((n, "keep") for n in wish.keep), *((n, "replay") for n in wish.replay)]
    told: dict[str, Any] = {
        "policy": wish.policy,
        "overrides": dict(layers),
        "max_overhead": max_overhead,
        "host": wish.host or None,
    }
    search = batch_search(graph, memory=wish.memory, **told, **how)
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


def describe(low: Lowering, batch: int) -> dict[str, Any]:
    """The plan's figures as one JSON-ready object; sizes in bytes."""
    plan, owner = low.plan, low.plan.owner
    return {
        "target": plan.target,
        "batch": batch,
        "peak_bytes": plan.peak_bytes,
        "host_bytes": plan.host_bytes,
        "breakdown": dict(plan.breakdown),
        "arenas": {arena.name: arena.nbytes for arena in plan.arenas},
        "activation_bytes": activation_bytes(low),
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
    if told.sent:
        found["link"] = asdict(program.link)
    if explain:
        found["kept"] = [{"name": name, "bytes": nbytes} for name, nbytes in told.kept]
        keys = ("layer", "part", "times", "us")
        found["replayed"] = [dict(zip(keys, row, strict=True)) for row in told.replayed]
        found["sent_buffers"] = [
            {"name": name, "bytes": nbytes, "times": times} for name, nbytes, times in told.sent
        ]
        found["kernels"] = [asdict(row) for row in taken(program, plan)]
    return found


def _entry(plan: Plan, step: int) -> str:
    return next((name for name, (lo, hi) in plan.entries.items() if lo <= step < hi), "")
