"""A memory plan for people: what the peak is made of, and the bytes needed step by step."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from graphc.cli.output import count_text, plain, say, size_text, table
from graphc.plan import Plan, Step, StepKind
from graphc.program import BufferKind, Program

ROWS, WIDTH = 40, 100
MIB = 1 << 20
NAMED = 8
BAR = 20
"""Characters for the time that training takes without a budget."""
MEANING = {
    BufferKind.ACT.value: "what layers hand on, gradients of it included",
    BufferKind.PARAM.value: "learned, as Caffe lays them out",
    BufferKind.STATE.value: "statistics",
    BufferKind.CARRY.value: "what recurrent layers remember from run to run",
    BufferKind.GRAD.value: "of the weights",
    BufferKind.HISTORY.value: "the solver's",
    BufferKind.PACKED.value: "weights once more, as kernels want them",
    BufferKind.IO.value: "inputs",
    "workspace": "scratch memory of one kernel",
    "unused": "gaps",
}


def tell(found: dict[str, Any]) -> None:
    """The figures that `plan_verb.describe` gives."""
    owner, batch = found["owner"], found["batch"]
    peak, work = found["peak_bytes"], found["arenas"]["work"]
    where = f", at layer {owner['layer']!r} ({owner['part']})" if owner else ""
    say(f"peak {size_text(peak)} ({peak:,} B), target {found['target']}, batch {batch}{where}")
    rows = [
        (name, size_text(nbytes), f"{100 * nbytes / peak:.1f} %", MEANING[name])
        for name, nbytes in found["breakdown"].items()
        if nbytes
    ]
    table(("for", "bytes", "share", "which is"), rows, right="bytes,share")
    if owner:
        buffers = owner["buffers"]
        say(f"\nstep {owner['step']} of {found['steps']}, {owner['entry']}, holds at the peak:")
        named = [(b["name"], b["kind"], size_text(b["bytes"])) for b in buffers[:NAMED]]
        rest = sum(b["bytes"] for b in buffers[NAMED:])
        if rest:
            named.append((f"and {len(buffers) - NAMED} more", "", size_text(rest)))
        table(("buffer", "kind", "bytes"), named, right="bytes")
    bounds = found["bounds"]
    packing = found["packing"]
    tight = "just what is alive" if packing == 1 else f"{packing:.4f} x what is alive"
    say(
        f"\nwork arena {size_text(work)}, {tight} at the peak; no order of these calls needs "
        f"less than {size_text(bounds['op'])}"
    )
    per_sample = size_text(found["activation_bytes"] // batch)
    say(f"activations, their gradients and inputs: at most {per_sample} per sample")
    if "micro_batch" in found:
        say(f"layers run on {found['micro_batch']['samples']:,} samples at a time")
        for remark in found["micro_batch"]["notes"]:
            say(remark)
    _tell_budget(found)
    if "mbs" in found:
        _tell_traffic(found["mbs"])


def _tell_traffic(told: dict[str, Any]) -> None:
    """What mini-batch serialization moves."""
    before, after = told["before_bytes"], told["after_bytes"]
    saved = f"{100 * (1 - after / before):.1f} % less" if before else "nothing"
    say(f"\nlayer by layer {size_text(before)} are moved; in groups {size_text(after)}, {saved}:")
    rows = [
        (
            row["first"],
            row["last"],
            f"{row['samples']:,}",
            f"{row['turns']:,}",
            size_text(row["live"]) if row["live"] else "-",
            size_text(row["before"]),
            size_text(row["after"]),
        )
        for row in told["groups"]
    ]
    names = ("from layer", "to", "samples", "times", "cache", "moved", "in groups")
    table(names, rows, right="samples,times,cache,moved,in groups")
    if told["mixed"]:
        count = count_text(len(told["mixed"]), "layer")
        say(f"{count} mix samples, such as {told['mixed'][0]!r}, and run on the whole batch")


def _tell_replays(found: dict[str, Any]) -> None:
    """What is computed twice, and with --explain which layers that is."""
    told = found["recompute"]
    overhead = f"{100 * told['overhead']:.1f} % more time (estimated)"
    sent = f", {count_text(told['sent'], 'buffer')} sent" if told["sent"] else ""
    say(f"{told['replays']} replays{sent}, policy {told['policy']}: {overhead}")
    if told["sent"]:
        host, stall = size_text(told["host_bytes"]), told["stall_us"] / 1e3
        say(f"host pool {host} ({told['host_bytes']:,} B); calls wait {stall:.2f} ms for transfers")
        rate = told["link"]["bandwidth"] / 1e9
        say(f"transfers at {rate:.1f} GB/s ({told['link']['basis']})")
    if "kept" in told:
        say("\nkept from the forward:")
        rows = [(row["name"], size_text(row["bytes"])) for row in told["kept"]]
        table(("buffer", "bytes"), rows, right="bytes")
        if told["replayed"]:
            say("\nreplayed in the backward:")
            rows_of = [
                (row["layer"], row["part"], str(row["times"]), f"{row['us']:.0f}")
                for row in told["replayed"]
            ]
            table(("layer", "part", "times", "us"), rows_of, right="times,us")
        if told["sent_buffers"]:
            say("\nsent to the host:")
            rows_of_sent = [
                (row["name"], size_text(row["bytes"]), str(row["times"]))
                for row in told["sent_buffers"]
            ]
            table(("buffer", "bytes", "comes back"), rows_of_sent, right="bytes,comes back")
        if told["kernels"]:
            _tell_kernels(told["kernels"])


def _tell_kernels(kernels: Sequence[dict[str, Any]]) -> None:
    """Which of several kernels a plan takes, and what the fastest would need."""
    smaller = sum(row["workspace"] < row["fastest_workspace"] for row in kernels)
    count = count_text(len(kernels), "call")
    say(f"\nkernels of {count} that have several; {smaller} with less workspace than the fastest:")
    rows = [
        (
            row["layer"],
            row["part"],
            row["symbol"],
            size_text(row["workspace"]),
            size_text(row["fastest_workspace"]),
            f"{row['us']:.0f}",
        )
        for row in kernels
    ]
    names = ("layer", "part", "kernel", "workspace", "fastest's", "us")
    table(names, rows, right="workspace,fastest's,us")


def _tell_budget(found: dict[str, Any]) -> None:
    """What there is of --memory, --largest-batch and --sweep."""
    if "recompute" in found:
        _tell_replays(found)
    if "memory" in found:
        budget, left = found["memory"]["budget_bytes"], found["memory"]["left_bytes"]
        told = f"fits in {size_text(budget)}, {size_text(left)} ({left:,} B) are left over"
        say(told if left >= 0 else f"does not fit in {size_text(budget)}: {-left:,} B over")
    if "largest_batch" in found:
        after = found["next_bytes"]
        needs = "is beyond the limits on tensors" if after is None else f"needs {after:,} B"
        say(f"largest batch {found['largest_batch']:,}; {found['largest_batch'] + 1:,} {needs}")
    if "sweep" in found:
        say("")
        rows = [
            (f"{row['batch']:,}", f"{row['peak_bytes']:,}", size_text(row["peak_bytes"]), fits)
            for row in found["sweep"]
            for fits in ("yes" if row["fits"] else "no",)
        ]
        table(("batch", "peak bytes", "", "fits"), rows, right="batch,peak bytes,")
    if "time_sweep" in found:
        say("")
        points = [
            (
                f"{row['memory']:,}",
                size_text(row["memory"]),
                f"{100 * row['overhead']:.1f} %",
                f"{row['replays']:,}",
                "#" * round(BAR * (1 + row["overhead"])),
            )
            for row in found["time_sweep"]
        ]
        table(
            ("memory", "", "more time", "replays", "time"),
            points,
            right="memory,,more time,replays",
        )
    if "plans_made" in found:
        say(f"{count_text(found['plans_made'], 'plan')} made and verified")


def draw(program: Program, plan: Plan) -> Iterator[str]:
    """Bars as long as what a step needs of the work arena, with its layer, entry by entry.

    Of many steps a row shows the fullest of a few. An entry that needs nothing is one line.
    """
    names = [plain(_name(program, step)) for step in plan.steps]
    live = plan.live
    busy = {
        name: (first, past) for name, (first, past) in plan.entries.items() if any(live[first:past])
    }
    total = sum(past - first for first, past in busy.values())
    column = min(32, max(map(len, names), default=0))
    most = max(live, default=0)
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)
    bar = max(10, width - column - len("  step    ") - len("      MiB ") - len(" peak"))
    yield f"{'step':>6}  {'layer':<{column}}  {'MiB':>9}"
    for entry, (first, past) in plan.entries.items():
        if entry not in busy:
            yield f"{entry}: {count_text(past - first, 'step')} without need of the work arena"
            continue
        rows = min(past - first, max(1, ROWS * (past - first) // total))
        each = "" if rows == past - first else "; each row is the fullest of a few"
        yield f"{entry}: {count_text(past - first, 'step')}{each}"
        for step in _fullest(live, first, past, rows):
            length = round(bar * live[step] / most)
            mark = " peak" if step == live.index(most) else ""
            line = f"{step:>6}  {_short(names[step], column):<{column}}  {live[step] / MIB:>9.2f}"
            yield f"{line} {'#' * length}{mark}".rstrip()


def _name(program: Program, step: Step) -> str:
    """The layer that runs, or what is transferred."""
    if step.kind is StepKind.RUN:
        return program.calls[step.call].name
    return f"{program.buffers[step.operands[0].buffer].name} {step.kind.value}"


def _fullest(live: Sequence[int], first: int, past: int, rows: int) -> list[int]:
    """Of each of `rows` equal stretches of steps the one that needs the most."""
    edges = [first + (past - first) * row // rows for row in range(rows + 1)]
    return [max(range(lo, hi), key=live.__getitem__) for lo, hi in pairwise(edges)]


def _short(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 2]}.."


__all__ = ["draw", "tell"]
