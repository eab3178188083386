"""graphc plan NET."""

from __future__ import annotations

import shutil
from itertools import pairwise
from typing import Any

import click

from graphc.cli.nets import keep_option, open_graph
from graphc.cli.options import given, json_option, net_options
from graphc.cli.output import emit_json, plain, say, size_text, table
from graphc.count import batch_size
from graphc.plan import Plan
from graphc.plan.timeline import timeline
from graphc.program import BufferKind, Program

ROWS, WIDTH = 40, 100
MIB = 1 << 20
NAMED = 8


@click.command("plan")
@click.argument("net")
@click.option("--train", is_flag=True, help="Plan forward and backward, in phase TRAIN.")
@click.option(
    "--target",
    type=click.Choice(["model", "cpu"]),
    default="model",
    show_default=True,
    help="model: plain float32 NCHW, no workspaces; cpu: what the C++ core runs.",
)
@click.option("--keep", multiple=True, metavar="BLOB", help="A blob to keep, or all (repeatable).")
@click.option("--timeline", "as_timeline", is_flag=True, help="Draw the bytes needed, by step.")
@net_options
@json_option
def command(
    net: str,
    train: bool,
    target: str,
    keep: tuple[str, ...],
    as_timeline: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Say how much memory NET takes, which layer needs the most, and what for.

    Nothing is run, and weights are not read unless named. Training keeps the gradients of all
    parameters to the end; a net without a loss takes its outputs' gradients as inputs. The peak is
    all device memory: the weights, and the work arena, which holds all else.
    """
    from graphc.memory import planned

    if train and not given("phase"):
        options["phase"] = "TRAIN"
    graph, _ = open_graph(net, options)
    program, plan = planned(graph, train=train, target=target, keep=keep_option(keep))
    found = describe(program, plan, batch_size(graph) or 1)
    if as_json:
        emit_json(found | ({"timeline": list(plan.live)} if as_timeline else {}))
        return
    _tell(found)
    if as_timeline:
        say("")
        for line in draw(program, plan):
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


def _tell(found: dict[str, Any]) -> None:
    owner, batch = found["owner"], found["batch"]
    peak, work = found["peak_bytes"], found["arenas"]["work"]
    where = f", at layer {owner['layer']!r} ({owner['part']})" if owner else ""
    say(f"peak {size_text(peak)} ({peak:,} B), batch {batch}{where}")
    rows = [
        (name, size_text(nbytes), f"{100 * nbytes / peak:.1f} %")
        for name, nbytes in found["breakdown"].items()
        if nbytes
    ]
    table(("for", "bytes", "share"), rows, right="bytes,share")
    if owner:
        buffers = owner["buffers"]
        say(f"\nstep {owner['step']} of {found['steps']}, {owner['entry']}, holds at the peak:")
        named = [(b["name"], b["kind"], size_text(b["bytes"])) for b in buffers[:NAMED]]
        rest = sum(b["bytes"] for b in buffers[NAMED:])
        if rest:
            named.append((f"and {len(buffers) - NAMED} more", "", size_text(rest)))
        table(("buffer", "kind", "bytes"), named, right="bytes")
    bounds = found["bounds"]
    say(
        f"\nwork arena {size_text(work)}, {found['packing']:.4f} x what is alive at the peak; "
        f"some call alone needs {size_text(bounds['op'])}"
    )
    per_sample = size_text(found["activation_bytes"] // batch)
    say(f"activations, their gradients and inputs: at most {per_sample} per sample")


def draw(program: Program, plan: Plan) -> list[str]:
    """A bar for every few steps, as long as the most that one of them needs, and its layer."""
    live, width = plan.live, min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)
    count = min(ROWS, len(plan.steps))
    edges = [len(plan.steps) * i // max(1, count) for i in range(count + 1)]
    most = max(live, default=0) or 1
    names = [plain(program.calls[step.call].name) for step in plan.steps]
    fullest = [max(range(lo, hi), key=live.__getitem__) for lo, hi in pairwise(edges)]
    column = min(32, max((len(names[step]) for step in fullest), default=0))
    bar = max(10, width - column - 22)
    lines = [f"{'step':>6}  {'layer':<{column}}  {'MiB':>9}"]
    for step in fullest:
        length = round(bar * live[step] / most)
        name = names[step] if len(names[step]) <= column else names[step][: column - 2] + ".."
        lines.append(f"{step:>6}  {name:<{column}}  {live[step] / MIB:>9.2f} {'#' * length}")
    return lines
