"""The command line as a process: exit codes, streams, errors, what is imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import __version__
from graphc.cli import main as main_module
from graphc.cli.verbs import VERBS

GRAPHC = [sys.executable, "-m", "graphc"]
ELSEWHERE = (
    tempfile.gettempdir()
)  # not the checkout: there the sources would hide what is installed


def start(*args: str, **words: Any) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ELSEWHERE}
    return subprocess.Popen([*GRAPHC, *args], text=True, **(pipes | words))


def modules_after(*args: str, cwd: Path | str = ELSEWHERE) -> set[str]:
    """What is imported when a command has run."""
    script = (
        "import sys\nfrom graphc.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as done:\n    assert not done.code\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, *args]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_lists_every_verb(cli):
    bare, asked = cli(), cli("--help")
    assert bare == asked and asked.code == 0 and not asked.err
    for verb, what in VERBS.items():
        assert f"{verb} " in asked.out and what in asked.out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb(cli, verb):
    done = cli(verb, "-h")
    assert done.code == 0 and not done.err
    assert done.out.startswith(f"Usage: graphc {verb}") and "--json" in done.out


def test_version(cli):
    assert cli("--version").out == f"graphc {__version__}\n"


def test_unknown_verb(cli):
    done = cli("inspct")
    assert (done.code, done.out) == (2, "")
    assert "GC-C001: no verb 'inspct'" in done.err and "hint: did you mean 'inspect'?" in done.err
    assert "compile, run, train, test, compare, bench, check-grad, plan, inspect" in cli("zzz").err


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["count"], "Missing argument 'NET'", "`graphc count --help`"),
        (["count", "a", "b"], "unexpected extra argument (b)", "`graphc count --help`"),
        (["run", "--labls", "x"], "no option '--labls'", "did you mean --labels"),
        (["run", "--zz"], "no option '--zz'", "`graphc run --help`"),
        (["run", "--top"], "requires an argument", "`graphc run --help`"),
        (["run", "--top", "0"], "0 is not in the range", "--help"),
        (["run", "--scale", "much"], "'much' is not a valid float", "--help"),
        (["compile", "x", "--batch", "0"], "0 is not in the range", "--help"),
        (["compile", "x", "--phase", "DREAM"], "'DREAM' is not", "--help"),
        (["ops", "--check"], "--check needs a TYPE", "`graphc ops`"),
    ],
)
def test_usage_errors(cli, args, message, hint):
    done = cli(*args)
    assert (done.code, done.out) == (2, "")
    assert "GC-C001: " in done.err and message in done.err and hint in done.err
    assert "graphc explain GC-C001" in done.err
    told = cli(args[0], "--json", *args[1:]).json["error"]
    assert (told["code"], told["exit"]) == ("GC-C001", 2)
    assert message in told["message"] and hint in told["hint"]


BAD_LAYER = """layer { name: "in" type: "Input" top: "data"
  input_param { shape { dim: 2 dim: 3 } } }
layer { name: "soft" type: "Softmx" bottom: "data" top: "y" }
"""


def test_an_error_names_file_line_layer_code_and_hint(cli, tmp_path):
    (tmp_path / "net.prototxt").write_text(BAD_LAYER)
    done = cli("inspect", "net.prototxt")
    assert (done.code, done.out) == (3, "")
    first, hint, more = done.err.splitlines()
    assert first.startswith("net.prototxt:3: GC-N001: layer 'soft'")
    assert hint.startswith("  hint: did you mean 'Softmax'")
    assert more == "  more: graphc explain GC-N001"
    told = cli("inspect", "net.prototxt", "--json").json["error"]
    assert told.pop("message").startswith("unknown layer type 'Softmx'")
    told.pop("type")
    assert told == {
        "code": "GC-N001",
        "exit": 3,
        "hint": hint.partition(": ")[2],
        "layer": "soft",
        "file": "net.prototxt",
        "line": 3,
    }


EXITS = {
    1: ("compile", "tiny.prototxt", "--passes", "spoil.py:Spoil"),
    2: ("run", "tiny.prototxt", "--keep", "nope"),
    3: ("compile", "tiny.prototxt", "--shape", "data=1x3x2x2"),
    4: ("compile", "tiny.prototxt", "--memory", "1GiB", "--target", "reference"),
    6: ("run", "tiny.prototxt", "--gpu"),
    7: ("run", "missing.gcz"),
    8: ("inspect", "long.prototxt", "--strict"),
}
SPOIL = """from graphc.passes.base import Pass, Report

class Spoil(Pass):
    name = "spoil"

    def run(self, graph, ctx):
        for value in graph.param_values():
            graph.weight(value)[...] += 3
        return Report(self.name, True)
"""


@pytest.mark.parametrize("code", EXITS)
def test_exit_codes(cli, tiny, tmp_path, code):
    (tmp_path / "spoil.py").write_text(SPOIL)
    (tmp_path / "long.prototxt").write_text("#" * (17 << 20))
    done = cli(*EXITS[code])
    assert done.code == code, done.err
    assert "GC-" in done.err and done.out == ""


def test_out_of_memory_is_5(cli, monkeypatch):
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("graphc.cli.explain_verb.table", exhausted)
    done = cli("explain")
    assert done.code == 5 and "GC-M002" in done.err


def test_the_unexpected_is_one_line_and_70(cli, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("seven by nothing\nand more")

    monkeypatch.setattr("graphc.cli.explain_verb.near", broken)
    done = cli("explain", "nothing")
    assert done.code == 70 and done.out == ""
    first, hint, _ = done.err.splitlines()
    assert first == "GC-C002: unexpected ZeroDivisionError: seven by nothing"
    assert "report" in hint and "GRAPHC_DEBUG=1" in hint
    assert cli("explain", "nothing", "--json").json["error"]["exit"] == 70
    monkeypatch.setenv("GRAPHC_DEBUG", "1")
    done = cli("explain", "nothing")
    assert done.code == 70
    assert "Traceback" in done.err and "in broken" in done.err


def test_debug_shows_where_an_error_arose(cli, monkeypatch):
    assert "Traceback" not in cli("explain", "nothing").err
    monkeypatch.setenv("GRAPHC_DEBUG", "1")
    assert "Traceback" in cli("explain", "nothing").err
    monkeypatch.setenv("GRAPHC_DEBUG", "perhaps")
    done = cli("explain")
    assert done.code == 2 and "GC-R004: GRAPHC_DEBUG='perhaps'" in done.err


def test_names_from_files_cannot_steer_the_terminal(cli, tmp_path):
    text = BAD_LAYER.replace('"soft"', '"\\033[31mred"').replace("Softmx", "Softmax")
    (tmp_path / "net.prototxt").write_text(text)
    done = cli("inspect", "net.prototxt")
    assert done.code == 0 and "\x1b" not in done.out and "\\x1b[31mred" in done.out


def test_interrupt(tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    process = start("ops", "--ops", str(slow))
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "interrupted\n")
    assert process.returncode == 130


@pytest.mark.parametrize("code", [0, 2])
def test_the_end_of_the_process_loses_nothing(tmp_path, code):
    log, own = tmp_path / "log.txt", tmp_path / "own.py"
    own.write_text(
        "import atexit, sys\n"
        f"file = open({str(log)!r}, 'w')\n"
        "file.write('not flushed')\n"
        "sys.stdout.write('said, ')\n"
        "atexit.register(lambda: print('left', flush=False))\n"
    )
    process = start("ops", "--ops", str(own), *(["--no-such"] if code else []))
    out, _ = process.communicate()
    assert process.returncode == code
    if not code:
        assert out.startswith("said, ") and out.endswith("left\n")
        assert log.read_text() == "not flushed"


def test_a_reader_that_goes_away_is_no_error():
    process = start("explain")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_behind_stdout():
    with open("/dev/full", "w") as full:
        done = start("explain", stdout=full)
        _, err = done.communicate()
    assert done.returncode == 7
    assert err.startswith("GC-F002: cannot write the output: No space left")


def test_closed_stdout():
    command = f'"{sys.executable}" -m graphc explain >&-'
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, cwd=ELSEWHERE)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_that_cannot_show_a_name(tmp_path):
    (tmp_path / "\u732b.prototxt").write_text("")
    words = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = start("inspect", "cat\u732b.prototxt", cwd=tmp_path, env=os.environ | words)
    _, err = done.communicate()
    assert done.returncode == 7
    assert "'cat\\u732b.prototxt'" in err and "did you mean '\\u732b.prototxt'" in err


def test_completion():
    words = {"_GRAPHC_COMPLETE": "bash_complete", "COMP_WORDS": "graphc co", "COMP_CWORD": "1"}
    out, _ = start(env=os.environ | words).communicate()
    assert out.split() == ["plain,compile", "plain,compare", "plain,count"]


HEAVY = ("numpy", "google", "rich", "graphc.ir", "graphc.ops", "graphc.front", "graphc.passes")


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["explain"], ["explain", "GC-S003"]])
def test_help_and_explain_import_nothing_heavy(args):
    assert not {m for m in modules_after(*args) if m.startswith(HEAVY)}


def test_running_an_artefact_imports_neither_protobuf_nor_front_nor_passes(artefact, tmp_path):
    for verb in ("run", "inspect", "count"):
        loaded = modules_after(verb, str(artefact), cwd=tmp_path)
        assert "graphc.runtime.artefact" in loaded
        banned = ("google", "graphc.front", "graphc.passes", "PIL", "h5py", "lmdb")
        assert not {m for m in loaded if m.startswith(banned)}


CLASSIFIER = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 17 dim: 17 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 32 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "sc" type: "Scale" bottom: "c" top: "c" }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "n" type: "LRN" bottom: "p" top: "n" }
layer { name: "d" type: "Convolution" bottom: "n" top: "d"
  convolution_param { num_output: 32 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "a" type: "Eltwise" bottom: "d" bottom: "n" top: "a" }
layer { name: "m" type: "Pooling" bottom: "n" top: "m"
  pooling_param { pool: AVE kernel_size: 3 stride: 1 pad: 1 } }
layer { name: "j" type: "Concat" bottom: "a" bottom: "m" bottom: "d" top: "j" }
layer { name: "o" type: "Dropout" bottom: "j" top: "j" }
layer { name: "i" type: "InnerProduct" bottom: "j" top: "i"
  inner_product_param { num_output: 20 weight_filler { type: "xavier" } } }
layer { name: "y" type: "Softmax" bottom: "i" top: "y" }
"""


@pytest.mark.parametrize("shape", [(1, 3, 17, 17), (3, 17, 17)])
def test_running_a_classifier_on_numbers_imports_neither_numpy_nor_click(cli, tmp_path, shape):
    """Importing them takes as long as all the rest of a small network's start."""
    (tmp_path / "n.prototxt").write_text(CLASSIFIER)
    assert cli("compile", tmp_path / "n.prototxt", "-o", tmp_path / "n.gcz").code == 0
    np.save(tmp_path / "x.npy", np.ones(shape, np.float32))
    command = "run", str(tmp_path / "n.gcz"), "--input", str(tmp_path / "x.npy")
    for more in ((), ("--json",)):
        loaded = modules_after(*command, *more, cwd=tmp_path)
        assert "graphc.runtime.cpu" in loaded and not {"numpy", "click"} & loaded


def test_invoke_returns_the_status():
    assert main_module.invoke(["--version"]) == 0
