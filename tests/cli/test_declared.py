"""Command lines read without click: as click reads them, or not at all."""

from __future__ import annotations

from typing import Any

import click
import pytest

from graphc.cli.declared import at_least, decorated, one_of, option, read_plain
from graphc.cli.options import FIXED
from graphc.cli.run_verb import command
from graphc.cli.running import OPTIONS
from graphc.cli.verbs import cli


def by_click(words: list[str]) -> dict[str, Any]:
    """What click reads of the words after `graphc run`."""
    parent = cli.make_context("graphc", ["run"])
    return dict(command.make_context("run", list(words), parent).params)


PLAIN = [
    "",
    "net.gcz",
    "net.gcz a.png b.png",
    "net.gcz --input x.npy --input y=z.npz",
    "--json net.gcz --rgb a.png --strict --labels names.txt",
    "net.gcz -o out.npz --keep a --keep b",
    "net.gcz --output out.npz --target cpu --mean 1,2,3",
    "--shape data=1x3x8x8 net.gcz --ops f.py --ops g.py",
    "net.gcz --labels a --labels b",
    "net.gcz --json --json",
]
LEFT_TO_CLICK = [
    "--help",
    "-h",
    "net.gcz --threads 2",
    "net.gcz --top 3",
    "net.gcz --batch 2",
    "net.gcz --scale 0.5",
    "net.gcz --gpu",
    "net.gcz --gpu=0",
    "net.gcz --input=x.npy",
    "net.gcz -oout.npz",
    "net.gcz --input",
    "net.gcz --input --json",
    "net.gcz --mean -1",
    "net.gcz --nothing",
    "net.gcz -- --json",
    "net.gcz -",
    "net.gcz -w w.caffemodel",
    "net.gcz --weights w.caffemodel",
    "net.gcz --phase TRAIN",
    "net.gcz --level 1",
    "net.gcz --stage a",
    "net.gcz --seed 1",
    "net.gcz --dialect auto",
    "net.gcz --strict-weights",
    "net.gcz --no-strict-weights",
]


@pytest.mark.parametrize("line", PLAIN)
def test_plain_lines_are_read_as_click_reads_them(line: str) -> None:
    plain = read_plain(line.split(), OPTIONS, but=FIXED)
    assert plain is not None
    arguments, values = plain
    assert {"arguments": tuple(arguments), **values} == by_click(line.split())


@pytest.mark.parametrize("line", LEFT_TO_CLICK)
def test_other_lines_are_left_to_click(line: str) -> None:
    assert read_plain(line.split(), OPTIONS, but=FIXED) is None


def test_every_option_is_left_to_click_or_read_alike() -> None:
    for each in OPTIONS:
        for flag in each.flags:
            words = [flag] if each.is_flag else [flag, "7"]
            plain = read_plain(words, OPTIONS, but=FIXED)
            assert plain is None or {"arguments": (), **plain[1]} == by_click(words), flag
            assert plain is None or each.name not in FIXED


def test_no_option_is_called_alike_twice() -> None:
    flags = [flag for each in OPTIONS for flag in each.flags]
    names = [each.name for each in OPTIONS]
    assert len(set(flags)) == len(flags) and len(set(names)) == len(names)
    assert set(names) >= set(FIXED)


def test_kinds_are_those_of_click() -> None:
    def body(**values: Any) -> None: ...

    options = (
        option("--some", kind=at_least(1, 3)),
        option("--word", kind=one_of("A", "B"), default="A"),
        option("--on/--off", default=True),
    )
    made = click.command("c")(decorated(body, options))
    assert [p.name for p in made.params] == ["some", "word", "on"]
    read = made.make_context("c", ["--some", "2", "--word", "b", "--off"]).params
    assert read == {"some": 2, "word": "B", "on": False}
    assert [each.usual for each in options] == [None, "A", True]
    for wrong in (["--some", "4"], ["--word", "C"]):
        with pytest.raises(click.UsageError):
            made.make_context("c", wrong)
