"""A BenchReport for people: what it comes to, and tables of where the time goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphc.benchmark import BenchReport, CallTime
from graphc.cli.count_verb import flop_text
from graphc.cli.output import count_text, say, shape_text, size_text, table
from graphc.costs import MEASURED, SHIPPED
from graphc.lowering import REORDER
from graphc.program import HOST

RATES = ("GFLOP/s", "% FMA", "GB/s", "% mem")
OUTSIDE = "(feeding, results)"
FORWARD = "forward"
BASES = {
    MEASURED: "by `graphc tune` on a machine like this",
    SHIPPED: "rates that come with graphc",
    "roofline": "an ordinary core's peaks",
}


def tell(report: BenchReport) -> None:
    """What was measured, and what it comes to."""
    peaks = report.peaks
    threads = f", {count_text(report.threads, 'thread')}" if report.is_split else ""
    how = f" ({peaks.isa}){threads}" if report.plan else ""
    say(f"{report.name or 'a net without a name'} on target {report.target}{how}")
    inputs = [f"{name} {shape_text(shape)}" for name, shape in report.inputs.items()]
    unit, scale = ("ms", 1e3) if report.median_us < 1e6 else ("s", 1e6)

    def span(us: float) -> str:
        return f"{us / scale:.3f}"

    what = "images" if all(len(shape) == 4 for shape in report.inputs.values()) else "samples"
    runs = f"median of {count_text(len(report.run_us), 'run')} after {report.warmup} to warm up"
    spread = (
        f"min {span(min(report.run_us))}, p90 {span(report.percentile(90))}, "
        f"p99 {span(report.percentile(99))}, mean {span(report.mean_us)} {unit}"
    )
    best, share = span(report.roofline_us), _percent(report.roofline_share)
    lines = {
        "input": ", ".join(inputs) or "none",
        "step" if report.train else "forward": f"{span(report.median_us)} {unit}, "
        f"{_digits(report.samples_per_second)} {what}/s; {runs}",
        "": spread,
        "memory": _memory(report),
        "work": f"{flop_text(report.macs)}, so {_digits(report.flops / 1e9)} GFLOP/s",
        "roofline": f"{best} {unit} with each call at its peak; this is {share} % of it",
        "machine": f"at most {_digits(peaks.flops / 1e9)} GFLOP/s of FMA and "
        f"{_digits(peaks.bandwidth / 1e9)} GB/s of memory, "
        + (count_text(peaks.threads, "thread") if report.is_split else "as published"),
    }
    for title, text in lines.items():
        say(f"{title:<10}{text}")


def _memory(report: BenchReport) -> str:
    if report.plan is None:
        return "not planned"
    parts = sorted(report.plan.breakdown.items(), key=lambda part: -part[1])
    told = ", ".join(f"{name} {size_text(nbytes)}" for name, nbytes in parts if nbytes)
    return f"{size_text(report.plan.peak_bytes)} planned: {told}"


def tell_calls(report: BenchReport, *, by_time: bool) -> None:
    """A row per call."""
    calls = sorted(report.calls, key=lambda c: -c.us) if by_time else report.calls
    rows = []
    for call in calls:
        part = "" if call.part in (FORWARD, REORDER) else f" ({call.part})"
        estimate = "" if call.est_us is None else f"{call.est_us:,.1f}"
        row = (f"{call.layer}{part}", call.type, _kernel(call))
        rows.append((*row, *_figures([call], report), estimate, call.basis))
    rows.append((OUTSIDE, "", "", *_outside(report), "", ""))
    columns = ("layer", "type", "kernel", "us", "share", *RATES, "est us", "from")
    table(columns, rows, right=",".join(columns[3:-1]))
    say("")
    bases = dict.fromkeys(call.basis for call in calls if call.basis)
    if bases:
        told = "; ".join(f"{basis}: {BASES.get(basis, basis)}" for basis in bases)
        say(f"est us: what the plan goes by, from {told}")
    _explain(([call] for call in calls), report)


def tell_kinds(report: BenchReport) -> None:
    """A row per type of layer and kernel, the slowest first."""
    kinds: dict[tuple[str, str], list[CallTime]] = {}
    for call in report.calls:
        kinds.setdefault((call.type, _kernel(call)), []).append(call)
    ordered = sorted(kinds.items(), key=lambda kind: -sum(c.us for c in kind[1]))
    rows = [
        (type_, kernel, str(len(calls)), *_figures(calls, report))
        for (type_, kernel), calls in ordered
    ]
    rows.append((OUTSIDE, "", "", *_outside(report)))
    columns = ("type", "kernel", "calls", "us", "share", *RATES)
    table(columns, rows, right=",".join(columns[2:]))
    say("")
    _explain(kinds.values(), report)
    say("--layers tells it call by call, --sort time the slowest first")


def _figures(calls: Sequence[CallTime], report: BenchReport) -> tuple[str, ...]:
    """Time, share, and rates beside the machine's peaks; none of what is not done at all."""
    us, peaks = sum(c.us for c in calls), report.peaks
    flops, bandwidth = _rates(calls)
    compute = (f"{flops / 1e9:,.1f}", _percent(flops / peaks.flops)) if flops else ("", "")
    move = (f"{bandwidth / 1e9:,.1f}", _percent(bandwidth / peaks.bandwidth))
    return (*_time(us, report), *compute, *move)


def _outside(report: BenchReport) -> tuple[str, ...]:
    return (*_time(report.outside_us, report), *("" for _ in RATES))


def _time(us: float, report: BenchReport) -> tuple[str, str]:
    return f"{us:,.1f}", f"{_percent(us / report.total_us)} %"


def _rates(calls: Sequence[CallTime]) -> tuple[float, float]:
    """FLOP/s and bytes/s of some calls together."""
    us = sum(c.us for c in calls) or 1.0
    return 2e6 * sum(c.macs for c in calls) / us, 1e6 * sum(c.nbytes for c in calls) / us


def _kernel(call: CallTime) -> str:
    """`conv + ReLU`; a host step says that it is slow."""
    own = f"{HOST} (slow)" if call.kernel == HOST else call.kernel
    return " + ".join([own, *call.fused])


def _explain(groups: Iterable[Sequence[CallTime]], report: BenchReport) -> None:
    """Say how a row can be above what the machine can do."""
    rates = [_rates(calls) for calls in groups]
    if any(bandwidth > report.peaks.bandwidth for _, bandwidth in rates):
        say("over 100 % mem: the data was still in a cache")
    if any(flops > report.peaks.flops for flops, _ in rates):
        say(
            "over 100 % FMA: fewer multiply-adds than the layer's definition, or a restless machine"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _digits(number: float) -> str:
    """Three digits or more: 0.123, 12.3, 1,234."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


__all__ = ["tell", "tell_calls", "tell_kinds"]
