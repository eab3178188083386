"""bench: how long a network's forward or training step takes, call by call, and would at best."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from graphc import driver
from graphc.count import batch_size
from graphc.errors import fail
from graphc.ir.graph import Graph, Node
from graphc.ir.op import Trait
from graphc.lowering import Lowering
from graphc.ops.spec import F64, OpSpec
from graphc.ops.update.rule import RATE
from graphc.plan import Plan, Step, StepKind
from graphc.program import HOST
from graphc.records import record
from graphc.runtime.executable import Executable
from graphc.runtime.peaks import Peaks, measure_peaks, published_peaks
from graphc.runtime.targets import GPU, split_target
from graphc.runtime.threads import usable_cpus
from graphc.runtime.training import TrainingNet
from graphc.services import sample_inputs
from graphc.train.build import compile_training

SECONDS = 2.0
WARMUP, WARM_SECONDS = 3, 1.0
"""Runs before the clock starts, unless told: so many, or fewer if they take longer than this."""
MOST_RUNS = 100_000


@record(frozen=True, slots=True)
class CallTime:
    """One call of a run: the median of its times, and what it has to do.

    `kernel`: its symbol, "host" for a reference in Python; `fused`: types of layers it does as
    well; `macs`: multiply-adds; `nbytes`: of the elements read and written; `roofline_us`: what
    these take at the machine's peaks; `est_us`: what the plan goes by (None: there is no plan), and
    `basis` what that rests on.
    """

    layer: str
    type: str
    part: str
    kernel: str
    fused: tuple[str, ...]
    us: float
    macs: int
    nbytes: int
    roofline_us: float
    est_us: float | None = None
    basis: str = ""

    @property
    def flops(self) -> float:
        """FLOP/s, two per multiply-add."""
        return 2e6 * self.macs / self.us if self.us else 0.0

    @property
    def bandwidth(self) -> float:
        """Bytes/s."""
        return 1e6 * self.nbytes / self.us if self.us else 0.0


@record(frozen=True)
class BenchReport:
    """`run_us`: how long each run took as its caller sees it; `outside_us`: the median of what that
    is beyond the calls, to feed and to give results; `warmup`: runs before these; `samples`: of a
    batch; `plan` None: the target has none; `train`: a run is forward, backward and update;
    `is_split`: calls are timed one by one, else their times, and `outside_us`, are 0."""

    name: str
    target: str
    threads: int
    samples: int
    inputs: Mapping[str, tuple[int, ...]]
    run_us: tuple[float, ...]
    outside_us: float
    warmup: int
    calls: tuple[CallTime, ...]
    peaks: Peaks
    plan: Plan | None
    notes: tuple[str, ...] = ()
    train: bool = False
    is_split: bool = True

    def percentile(self, percent: float) -> float:
        """Microseconds that so many of a hundred runs stay below, interpolated."""
        return float(np.percentile(self.run_us, percent))

    @property
    def median_us(self) -> float:
        return self.percentile(50)

    @property
    def mean_us(self) -> float:
        return float(np.mean(self.run_us))

    @property
    def samples_per_second(self) -> float:
        """At the median."""
        return 1e6 * self.samples / self.median_us

    @property
    def total_us(self) -> float:
        """All calls, and what is outside of them; of which each has its share."""
        return self.outside_us + sum(call.us for call in self.calls)

    @property
    def macs(self) -> int:
        return sum(call.macs for call in self.calls)

    @property
    def flops(self) -> float:
        """FLOP/s at the median."""
        return 2e6 * self.macs / self.median_us

    @property
    def roofline_us(self) -> float:
        """What the calls would take if each went at one of the machine's peaks."""
        return sum(call.roofline_us for call in self.calls)

    @property
    def roofline_share(self) -> float:
        """Roofline over measured time; above 1 where data comes from caches, or a kernel needs
        fewer multiply-adds than the layer's definition."""
        return self.roofline_us / self.median_us


def bench(
    net: Executable | Graph | str | Path,
    *,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
    batch: int | None = None,
    threads: int | None = None,
    target: str | None = None,
    repeat: int | None = None,
    seconds: float | None = None,
    warmup: int | None = None,
    peaks: Peaks | None = None,
    train: bool = False,
) -> BenchReport:
    """Run a network's forward over and over, `repeat` times or for `seconds` (2), and time it.

    `net`: an Executable as it is, or what `graphc.compile` takes, with its `batch`, `threads` and
    `target`. `train`: time steps of a Solver instead, forward, backward and update, by SGD with
    momentum; the rate is 0, so that all steps have the same numbers. A Solver's `net` is timed so.
    `inputs` None: random numbers. `warmup`: runs before the clock starts (None: 3, fewer if slow).
    `peaks`: what to measure against (None: measured first, which takes a second or two). Raises
    GC-R002 for what contradicts or makes no sense, and what compiling and running raise.
    """
    _check(repeat, seconds, warmup)
    with ExitStack() as stack:
        if isinstance(net, Executable):
            if train and not isinstance(net, TrainingNet):
                fail("GC-R002", "this Executable does not update", "a Solver's net does")
            if (batch, threads, target) != (None, None, None):
                hint = "give them to graphc.compile, or leave them out"
                fail("GC-R002", "batch, threads and target are the Executable's own", hint)
            exe = net
        else:
            make = compile_training if train else driver.compile
            exe = stack.enter_context(make(net, target=target, batch=batch, threads=threads))
        if isinstance(exe, TrainingNet) and exe.target == "reference":
            fail("GC-R002", "steps of the reference target are not timed", "use target='cpu'")
        name, _ = split_target(exe.target)
        if name == "fake":
            fail("GC-R002", "target fake shows whether a plan is right, not how fast it is")
        feeds = dict(sample_inputs(exe.graph) if inputs is None else inputs)
        threads, is_split = usable_cpus() if name == "reference" else exe.threads, name != GPU
        yardstick = peaks or (measure_peaks(threads) if is_split else published_peaks())
        warmed = _warm_up(exe, feeds, warmup)
        run_us, call_us = _timed(exe, feeds, repeat, seconds or SECONDS, is_split)
        outside = float(np.median(run_us - call_us.sum(axis=1)))
        times = np.median(call_us, axis=0).tolist() if is_split else []
        return BenchReport(
            name=exe.graph.name,
            target=exe.target,
            threads=exe.threads,
            samples=batch_size(exe.graph) or 1,
            inputs=exe.inputs,
            run_us=tuple(run_us.tolist()),
            outside_us=outside if is_split else 0.0,
            warmup=warmed,
            calls=tuple(_calls(exe, times, yardstick)),
            peaks=yardstick,
            plan=None if exe.target == "reference" else exe.plan,
            notes=tuple(exe.graph.notes),
            train=isinstance(exe, TrainingNet),
            is_split=is_split,
        )


def _check(repeat: int | None, seconds: float | None, warmup: int | None) -> None:
    if repeat is not None and seconds is not None:
        fail("GC-R002", "repeat and seconds exclude each other", "leave one of them out")
    if repeat is not None and not 1 <= repeat <= MOST_RUNS:
        fail("GC-R002", f"repeat is {repeat}; 1 to {MOST_RUNS} runs are possible")
    if seconds is not None and not (seconds > 0 and math.isfinite(seconds)):
        fail("GC-R002", f"seconds is {seconds}, which is no length of time")
    if warmup is not None and not 0 <= warmup <= MOST_RUNS:
        fail("GC-R002", f"warmup is {warmup}; 0 to {MOST_RUNS} runs are possible")


def _warm_up(exe: Executable, feeds: Mapping[str, npt.ArrayLike], warmup: int | None) -> int:
    """Let memory come, weights be packed and clocks rise; returns how many runs that were."""
    start = time.perf_counter()
    for run in range(WARMUP if warmup is None else warmup):
        _run(exe, feeds)
        if warmup is None and time.perf_counter() - start > WARM_SECONDS:
            return run + 1
    return WARMUP if warmup is None else warmup


def _timed(
    exe: Executable,
    feeds: Mapping[str, npt.ArrayLike],
    repeat: int | None,
    seconds: float,
    is_split: bool,
) -> tuple[F64, F64]:
    """Microseconds of each run, and of the calls in it: (runs,), (runs, calls or 0)."""
    runs: list[float] = []
    calls: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(runs) < (MOST_RUNS if repeat is None else repeat):
        start = time.perf_counter()
        _run(exe, feeds)
        done = time.perf_counter()
        runs.append(1e6 * (done - start))
        calls.append(exe.times() if is_split else [])
        if repeat is None and done >= end:
            break
    return np.array(runs), np.array(calls).reshape(len(runs), -1)


def _run(exe: Executable, feeds: Mapping[str, npt.ArrayLike]) -> None:
    if isinstance(exe, TrainingNet):
        exe.step(feeds, lambda loss: {RATE: 0.0})
    else:
        exe.run(feeds)


def _calls(exe: Executable, times: Sequence[float], peaks: Peaks) -> list[CallTime]:
    if exe.target == "reference":
        return _nodes(exe.graph, times, peaks)
    low = Lowering(exe.graph, exe.program, exe.plan)
    steps = exe.plan.steps if isinstance(exe, TrainingNet) else low.steps("forward")
    runs = [step for step in steps if step.kind is StepKind.RUN]
    each = times or [0.0] * len(runs)
    return [_call(low, step, us, peaks) for step, us in zip(runs, each, strict=True)]


def _call(low: Lowering, step: Step, us: float, peaks: Peaks) -> CallTime:
    call, variant = low.call(step), low.variant(step)
    macs, nbytes = low.macs(call), low.moved(call)
    return CallTime(
        layer=call.name,
        type=low.type(call),
        part=call.part,
        kernel=variant.symbol,
        fused=tuple(node.op.type for node in low.fused_layers(call)),
        us=us,
        macs=macs,
        nbytes=nbytes,
        roofline_us=peaks.microseconds(macs, nbytes),
        est_us=variant.est_us,
        basis=variant.basis,
    )


def _nodes(graph: Graph, times: Sequence[float], peaks: Peaks) -> list[CallTime]:
    """The calls of the reference target: whole layers, all of them in Python."""
    nodes = [node for node in graph.forward_nodes() if not node.has(Trait.FEED)]
    return [_node(graph, node, us, peaks) for node, us in zip(nodes, times, strict=True)]


def _node(graph: Graph, node: Node, us: float, peaks: Peaks) -> CallTime:
    op, sig = cast("type[OpSpec]", node.op), node.sig(graph.env)
    costs = [op.cost(node.attrs, part.name, sig) for part in op.forwards(node.attrs, sig)]
    macs, nbytes = sum(c.macs for c in costs), sum(c.read + c.write for c in costs)
    roofline_us = peaks.microseconds(macs, nbytes)
    return CallTime(node.name, op.type, "forward", HOST, (), us, macs, nbytes, roofline_us)


__all__ = ["BenchReport", "CallTime", "bench"]
