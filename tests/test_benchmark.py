"""graphc.bench: what it counts, that its figures hang together, and what it refuses. No test here
holds a time against a bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer

import graphc
from graphc import benchmark
from graphc.benchmark import BenchReport, bench
from graphc.count import macs
from graphc.errors import GraphError
from graphc.program import HOST
from graphc.runtime.peaks import Peaks

PEAKS = Peaks("portable", 2, flops=1e9, read=1e9, copy=2e9, stream_bytes=1 << 20)
NET = (
    feed(data=(2, 3, 8, 8)),
    conv("data", "c", 4),
    layer("ReLU", "c", "c", name="r"),
    layer("Pooling", "c", "p", "pooling_param { kernel_size: 2 stride: 2 }"),
    fc("p", "y", 5),
)
LENET = Path(__file__).parent.parent / "models/lenet/deploy.prototxt"


def run(**words: object) -> BenchReport:
    return bench(graph(*NET), peaks=PEAKS, **({"repeat": 4, "warmup": 1} | words))  # type: ignore[arg-type]


def test_every_call_is_told_in_order() -> None:
    report = run()
    told = [(c.layer, c.type, c.kernel, c.fused) for c in report.calls]
    assert [t[0] for t in told] == ["c", "p", "y"]
    assert told[0][1:] == ("Convolution", "conv", ("ReLU",))
    assert all(c.part == "forward" and c.us > 0 for c in report.calls)
    assert [c.macs for c in report.calls] == [2 * 4 * 27 * 36, 0, 2 * 5 * 36]
    assert report.calls[1].nbytes == 4 * 2 * 4 * (36 + 9)
    assert (report.target, report.samples, report.inputs) == ("cpu", 2, {"data": (2, 3, 8, 8)})


def test_figures_hang_together() -> None:
    report = run(repeat=9)
    assert (len(report.run_us), report.warmup) == (9, 1)
    assert report.median_us == np.median(report.run_us)
    assert report.mean_us == pytest.approx(sum(report.run_us) / 9)
    assert min(report.run_us) <= report.median_us <= report.percentile(90) <= report.percentile(99)
    assert report.samples_per_second == pytest.approx(2e6 / report.median_us)
    assert report.macs == sum(map(macs, graph(*NET).forward_nodes()))
    assert report.flops == pytest.approx(2e6 * report.macs / report.median_us)
    assert report.total_us == pytest.approx(report.outside_us + sum(c.us for c in report.calls))
    assert 0 <= report.outside_us < max(report.run_us)
    call = report.calls[0]
    assert call.flops == pytest.approx(2 * call.macs / (call.us * 1e-6))
    assert call.bandwidth == pytest.approx(call.nbytes / (call.us * 1e-6))


def test_the_roofline_is_that_of_each_call() -> None:
    report = run()
    for call in report.calls:
        assert call.roofline_us == pytest.approx(max(call.macs / 500, call.nbytes / 2000))
    assert report.roofline_us == pytest.approx(sum(c.roofline_us for c in report.calls))
    assert report.roofline_share == pytest.approx(report.roofline_us / report.median_us)


def test_the_plan_and_its_estimates_are_what_ran() -> None:
    exe = graphc.compile(graph(*NET), threads=2)
    report = bench(exe, peaks=PEAKS, repeat=1)
    assert report.plan == exe.plan and report.threads == 2
    variants = [exe.program.calls[c].variants for c in exe.program.entries["forward"]]
    told = [(c.est_us, c.basis) for c in report.calls]
    assert told == [(v[0].est_us, v[0].basis) for v in variants] and all(basis for _, basis in told)


def test_reference_is_timed_layer_by_layer() -> None:
    report = run(target="reference")
    assert [c.layer for c in report.calls] == ["c", "r", "p", "y"]
    assert {c.kernel for c in report.calls} == {HOST}
    assert all(c.us > 0 and c.est_us is None and not c.basis for c in report.calls)
    assert not any(c.fused for c in report.calls)
    assert (report.plan, report.threads) == (None, 1)
    assert report.macs == run().macs


def test_times_are_those_of_the_last_run() -> None:
    exe = graphc.compile(graph(*NET))
    with pytest.raises(GraphError, match="GC-R003"):
        exe.times()
    exe.run({"data": np.zeros((2, 3, 8, 8))})
    assert len(exe.times()) == len(exe.program.entries["forward"]) == 3
    exe.run({"data": np.zeros((1, 3, 8, 8))})  # planned anew
    assert len(exe.times()) == 3
    reference = graphc.compile(graph(*NET), target="reference")
    for name in ("program", "plan"):
        with pytest.raises(GraphError, match="GC-R003"):
            getattr(reference, name)


def test_until_the_seconds_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(ticks))
    exe = graphc.compile(graph(*NET), target="cpu")
    # warm-up ends after a second; then runs of one second, a second apart, until ten are over
    report = bench(exe, peaks=PEAKS, seconds=10)
    assert report.warmup == 2
    assert report.run_us == (1e6,) * 5


def test_at_least_one_run() -> None:
    assert len(run(repeat=None, seconds=1e-9).run_us) == 1


def test_warm_up_and_repeats_are_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    exe = graphc.compile(graph(*NET))
    count = []
    monkeypatch.setattr(exe, "run", lambda feeds, run=exe.run: count.append(1) or run(feeds))
    assert bench(exe, peaks=PEAKS, repeat=5, warmup=7).warmup == 7
    assert len(count) == 12
    assert bench(exe, peaks=PEAKS, repeat=1, warmup=0).warmup == 0


def test_inputs_and_batch() -> None:
    assert run(batch=5).samples == 5
    given = run(inputs={"data": np.zeros((3, 3, 8, 8))})
    assert given.inputs == {"data": (3, 3, 8, 8)} and given.samples == 3
    with pytest.raises(GraphError, match="GC-R001"):
        run(inputs={"no": 1})


def test_by_path_and_lazily_by_name() -> None:
    assert graphc.bench is bench
    report = graphc.bench(str(LENET), peaks=PEAKS, repeat=1, threads=1)
    assert report.name == "LeNet" and report.threads == 1


def test_peaks_are_measured_for_the_threads_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(benchmark, "measure_peaks", lambda threads: asked.append(threads) or PEAKS)
    assert bench(graph(*NET), threads=3, repeat=1).peaks is PEAKS
    assert asked == [3]


def test_a_net_of_inputs_alone() -> None:
    report = bench(graph(feed(data=(2, 3))), peaks=PEAKS, repeat=2)
    assert report.calls == () and report.macs == 0 == report.roofline_us


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"repeat": 0}, "repeat is 0"),
        ({"repeat": -3}, "repeat is -3"),
        ({"repeat": None, "seconds": 0}, "no length of time"),
        ({"repeat": None, "seconds": -1.0}, "no length of time"),
        ({"repeat": None, "seconds": float("nan")}, "no length of time"),
        ({"repeat": None, "seconds": float("inf")}, "no length of time"),
        ({"repeat": 1, "seconds": 1.0}, "exclude each other"),
        ({"warmup": -1}, "warmup is -1"),
        ({"target": "abacus"}, "no target 'abacus'"),
    ],
)
def test_what_makes_no_sense_is_refused(words: dict[str, object], told: str) -> None:
    with pytest.raises(GraphError, match=f"GC-R002: .*{told}"):
        run(**words)


@pytest.mark.parametrize("words", [{"batch": 2}, {"threads": 1}, {"target": "cpu"}])
def test_an_executable_is_taken_as_it_is(words: dict[str, object]) -> None:
    with pytest.raises(GraphError, match="GC-R002"):
        bench(graphc.compile(graph(*NET)), peaks=PEAKS, **words)  # type: ignore[arg-type]


def test_training_steps_are_told_call_by_call() -> None:
    net = graph(
        feed(data=(2, 3, 8, 8), label=(2,)),
        conv("data", "c", 4),
        fc("c", "y", 5),
        layer("SoftmaxWithLoss", "y label", "loss"),
        phase="TRAIN",
    )
    report = bench(net, peaks=PEAKS, repeat=3, warmup=1, train=True)
    assert report.train
    parts = [(c.layer, c.part) for c in report.calls]
    assert report.plan is not None
    assert len(parts) == len(report.plan.steps)
    assert ("c", "dweight0") in parts
    assert ("update of c:weight", "update") in parts
    assert all(c.us > 0 for c in report.calls)
    with pytest.raises(GraphError, match="GC-R002"):
        bench(net, peaks=PEAKS, train=True, target="reference")
    with graphc.compile(net) as exe, pytest.raises(GraphError, match="GC-R002"):
        bench(exe, peaks=PEAKS, train=True)


def test_timing_steps_changes_no_weight(tmp_path: Path) -> None:
    path = tmp_path / "solver.prototxt"
    net = LENET.with_name("train.prototxt")
    path.write_text(f'net: "{net}" base_lr: 1 lr_policy: "fixed" momentum: 0.9')
    solver = graphc.Solver(path, batch=2)
    before = solver.net.params["ip2"][0].copy()
    assert bench(solver.net, peaks=PEAKS, repeat=2, warmup=0).train
    assert (solver.net.params["ip2"][0] == before).all()
