"""The CPU benchmark as it is run: arguments, workers, rounds and cold starts of our own engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.peers import cli, networks, rounds
from bench.peers.client import EngineFailed, EngineMissing, Worker, environment
from bench.peers.cold import Starter
from bench.peers.engines import AGAIN, ENGINES, OURS
from bench.peers.files import Files

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "tools" / "bench" / "cpu.py"
PATIENCE = 120


def bench(*words: str, status: int = 0, **env: str) -> tuple[str, str]:
    """Run the script; (stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--settle", "0", "--turn", "0", *words],
        env=os.environ | env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("lenet")
    networks.prepare(networks.find("lenet"), (1, 2), 1, folder)
    return Files(folder)


def worker(name: str, env: dict[str, str] | None = None, patience: float = PATIENCE) -> Worker:
    return Worker(name, sys.executable, environment(1, False) | (env or {}), patience)


def fake(folder: Path, text: str) -> dict[str, str]:
    """An environment whose Python finds `text` as onnxruntime."""
    (folder / "onnxruntime.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


def test_rounds_and_cold_start_of_lenet(tmp_path: Path) -> None:
    """The whole of it with our own engine: JSON, tables, and the tables again from the JSON."""
    words = ["--nets", "lenet", "--engines", "graphc", "--batches", "1,2", "--threads", "1"]
    words += ["--rounds", "2", "--starts", "2", "--cold", "--json", str(tmp_path / "j")]
    out, _ = bench(*words)
    doc = json.loads((tmp_path / "j").read_text())
    assert [(c["net"], c["batch"], c["threads"]) for c in doc["cells"]] == [
        ("lenet", 1, 1),
        ("lenet", 2, 1),
    ]
    for cell in doc["cells"]:
        assert list(cell["engines"]) == [OURS, AGAIN]
        for entry in cell["engines"].values():
            assert entry["error"] < 1e-5 and entry["load_s"] > 0
            assert [len(turn) for turn in entry["wall"]] == [cell["calls"]] * 2
            assert all(t > 0 for turn in (*entry["wall"], *entry["cpu"]) for t in turn)
            assert entry["peak_bytes"] > 10 << 20
    (cold,) = doc["cold"]
    assert list(cold["engines"]) == ["graphc run", "python+numpy", OURS]
    for entry in cold["engines"].values():
        assert len(entry["first_s"]) == 2
        assert all(a <= b for a, b in zip(entry["first_s"], entry["wall_s"], strict=True))
        assert min(entry["cpu_s"]) > 0 and min(entry["peak_bytes"]) > 5 << 20
    assert doc["engines"].keys() == {OURS} and doc["machine"]["cores"] >= 1
    assert "== batch 2, 1 thread" in out and "== cold start" in out and "noise" in out
    again, _ = bench("--show", str(tmp_path / "j"))
    assert again == out


def test_missing_engines_are_said_and_skipped(tmp_path: Path) -> None:
    env = fake(tmp_path, "raise ImportError('not on this machine')")
    words = ["--nets", "lenet", "--engines", "onnxruntime", "--batches", "1", "--threads", "1"]
    out, err = bench(*words, "--rounds", "1", "--json", str(tmp_path / "j"), **env)
    assert "skipping onnxruntime: not on this machine" in err
    assert "not on this machine" in out
    doc = json.loads((tmp_path / "j").read_text())
    assert "missing" in doc["engines"]["onnxruntime"]
    assert list(doc["cells"][0]["engines"]) == [OURS, AGAIN]


BROKEN = """
import os
__version__ = "0"
class SessionOptions: pass
class ExecutionMode: ORT_SEQUENTIAL = 0
class GraphOptimizationLevel: ORT_ENABLE_ALL = 0
class InferenceSession:
    def __init__(self, *args, **kwargs): self.calls = 0
    def get_inputs(self): return [type("I", (), {"name": "data"})]
    def run(self, outputs, feeds):
        self.calls += 1
        if self.calls > %d: os.abort()
        import numpy
        return [numpy.full((1, 10), 0.1, numpy.float32)]
"""


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_an_engine_that_dies_is_left_out(calls: int, lenet: Files, tmp_path: Path) -> None:
    """At its first output, while calls are counted, or within a round."""
    env = fake(tmp_path, BROKEN % calls)
    said: list[str] = []
    to = rounds.Settings(sys.executable, rounds=2, turn_s=0, settle_s=0, patience_s=PATIENCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", env["PYTHONPATH"])
        cell = rounds.Cell("lenet", 1, 1)
        found = rounds.run_cell(cell, lenet, 0, ["onnxruntime"], to, said.append)
    assert "died at" in found["engines"]["onnxruntime"]["failed"]
    assert list(found["engines"]["onnxruntime"]) == ["failed"]
    assert any(text.startswith("left out: onnxruntime: died") for text in said)
    for name in (OURS, AGAIN):
        assert len(found["engines"][name]["wall"]) == 2


def test_wrong_outputs_are_noticed(lenet: Files, tmp_path: Path) -> None:
    env = fake(tmp_path, BROKEN % 1000)
    to = rounds.Settings(sys.executable, rounds=1, turn_s=0, settle_s=0, patience_s=PATIENCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", env["PYTHONPATH"])
        cell = rounds.Cell("lenet", 1, 1)
        found = rounds.run_cell(cell, lenet, 0, ["onnxruntime"], to, lambda text: None)
    assert found["engines"]["onnxruntime"]["error"] > 0.01


def test_ours_must_not_fail(lenet: Files, tmp_path: Path) -> None:
    to = rounds.Settings(sys.executable, rounds=1, patience_s=PATIENCE)
    with pytest.raises(EngineFailed, match="graphc: 'load': FileNotFoundError"):
        rounds.run_cell(rounds.Cell("x", 1, 1), Files(tmp_path), 0, [], to, lambda text: None)


def test_no_engine_is_started_without_room(lenet: Files) -> None:
    to = rounds.Settings(sys.executable)
    with pytest.raises(MemoryError, match="fewer --engines"):
        rounds.run_cell(rounds.Cell("x", 1, 1), lenet, 1 << 50, [], to, lambda text: None)


def test_a_worker_that_hangs_is_ended(tmp_path: Path) -> None:
    env = fake(tmp_path, "import time\ntime.sleep(3600)")
    with worker("onnxruntime", env, patience=0.5) as hung:
        with pytest.raises(EngineFailed, match="no answer within"):
            hung.ask("hello")
        pid = hung.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_dead_workers_last_words(tmp_path: Path) -> None:
    env = fake(tmp_path, "import os, sys\nprint('farewell', flush=True)\nos._exit(7)")
    with worker("onnxruntime", env) as dead, pytest.raises(EngineFailed) as caught:
        dead.ask("hello")
    assert str(caught.value) == "onnxruntime: died at 'hello': exit status 7; farewell"


def test_what_engines_print_does_not_disturb_answers(tmp_path: Path) -> None:
    with worker("onnxruntime", fake(tmp_path, "print('{}')\n__version__ = '9'")) as chatty:
        assert chatty.ask("hello") == {"version": "9"}


def test_a_python_that_is_not_there() -> None:
    with pytest.raises(EngineFailed, match=r"ncnn: .*no/such/python"):
        Worker("ncnn", "/no/such/python", {}, PATIENCE)


def test_an_opencv_without_importer_is_missing(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("class dnn: pass\n__version__ = '5.0.0'")
    with (
        worker("opencv", {"PYTHONPATH": str(tmp_path)}) as new,
        pytest.raises(EngineMissing, match=r"5\.0\.0 has no Caffe importer"),
    ):
        new.ask("hello")


CAFFE = """#!/bin/sh
if [ "$1" = --version ]; then echo "caffe version 1.0.0"; exit; fi
echo "I1 caffe.cpp:406] Average Forward pass: 12.5 ms." >&2
echo "I1 caffe.cpp:408] Average Backward pass: 99 ms." >&2
case "$*" in *--iterations=3*) ;; *--iterations=13*) echo "F1 Check failed: no" >&2; exit 1 ;; esac
"""


def test_caffes_own_times(lenet: Files, tmp_path: Path) -> None:
    """A script that talks as `caffe time` does."""
    (tmp_path / "caffe").write_text(CAFFE)
    (tmp_path / "caffe").chmod(0o755)
    with worker("caffe", {"PATH": f"{tmp_path}:{os.environ['PATH']}"}) as real:
        assert real.ask("hello") == {"version": "caffe version 1.0.0"}
        real.ask("load", folder=str(lenet.folder), batch=2, threads=1)
        assert real.ask("output", path=str(tmp_path / "y")) == {"written": False}
        assert real.ask("turn", count=3) == {"wall": [0.0125], "cpu": []}
        assert real.ask("peak")["peak_bytes"] > 0
        with pytest.raises(EngineFailed, match="exit status 1: F1 Check failed: no"):
            real.ask("turn", count=13)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
    unset += ("PYTHONDONTWRITEBYTECODE",)
    for name in unset:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("KEPT", "yes")
    env = environment(2, passive=False)
    assert not env.keys() & set(unset)
    assert env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "2" and env["KEPT"] == "yes"
    assert environment(1, passive=True)["OMP_WAIT_POLICY"] == "PASSIVE"


def test_memory_of_a_started_process_is_its_own() -> None:
    """Neither this process's, which is larger, nor too little."""
    ballast = bytearray(os.urandom(1 << 20) * 200)
    with Starter() as starter:
        small = starter.start([sys.executable, "-I", "-S", "-c", "print(1)"], os.environ, None)
        code = "x = b'x' * (150 << 20); print(1)"
        large = starter.start([sys.executable, "-I", "-S", "-c", code], os.environ, None)
        with pytest.raises(EngineFailed, match="exit status 3: alas"):
            code = "import sys; print('alas', file=sys.stderr); sys.exit(3)"
            starter.start([sys.executable, "-c", code], os.environ, None)
        with pytest.raises(EngineFailed, match="no/such/program"):
            starter.start(["/no/such/program"], os.environ, None)
    assert small["peak_bytes"] < 100 << 20 < 150 << 20 < large["peak_bytes"]
    assert len(ballast) == 200 << 20
    assert 0 < small["first_s"] <= small["wall_s"] and large["cpu_s"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nets", "nonsense"], "no network 'nonsense'"),
        (["--nets", "gone.prototxt"], "gone.prototxt"),
        (["--engines", "graphc,tvm"], "no engine 'tvm'"),
        (["--threads", "999"], "999 threads, but this process may use"),
        (["--batches", "0"], "no positive whole number"),
        (["--rounds", "two"], "no positive whole number"),
        (["--settle", "nan"], "no number of seconds"),
        (["--nets", ","], "the list is empty"),
        (["--cold", "never"], "--cold"),
        (["--frob"], "--frob"),
    ],
)
def test_bad_arguments(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_errors_end_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(
        'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 } } }'
    )
    words = ["--nets", str(net), "--engines", "graphc", "--batches", "1", "--threads", "1"]
    assert cli.main(words) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("cpu.py: ")
    assert cli.main(["--show", str(tmp_path / "absent")]) == 1
    assert "absent" in capsys.readouterr().err


def test_a_signal_leaves_nothing_but_the_results(tmp_path: Path) -> None:
    """The networks are removed, the workers gone, and the JSON is whole."""
    (tmp_path / "tmp").mkdir()
    words = ["--nets", "lenet", "--engines", "graphc", "--batches", "1", "--threads", "1"]
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), *words, "--json", str(tmp_path / "j")],
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "round 1" in line:
                running.terminate()
                break
        running.communicate(timeout=PATIENCE)
    assert running.returncode == 128 + signal.SIGTERM
    assert not list((tmp_path / "tmp").iterdir())
    assert json.loads((tmp_path / "j").read_text())["cells"] == []


def test_an_interrupt_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main([]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{out}" for name in ENGINES) and "resnet50" in out


def test_every_option_is_documented() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    options = [o for a in cli.parser()._actions for o in a.option_strings if o.startswith("--")]
    missing = [option for option in options if f"`{option}" not in text and option != "--help"]
    assert not missing and len(options) > 10
    assert all(f"`{name}`" in text for name in ENGINES)


def test_defaults() -> None:
    told: dict[str, Any] = vars(cli.parser().parse_args(["--quick"]))
    assert told["rounds"] is None and cli.QUICK["rounds"] < cli.FULL["rounds"]
    assert cli.QUICK.keys() == cli.FULL.keys() <= told.keys()
    assert set(networks.COLD) <= set(networks.STANDARD)


def test_training_steps_of_lenet(tmp_path: Path) -> None:
    script = SCRIPT.with_name("training.py")
    words = ["--nets", "lenet", "--batch", "2", "--threads", "1", "--rounds", "2", "--turn", "0"]
    words += ["--trainers", "graphc-train,torch-train", "--json", str(tmp_path / "j")]
    env = os.environ | fake_torch(tmp_path)
    done = subprocess.run(
        [sys.executable, str(script), *words], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads((tmp_path / "j").read_text())
    ours = cell["engines"]["graphc-train"]
    assert len(ours["wall"]) == 2 and all(s > 0 for turn in ours["wall"] for s in turn)
    assert ours["losses"][0] > ours["losses"][2] > 0
    assert "failed" in cell["engines"]["torch-train"]
    assert "lenet, batch 2, 1 thread" in done.stdout and "graphc-train" in done.stdout


def fake_torch(folder: Path) -> dict[str, str]:
    """An environment in which there is no PyTorch."""
    (folder / "torch.py").write_text("raise ImportError('no torch')")
    return {"PYTHONPATH": str(folder)}
