"""--gpu on every verb that runs, on a stand-in for CuPy; what a machine lacks, said in one line."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_cupy
import pytest
from runtime.test_cuda_steps import NET, SOLVER, Kernels

import graphc
from graphc.cli import gpu_rows
from graphc.cuda import cudnn, on_cpu
from graphc.runtime import cuda as cuda_device

VERBS = {
    "run": ["tiny.prototxt"],
    "train": ["solver.prototxt"],
    "test": ["tiny.prototxt"],
    "bench": ["tiny.prototxt", "--repeat", "2"],
    "demo": ["--out", "there"],
    "tune": ["tiny.prototxt"],
}
needs_kernels = pytest.mark.skipif(bool(on_cpu.unavailable()), reason="no kernels can be built")


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> Any:
    """In a folder with `tiny`, a solver and its net."""
    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(SOLVER)
    monkeypatch.setattr(cuda_device, "Kernels", Kernels)
    return fake_cupy.install(monkeypatch)


@pytest.mark.parametrize("verb", VERBS)
def test_without_a_gpu_every_verb_says_what_is_missing(cli, cupy, verb, monkeypatch) -> None:
    cupy.cuda.runtime.driver = 0
    done = cli(verb, *VERBS[verb], "--gpu")
    assert done.code == 6 and "GC-X001: there is no NVIDIA driver" in done.err
    assert "graphc doctor" in done.err and not Path("there").exists()
    monkeypatch.setitem(sys.modules, "cupy", None)
    done = cli(verb, *VERBS[verb], "--gpu=3")
    assert done.code == 6 and "pip install 'graphc[gpu]'" in done.err


@pytest.mark.parametrize("verb", [v for v in VERBS if v not in ("demo", "tune")])
def test_another_target_beside_it_is_refused(cli, cupy, verb) -> None:
    done = cli(verb, *VERBS[verb], "--gpu", "--target", "cpu")
    assert done.code == 2 and "--gpu and --target cpu exclude each other" in done.err


@needs_kernels
def test_an_artefact_of_the_cpu_is_planned_anew(cli, cupy, tiny) -> None:
    graphc.compile(str(tiny)).save("tiny.gcz")
    done = cli("run", "--gpu", "tiny.gcz")
    assert done.code == 0 and "on target cuda" in done.out
    assert "was compiled for target cpu, and is planned anew for cuda" in done.err
    assert "there is no cuDNN, and convolutions run on slow kernels" in done.err
    assert "planned anew" not in cli("run", "tiny.gcz").err


@needs_kernels
def test_bench_tells_no_times_of_kernels(cli, cupy) -> None:
    done = cli("bench", "tiny.prototxt", "--gpu", "--repeat", "2")
    assert done.code == 0 and "kernels of a GPU are not timed one by one" in done.out
    told = cli("bench", "tiny.prototxt", "--gpu", "--repeat", "2", "--json").json
    assert told["target"] == "cuda" and told["us"]["median"] > 0 and told["us"]["outside"] is None
    assert {call["us"] for call in told["layers"]} == {None} and told["roofline_us"] > 0
    done = cli("bench", "tiny.prototxt", "--target", "fake")
    assert done.code == 2 and "not how fast it is" in done.err


def test_the_demo_trains_and_runs_there(cli, cupy, monkeypatch) -> None:
    from graphc.demonstration import demo

    asked = []

    class Stopped(Exception):
        pass

    def solver(*args: Any, **how: Any) -> None:
        asked.append(how["target"])
        raise Stopped

    monkeypatch.setattr(demo, "Solver", solver)
    cli("demo", "--out", "there", "--gpu")
    assert asked == ["cuda"]


def test_plan_means_its_target_and_needs_no_gpu(cli, tiny) -> None:
    by_name = cli("plan", "tiny.prototxt", "--target", "cuda", "--json").json
    assert cli("plan", "tiny.prototxt", "--gpu", "--json").json == by_name
    assert by_name["target"] == "cuda"
    done = cli("plan", "tiny.prototxt", "--gpu", "--target", "model")
    assert done.code == 2 and "exclude each other" in done.err


def test_plan_tells_of_tables_that_do_not_hold(cli, tiny, monkeypatch) -> None:
    monkeypatch.setattr(cudnn, "installed", lambda: "9.20.1")
    monkeypatch.setattr(cudnn, "listed", lambda product, gpu: ())
    done = cli("plan", "tiny.prototxt", "--gpu")
    assert done.code == 0 and "cuDNN 9.20.1 is installed, and the tables" in done.err


def states(cli: Any) -> dict[str, tuple[str, str, str]]:
    checks = cli("doctor", "--json").json["checks"]
    return {row["name"]: (row["state"], row["version"], row["remark"]) for row in checks}


def test_doctor_says_what_a_gpu_lacks(cli, cupy, monkeypatch) -> None:
    def no_driver(name: str) -> Any:
        raise OSError(name)

    cupy.cuda.runtime.driver = 0
    monkeypatch.setattr(ctypes, "CDLL", no_driver)
    monkeypatch.setattr(gpu_rows, "version", lambda name: "14.2.0")
    monkeypatch.setattr(cudnn, "wheel", lambda: "9.20.1")
    found = states(cli)
    assert found["NVIDIA driver"][0] == found["target cuda"][0] == "missing"
    assert "there is no NVIDIA driver" in found["target cuda"][2]
    assert found["cupy"][:2] == ("ok", "14.2.0")
    assert found["cuDNN"][:2] == ("other", "9.20.1") and "are of 9.19.0" in found["cuDNN"][2]
    monkeypatch.setattr(cudnn, "wheel", lambda: "")
    assert states(cli)["cuDNN"][0] == "missing"


@pytest.mark.parametrize(("number", "state"), [(12080, "other"), (13010, "ok")])
def test_doctor_reads_the_drivers_version(cli, cupy, monkeypatch, number, state) -> None:
    def version(place: Any) -> None:
        place._obj.value = number

    driver = SimpleNamespace(cuDriverGetVersion=version)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    cupy.cuda.runtime.driver = number
    found = states(cli)
    assert found["NVIDIA driver"][:2] == (state, f"{number // 1000}.{number % 1000 // 10}")
    assert found["target cuda"][0] == ("ok" if state == "ok" else "missing")
    if state == "ok":
        assert found["target cuda"][2].startswith("NVIDIA H200: ")
