"""graphc bench NET."""

from __future__ import annotations

from typing import Any

import click

from graphc.benchmark import BenchReport, CallTime
from graphc.cli.bench_text import tell, tell_calls, tell_kinds
from graphc.cli.gpu import GpuCommand
from graphc.cli.inputs import print_notes, read_feeds
from graphc.cli.nets import folder_hint, is_artefact, open_executable, open_training
from graphc.cli.options import (
    choose_gpu,
    gpu_option,
    input_options,
    json_option,
    net_options,
    target_option,
    threads_option,
)
from graphc.cli.output import emit_json, note, say
from graphc.errors import fail

RESTLESS = 1.5
"""From this ratio of the 90th percentile to the fastest run on, times are not to be trusted."""


class Seconds(click.ParamType[float]):
    """A length of time."""

    name = "seconds"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < 1e6:
            self.fail(f"{value!r} is no length of time; write 2 or 0.5", param, ctx)
        return seconds


@click.command("bench", cls=GpuCommand)
@click.argument("net")
@click.option(
    "--repeat", type=click.IntRange(min=1, max=100_000), metavar="N", help="Runs to time."
)
@click.option("--seconds", type=Seconds(), metavar="S", help="Time runs for so long.  [default: 2]")
@click.option(
    "--warmup",
    type=click.IntRange(min=0, max=100_000),
    metavar="N",
    help="Runs before the clock starts.  [default: 3, fewer if slow]",
)
@click.option("--train", is_flag=True, help="Time steps of a solver, in phase TRAIN.")
@click.option("--layers", "per_call", is_flag=True, help="One row per call, not per kernel.")
@click.option(
    "--sort",
    type=click.Choice(["order", "time"]),
    help="Order of these rows; asks for them.  [default: order]",
)
@target_option
@gpu_option
@threads_option
@input_options
@net_options
@json_option
def command(
    net: str,
    repeat: int | None,
    seconds: float | None,
    warmup: int | None,
    train: bool,
    per_call: bool,
    sort: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Time the forward of NET, a prototxt or an artefact, and say where the time goes; with
    --train, forward, backward and update by SGD at a rate of 0.

    Times are what a caller sees, feeding and results included. They stand beside what this machine
    can do at most: multiply-adds on registers, and passes over memory that no cache holds, both
    measured first. The roofline is the sum over all calls of the longer of computing and moving at
    these peaks.
    """
    from graphc.benchmark import bench

    if repeat is not None and seconds is not None:
        fail("GC-C001", "--repeat and --seconds exclude each other", "leave one of them out")
    choose_gpu(options)
    opened = open_training if train else open_executable
    with folder_hint(net), opened(net, options) as exe:
        print_notes(exe.graph, is_artefact(net))
        feeds, _ = read_feeds(exe.graph, options["inputs"], options)
        report = bench(exe, inputs=feeds, repeat=repeat, seconds=seconds, warmup=warmup)
    if as_json:
        emit_json({"net": net, **describe(report, by_time=sort == "time")})
        return
    tell(report)
    say("")
    if not report.is_split:
        say("kernels of a GPU are not timed one by one; `graphc plan --gpu --explain` lists them")
        return
    if per_call or sort is not None:
        tell_calls(report, by_time=sort == "time")
    else:
        tell_kinds(report)
    if report.percentile(90) > RESTLESS * min(report.run_us):
        note("note: run times vary a lot; is this machine doing something else?")


def describe(report: BenchReport, *, by_time: bool = False) -> dict[str, Any]:
    """The report as one JSON-ready object; times in us, rates per second."""
    plan, peaks = report.plan, report.peaks
    calls = sorted(report.calls, key=lambda c: -c.us) if by_time else report.calls
    return {
        "name": report.name,
        "target": report.target,
        "isa": peaks.isa,
        "threads": report.threads,
        "train": report.train,
        "batch": report.samples,
        "inputs": {name: list(shape) for name, shape in report.inputs.items()},
        "runs": len(report.run_us),
        "warmup": report.warmup,
        "us": {
            "min": min(report.run_us),
            "median": report.median_us,
            "p90": report.percentile(90),
            "p99": report.percentile(99),
            "max": max(report.run_us),
            "mean": report.mean_us,
            "outside": report.outside_us if report.is_split else None,
        },
        "samples_per_second": report.samples_per_second,
        "macs": report.macs,
        "flops": report.flops,
        "roofline_us": report.roofline_us,
        "roofline_share": report.roofline_share,
        "peaks": {
            "flops": peaks.flops,
            "read": peaks.read,
            "copy": peaks.copy,
            "stream_bytes": peaks.stream_bytes,
            "threads": peaks.threads,
        },
        "plan": None
        if plan is None
        else {"peak_bytes": plan.peak_bytes, "breakdown": dict(plan.breakdown)},
        "layers": [_call(call, report) for call in calls],
        "notes": list(report.notes),
    }


def _call(call: CallTime, report: BenchReport) -> dict[str, Any]:
    estimate = {"us": call.est_us, "from": call.basis} if call.est_us is not None else None
    return {
        "layer": call.layer,
        "type": call.type,
        "part": call.part,
        "kernel": call.kernel,
        "fused": list(call.fused),
        "us": call.us if report.is_split else None,
        "share": call.us / report.total_us if report.is_split else None,
        "macs": call.macs,
        "bytes": call.nbytes,
        "flops": call.flops,
        "bandwidth": call.bandwidth,
        "roofline_us": call.roofline_us,
        "estimate": estimate,
    }
