"""graphc bench: what it prints and refuses. Peaks are made up, but for one test."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import benchmark
from graphc.runtime.peaks import Peaks

PEAKS = Peaks("avx2", 1, flops=4e9, read=1e9, copy=2e9, stream_bytes=1 << 20)
QUICK = ("--repeat", "3", "--warmup", "1", "--threads", "1")


@pytest.fixture
def bench(cli, tiny, monkeypatch, tmp_path):
    """graphc bench tiny.prototxt on a machine of known peaks, where nothing was ever tuned."""
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(benchmark, "measure_peaks", lambda threads: PEAKS)
    return lambda *args: cli("bench", tiny, *QUICK, *args)


def columns(line: str) -> list[str]:
    return [cell for cell in line.split("  ") if cell]


def test_summary(bench):
    done = bench()
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "tiny on target cpu (avx2), 1 thread"
    told = {line[:10].strip(): line[10:] for line in lines[1:8]}
    assert list(told) == ["input", "forward", "", "memory", "work", "roofline", "machine"]
    assert told["input"] == "data 1x3x8x8"
    assert " images/s; median of 3 runs after 1 to warm up" in told["forward"]
    assert [part.split()[0] for part in told[""].split(", ")] == ["min", "p90", "p99", "mean"]
    assert " planned: " in told["memory"] and "weights" in told["memory"]
    assert told["work"].startswith("0.011 MFLOP, so ")
    assert told["roofline"].endswith(" % of it")
    assert told["machine"] == "at most 4 GFLOP/s of FMA and 2 GB/s of memory, 1 thread"
    assert "no input given: feeding random numbers" in done.err
    assert "no weights given" in done.err


def test_by_kernel(bench):
    lines = bench().out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("type "))
    assert lines[head].split() == [
        "type", "kernel", "calls", "us", "share", "GFLOP/s", "%", "FMA", "GB/s", "%", "mem",
    ]  # fmt: skip
    rows = lines[head + 1 : lines.index("", head)]
    types = {columns(row)[0] for row in rows}
    assert {"Convolution", "InnerProduct", "Softmax", "(feeding, results)"} <= types
    times = [float(row.split(" %")[0].split()[-2].replace(",", "")) for row in rows[:-1]]
    assert times == sorted(times, reverse=True)
    assert lines[-1] == "--layers tells it call by call, --sort time the slowest first"


def rows_of(out: str) -> list[str]:
    lines = out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("layer "))
    assert lines[head].endswith("est us  from")
    return lines[head + 1 : lines.index("", head)]


def test_by_layer(bench):
    out = bench("--layers").out
    rows = rows_of(out)
    assert [row.split()[0] for row in (rows[0], *rows[-3:])] == ["conv", "fc", "prob", "(feeding,"]
    shares = [float(row.split(" %")[0].split()[-1]) for row in rows]
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(rows))
    assert {row.split()[-1] for row in rows[:-1]} == {"table"}
    assert "est us: what the plan goes by, from table: rates that come with graphc" in out


def test_sorted_by_time(bench):
    rows = rows_of(bench("--sort", "time").out)[:-1]
    times = [float(row.split(" %")[0].split()[-2].replace(",", "")) for row in rows]
    assert times == sorted(times, reverse=True) and len(times) > 2
    assert rows_of(bench("--sort", "order").out)[0].startswith("conv ")


def test_json(bench):
    told = bench("--json", "--sort", "time").json
    assert (told["name"], told["target"], told["batch"], told["threads"]) == ("tiny", "cpu", 1, 1)
    assert told["net"] == "tiny.prototxt" and told["inputs"] == {"data": [1, 3, 8, 8]}
    assert (told["runs"], told["warmup"], told["isa"]) == (3, 1, "avx2")
    us = told["us"]
    assert us["min"] <= us["median"] <= us["p90"] <= us["p99"] <= us["max"]
    assert told["samples_per_second"] == pytest.approx(1e6 / us["median"])
    assert told["macs"] == 3_888 + 1_728
    assert told["plan"]["peak_bytes"] == sum(told["plan"]["breakdown"].values())
    assert told["peaks"]["flops"] == 4e9 and told["peaks"]["stream_bytes"] == 1 << 20
    layers = {layer["layer"]: layer for layer in told["layers"]}
    assert layers["conv"]["kernel"].startswith("conv") and layers["conv"]["macs"] == 3_888
    assert layers["conv"]["estimate"]["from"] == "table"
    times = [layer["us"] for layer in told["layers"]]
    assert times == sorted(times, reverse=True)
    total = us["outside"] + sum(times)
    assert layers["fc"]["share"] == pytest.approx(layers["fc"]["us"] / total)
    assert told["roofline_us"] == pytest.approx(sum(c["roofline_us"] for c in told["layers"]))


def test_estimates_that_were_measured(bench, cli, tiny):
    assert cli("tune", tiny, "--threads", "1").code == 0
    out = bench("--layers").out
    assert {row.split()[-1] for row in rows_of(out)[:-1]} == {"measured"}
    assert "from measured: by `graphc tune` on a machine like this" in out


def test_reference(bench):
    done = bench("--target", "reference", "--layers")
    lines = done.out.splitlines()
    assert lines[0] == "tiny on target reference"
    assert "memory    not planned" in lines
    assert "relu" in done.out and "host (slow)" in done.out and "est us:" not in done.out
    told = bench("--target", "reference", "--json").json
    assert told["plan"] is None and {layer["estimate"] for layer in told["layers"]} == {None}


def test_batch_and_given_inputs(bench, tmp_path):
    assert bench("--batch", "4", "--json").json["batch"] == 4
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 8, 8), np.float32))
    done = bench("--input", "x.npy", "--json")
    assert done.json["batch"] == 2 and "random" not in done.err


def test_an_artefact(bench, cli, artefact):
    done = cli("bench", artefact, *QUICK)
    assert done.code == 0 and done.out.startswith("tiny on target cpu")
    assert cli("bench", artefact, *QUICK, "--seed", "3").code == 2
    assert cli("bench", artefact, *QUICK, "--target", "reference").code == 0


def test_what_is_above_the_machines_peaks_is_explained(bench, monkeypatch):
    slow = Peaks("avx2", 1, flops=1.0, read=1.0, copy=1.0, stream_bytes=1 << 20)
    monkeypatch.setattr(benchmark, "measure_peaks", lambda threads: slow)
    out = bench().out
    assert "over 100 % mem: the data was still in a cache" in out
    assert "over 100 % FMA: fewer multiply-adds" in out
    fast = Peaks("avx2", 1, flops=1e18, read=1e18, copy=1e18, stream_bytes=1 << 20)
    monkeypatch.setattr(benchmark, "measure_peaks", lambda threads: fast)
    assert "over 100 %" not in bench().out


def test_restless_machines_are_told_of(bench, monkeypatch):
    for times, restless in (([100.0, 100.0, 180.0], True), ([100.0, 101.0, 102.0], False)):
        monkeypatch.setattr(
            benchmark,
            "_timed",
            lambda exe, *_, times=times: (np.array(times), np.array([exe.times()] * 3)),
        )
        assert ("run times vary a lot" in bench().err) is restless


def test_on_this_machine(cli, tiny):
    told = cli("bench", tiny, "--seconds", "0.01", "--json").json
    assert told["peaks"]["flops"] > 0 and told["peaks"]["read"] > 0 < told["peaks"]["copy"]
    assert told["runs"] >= 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--repeat", "0"), "--repeat"),
        (("--repeat", "-1"), "--repeat"),
        (("--repeat", "many"), "--repeat"),
        (("--seconds", "0"), "'0' is no length of time"),
        (("--seconds", "-2"), "'-2' is no length of time"),
        (("--seconds", "nan"), "'nan' is no length of time"),
        (("--seconds", "inf"), "'inf' is no length of time"),
        (("--seconds", "soon"), "'soon' is no length of time"),
        (("--repeat", "1", "--seconds", "1"), "--repeat and --seconds exclude each other"),
        (("--warmup", "-1"), "--warmup"),
        (("--threads", "0"), "--threads"),
        (("--threads", "5000"), "--threads"),
        (("--batch", "0"), "--batch"),
        (("--sort", "name"), "--sort"),
        (("--target", "abacus"), "no target 'abacus'"),
        (("--input", "no=x.npy"), "'no'"),
    ],
)
def test_bad_options(cli, tiny, args, message):
    done = cli("bench", tiny, *args)
    assert (done.code, done.out) == (2, "") and message in done.err


def test_other_refusals(cli, tiny):
    assert cli("bench", "nowhere.prototxt").code == 7
    assert cli("bench", tiny, "--target", "cuda").code == 6
    assert cli("bench").code == 2
    assert cli("bench", tiny, tiny).code == 2
    assert cli("bench", tiny, "-w", "nowhere.caffemodel").code == 7
