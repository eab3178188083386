"""Nothing is allocated in the step loop; memory that runs out anywhere ends in an exception.

A library preloaded into a second interpreter counts allocations, or fails one of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
RUNS = 100
PER_CALL = 12
"""Allocations of oneDNN's own in one call of one of its primitives, at most."""
NET = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 3 dim: 12 dim: 12 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "norm" type: "LRN" bottom: "conv" top: "norm" }
layer { name: "pool" type: "Pooling" bottom: "norm" top: "pool" pooling_param { kernel_size: 2 } }
layer { name: "exp" type: "Exp" bottom: "pool" top: "exp" }
layer { name: "join" type: "Concat" bottom: "exp" bottom: "pool" top: "join" }
layer { name: "ip" type: "InnerProduct" bottom: "join" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""

START = """
import ctypes, subprocess, sys
from collections import Counter
import numpy as np
import graphc
from graphc import _core
from graphc.errors import GraphError
spy = ctypes.CDLL(sys.argv[1])
spy.caller_of.restype = ctypes.c_char_p
spy.fail_at.restype, spy.fail_at.argtypes = ctypes.c_long, [ctypes.c_long]
net = graphc.load(sys.argv[2])
shape = net.inputs[0].type.shape
feed = {"data": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
"""

COUNT = """
entry = sys.argv[5]
exe = graphc.compile(net, target="cpu", threads=int(sys.argv[3]), train=entry == "backward")
tops = exe.run(feed)
if exe.train:
    exe.backward({name: np.ones_like(top) for name, top in tops.items()})
prepared = exe._executor.prepared
program, plan = prepared.program, prepared.plan
assert all(call.variants[0].symbol != "host" for call in program.calls)
from graphc.runtime._steps import steps_of
steps = steps_of(program, plan, entry, prepared._locate)
session = _core.Session(prepared.regions, [[], steps], int(sys.argv[3]))

def allocations(entry):
    host = lambda at: None
    for _ in range(5):
        session.run(entry, host)
    spy.start_counting()
    for _ in range(int(sys.argv[4])):
        session.run(entry, host)
    count = spy.stop_counting()
    return Counter(spy.caller_of(at).decode() for at in range(count))

nothing, everything = allocations(0), allocations(1)
extra = everything - nothing
first, end = plan.entries[entry]
run = [program.calls[step.call].variants[step.variant] for step in plan.steps[first:end]]
print(sum(variant.symbol.startswith("dnnl_") for variant in run))
print("\\n".join(f"{count} {library}" for library, count in extra.items()))
"""

FAIL = """
# pybind11 itself cannot stand to get none of the few bytes it keeps about an object
spy.spare.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
symbols = ["nm", "-CS", "--defined-only", _core.__file__]
for line in subprocess.check_output(symbols, text=True).splitlines():
    words = line.split(maxsplit=3)
    if len(words) == 4 and "pybind11" in words[3]:
        spy.spare(int(words[0], 16), int(words[0], 16) + int(words[1], 16))
exe = graphc.compile(net, target="cpu", passes=())
want = exe.run(feed)["prob"]

def maps():
    with open("/proc/self/maps") as file:
        return sum("_core" not in line for line in file)

def attempt():
    other = graphc.compile(net, target="cpu", passes=())
    other.params["conv"][0][...] = 1
    other.run(feed)
    other.run({"data": feed["data"][:1]})
    exe.run(feed)

attempt()
before, failures = maps(), 0
for n in range(1, 100_000, int(sys.argv[3])):
    spy.fail_at(n)
    try:
        attempt()
    except GraphError as error:
        assert error.code == "GC-M002", error
        failures += 1
    except MemoryError:
        failures += 1
    if spy.fail_at(0) > 0:
        break  # there was no n-th allocation
    assert np.array_equal(exe.run(feed)["prob"], want)
else:
    raise SystemExit("no end")
grown = maps() - before
assert failures > 10 and grown < 20, (failures, grown)
print(failures)
"""


@pytest.fixture(scope="module")
def spy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("g++")
    if compiler is None or shutil.which("nm") is None or not sys.platform.startswith("linux"):
        pytest.skip("needs g++, nm and glibc")
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("a sanitizer intercepts allocations itself")
    library = tmp_path_factory.mktemp("spy") / "spy.so"
    source = HERE / "interposer.cpp"
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared"]
    subprocess.run([compiler, *flags, str(source), "-o", str(library), "-ldl"], check=True)
    return library


def _run(code: str, spy: Path, net: Path, *words: str) -> str:
    environment = os.environ | {"LD_PRELOAD": str(spy)}
    command = [sys.executable, "-c", START + code, str(spy), str(net), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


def check_count(spy: Path, net: Path, threads: str, entry: str = "forward") -> None:
    """None by us; oneDNN makes a few for itself in each call, whose number does not grow."""
    calls, *told = _run(COUNT, spy, net, threads, str(RUNS), entry).split("\n")
    counts = dict(reversed(line.split(maxsplit=1)) for line in told if line)
    by_others = {path: int(count) for path, count in counts.items() if "libgomp" not in path}
    by_library = sum(by_others.pop(path) for path in [*by_others] if "libdnnl" in path)
    assert by_others == {}
    assert by_library <= RUNS * int(calls) * PER_CALL


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("entry", ["forward", "backward"])
def test_the_step_loop_allocates_nothing(spy: Path, small: Path, entry: str, threads: str) -> None:
    check_count(spy, small, threads, entry)


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "entry"),
    [("lenet", "forward"), ("lenet", "backward"), ("squeezenet_v1.1", "forward")],
)
@pytest.mark.parametrize("isa", ["", "portable"], ids=["best", "portable"])
def test_a_well_known_network_allocates_nothing(
    spy: Path,
    root: Path,
    isa: str,
    name: str,
    entry: str,
    threads: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if isa:
        monkeypatch.setenv("GRAPHC_ISA", isa)
    check_count(spy, root / "models" / name / "deploy.prototxt", threads, entry)


def test_no_allocation_fails_unseen(
    spy: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ours: oneDNN itself does not survive each that it fails to get."""
    monkeypatch.setenv("GRAPHC_ISA", "portable")
    every = os.environ.get("GRAPHC_EVERY_ALLOCATION", "7")  # 1: all of them
    assert int(_run(FAIL, spy, small, every)) > 10
