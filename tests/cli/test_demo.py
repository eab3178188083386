"""graphc demo: a network that is worth something, files to go on with, and what is printed."""

from __future__ import annotations

import builtins
import io
import json
import os
import re
import shlex
import shutil
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.cli import demo_verb, digits
from graphc.demonstration import network
from graphc.demonstration.demo import THREADS

FILES = {
    "net.prototxt",
    "solver.prototxt",
    "digits.caffemodel",
    "digits.gcz",
    "digits.npy",
    "digits.png",
    "training.html",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Any:
    """What the demo did, in its folder; where it was run lies another network of that name."""
    pytest.importorskip("sklearn")
    place = tmp_path_factory.mktemp("demo")
    (place / "net.prototxt").write_text("this is another one")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return graphc.demo(place / "out", seed=3)


def test_it_learns(made):
    assert made.accuracy >= 0.95
    assert len(made.images) == len(made.labels) == len(made.predictions) == 599
    assert made.trained == 1198 and made.iterations == network.ITERATIONS
    assert made.losses[1] < 0.2 < made.losses[0]
    assert made.images_per_second > 0 and made.us_per_image > 0
    assert 0 < made.run_bytes < made.train_bytes
    assert made.peak_rss is None or made.peak_rss > made.train_bytes


def test_what_it_leaves_is_what_it_found(made):
    """The artefact, and the net with its weights, give its predictions."""
    assert {path.name for path in made.folder.iterdir()} == FILES
    with graphc.open(made.folder / "digits.gcz", threads=THREADS) as exe:
        assert exe.plan.peak_bytes == made.run_bytes
        found = exe.run({"data": made.images[:, None]})["prob"].argmax(1)
    assert (found == made.predictions).all()
    net = graphc.load(made.folder / "net.prototxt", made.folder / "digits.caffemodel")
    with graphc.compile(net, target="reference", passes=()) as exe:
        found = exe.run({"data": made.images[:100, None]})["prob"].argmax(1)
    assert (found == made.predictions[:100]).all()
    assert (np.load(made.folder / "digits.npy") == made.images[:10, None]).all()
    solver = graphc.Solver(made.folder / "solver.prototxt")
    assert solver.net.plan.breakdown["history"] > 0


def test_the_picture(made):
    data = (made.folder / "digits.png").read_bytes()
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    size, raw = data.index(b"IDAT"), zlib.decompress(data[data.index(b"IDAT") + 4 : -16])
    assert data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB`\x82")
    assert int.from_bytes(data[size - 4 : size], "big") == len(data) - size - 4 - 16
    pixels = np.frombuffer(raw, np.uint8).reshape(height, 1 + 3 * width)[:, 1:]
    frames = pixels.reshape(height, width, 3)[::38, ::38].reshape(-1, 3)
    is_red = frames[:, 0] > frames[:, 1]
    assert is_red.sum() == (made.labels != made.predictions).sum() and len(is_red) == 100
    image = pytest.importorskip("PIL.Image")
    assert image.open(io.BytesIO(data)).convert("RGB").tobytes() == pixels.tobytes()


def test_the_page(made):
    text = (made.folder / "training.html").read_text(encoding="utf-8")
    assert f"{made.accuracy:.1%} of 599 digits held out" in text and "Training loss" in text


def test_the_same_seed_gives_the_same_network(made, tmp_path):
    again = graphc.demo(tmp_path, seed=3)
    assert (again.predictions == made.predictions).all() and again.losses == made.losses
    other = graphc.demo(tmp_path, seed=4)
    assert not (other.labels == made.labels).all()


def test_what_is_printed_and_what_comes_next(cli, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(sys, "argv", ["graphc"])
    done = cli("demo", "--out", "a b")
    assert done.code == 0, done.err
    assert re.search(r"^accuracy  9\d\.\d%: \d+ of 599 digits right, \d+ us each$", done.out, re.M)
    assert re.search(r"^memory    [\d.]+ KiB planned to train, [\d.]+ KiB to run; ", done.out, re.M)
    assert "fold_batch_norm: conv1 takes in bn1, scale1; conv2 takes in bn2, scale2" in done.out
    assert "\x1b" not in done.out + done.err and "\u2588" in done.out
    assert done.err.splitlines()[0].startswith(f"iter 0/{network.ITERATIONS}  loss ")
    assert all(f"  {name} " in done.out for name in FILES)
    commands = done.out.partition("go on with\n")[2].splitlines()
    assert len(commands) == 4
    for line in commands:
        program, verb, *args = shlex.split(line)
        more = ["--seconds", "0.1"] if verb == "bench" else []
        assert program == "graphc" and cli(verb, *args, *more).code == 0


def test_json(cli):
    pytest.importorskip("sklearn")
    done = cli("demo", "--json", "--seed", "5")
    told = done.json
    assert told["accuracy"] >= 0.95 and told["held_out"] == 599
    assert told["plan"]["train_bytes"] > told["plan"]["run_bytes"] > 0
    assert {Path(path) for path in told["files"].values()} == set(Path("graphc-demo").iterdir())
    assert "random_seed: 5" in Path("graphc-demo/solver.prototxt").read_text()
    json.dumps(told)


def test_without_scikit_learn(cli, monkeypatch):
    real = builtins.__import__

    def missing(name: str, *args: Any, **words: Any) -> Any:
        if name.partition(".")[0] == "sklearn":
            raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
        return real(name, *args, **words)

    monkeypatch.setattr(builtins, "__import__", missing)
    done = cli("demo")
    assert done.code == 4 and "GC-U002" in done.err
    assert "hint: pip install 'graphc[demo]'" in done.err
    assert not Path("graphc-demo").exists()


def test_a_folder_that_cannot_be_made(cli):
    pytest.importorskip("sklearn")
    Path("file").write_text("")
    done = cli("demo", "--out", "file")
    assert done.code == 7 and "GC-F002: cannot make 'file'" in done.err


def test_how_the_user_calls_graphc(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "argv", [".venv/bin/graphc", "demo"])
    assert demo_verb._next(Path("d"))[1] == ".venv/bin/graphc inspect d/digits.gcz"
    monkeypatch.setattr(sys, "argv", ["/some/graphc/__main__.py", "demo"])
    assert demo_verb._next(Path("d"))[1] == "graphc inspect d/digits.gcz"
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/graphc")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/graphc", "demo"])
    assert demo_verb._next(Path("d"))[1] == "graphc inspect d/digits.gcz"


class Screen(io.StringIO):
    encoding = "utf-8"

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.fixture
def pictures() -> tuple[Any, Any, Any]:
    """Nine right ones, black in the left half, and a wrong one."""
    images = np.zeros((10, 8, 8), np.float32)
    images[:, :, :4] = 1
    labels = np.arange(10)
    predictions = labels.copy()
    predictions[4] = 7
    return images, labels, predictions


def test_digits_without_colours(monkeypatch, pictures):
    monkeypatch.setattr(sys, "stdout", Screen(False))
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    lines = list(digits.draw(*pictures))
    monkeypatch.undo()
    assert lines[:4] == ["  ".join(["\u2588" * 4 + " " * 4] * 8).rstrip()] * 4
    assert lines[4].split() == ["0", "1", "2", "3", "5", "6", "7", "8"]
    assert lines[5:9] == ["\u2588" * 4] * 4 and lines[9].strip() == "7, is 4"


def test_digits_in_a_narrow_terminal(monkeypatch, pictures):
    for columns in (1, 10, 18, 30):
        monkeypatch.setattr(sys, "stdout", Screen(False))
        monkeypatch.setattr(
            shutil, "get_terminal_size", lambda *_, c=columns: os.terminal_size((c, 24))
        )
        lines = list(digits.draw(*pictures))
        monkeypatch.undo()
        assert max(map(len, lines)) <= max(8, columns)


@pytest.mark.parametrize("wanted", [True, False])
def test_digits_in_greys(monkeypatch, pictures, wanted):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "" if wanted else "1")
    monkeypatch.setattr(sys, "stdout", Screen(True))
    lines = list(digits.draw(*pictures))
    monkeypatch.undo()
    grey = "\x1b[38;5;255m\x1b[48;5;255m\u2580"
    assert (grey in lines[0]) == wanted and ("\x1b" in "".join(lines)) == wanted
    if wanted:
        assert all(line.endswith("\x1b[0m") for line in lines[:4])


def test_digits_where_there_are_no_blocks(monkeypatch, pictures):
    screen = Screen(True)
    monkeypatch.setattr(Screen, "encoding", "ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    lines = list(digits.draw(*pictures))
    monkeypatch.undo()
    assert lines[0].startswith("####      ####") and "".join(lines).isascii()
