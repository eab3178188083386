"""graphc plan NET."""

from __future__ import annotations

from typing import Any

import click

from graphc.cli.nets import keep_option, open_lowering
from graphc.cli.options import json_option, net_options, threads_option
from graphc.cli.output import emit_json, say
from graphc.cli.plan_text import draw, tell
from graphc.count import batch_size
from graphc.plan import Plan
from graphc.plan.timeline import timeline
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
    as_json: bool,
    **options: Any,
) -> None:
    """Say how much memory NET takes, which layer needs the most, and what for.

    Nothing is run, and weights are not read unless named. Training is forward, backward and update;
    a parameter is updated as soon as nobody needs the old one, so that its gradient can go. A net
    without a loss takes its outputs' gradients as inputs. The peak is all device memory: the
    weights, what the solver remembers of each, and the work arena, which holds all else.
    """
    low = open_lowering(
        net, options, train, target, keep_option(keep), solver=solver, fused_update=fused_update
    )
    found = describe(low.program, low.plan, batch_size(low.graph) or 1)
    if as_json:
        emit_json(found | ({"timeline": list(low.plan.live)} if as_timeline else {}))
        return
    tell(found)
    if as_timeline:
        say("")
        for line in draw(low.program, low.plan):
            say(line)


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


def _entry(plan: Plan, step: int) -> str:
    return next((name for name, (lo, hi) in plan.entries.items() if lo <= step < hi), "")
