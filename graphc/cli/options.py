"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from graphc.errors import fail

F = TypeVar("F", bound=Callable[..., Any])

# What a prototxt can be asked for, and an artefact, which was compiled with it, cannot.
FIXED = ("weights", "phase", "level", "stages", "dialect", "seed", "strict_weights", "set")


def net_options(function: F) -> F:
    """Everything that says which network is meant: weights, phase, shapes, limits, own layers."""
    for option in reversed(
        (
            click.option(
                "-w",
                "--weights",
                metavar="FILE",
                help="Weights: caffemodel, HDF5, safetensors or npz; told by content.",
            ),
            click.option(
                "--phase",
                type=click.Choice(["TEST", "TRAIN"], case_sensitive=False),
                default="TEST",
                show_default=True,
                help="Which layers the include and exclude rules keep.",
            ),
            click.option("--level", type=int, default=0, help="Level for these rules."),
            click.option(
                "--stage",
                "stages",
                multiple=True,
                metavar="NAME",
                help="Stage, likewise (repeatable).",
            ),
            click.option(
                "--shape",
                "shapes",
                multiple=True,
                metavar="BLOB=DIMS",
                help="Shape of an input or a data layer's top, as data=1x3x224x224 (repeatable).",
            ),
            click.option(
                "--batch", type=click.IntRange(min=1), metavar="N", help="Batch size of all inputs."
            ),
            ops_option,
            click.option("--strict", is_flag=True, help="Limits for files you do not trust."),
            click.option(
                "--strict-weights/--no-strict-weights",
                default=True,
                help="Must the weight file have every layer? Else those missing keep their "
                "fillers.  [default: yes]",
            ),
            click.option(
                "--dialect", default="auto", metavar="FORK", help="The fork a binary net is from."
            ),
            click.option("--seed", type=int, default=1, metavar="N", help="Seed of the fillers."),
            set_option,
        )
    ):
        function = option(function)
    return function


def input_options(function: F) -> F:
    """What a network is fed: files, and what is done to images."""
    for option in reversed(
        (
            click.option(
                "--input",
                "inputs",
                multiple=True,
                metavar="[NAME=]FILE",
                help="Image, .npy or .npz; several images make a batch (repeatable).",
            ),
            click.option(
                "--mean",
                metavar="B,G,R|FILE",
                help="Subtracted from images: one number, one each, or a .binaryproto or .npy.",
            ),
            click.option(
                "--scale",
                type=float,
                default=1.0,
                metavar="S",
                help="Images are multiplied by it after the mean.",
            ),
            click.option("--rgb", is_flag=True, help="Feed channels in RGB order, not BGR."),
        )
    ):
        function = option(function)
    return function


class Setting(click.ParamType[tuple[str, str]]):
    """A field's path, and what it is to be."""

    name = "setting"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        from graphc.front.override_paths import parse_set

        return value if isinstance(value, tuple) else parse_set(value)


set_option = click.option(
    "--set",
    "set",
    type=Setting(),
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a field that the file gives, as layer[conv1].convolution_param.num_output=8 "
    "(repeatable).",
)
ops_option = click.option(
    "--ops",
    "ops_files",
    multiple=True,
    metavar="FILE.py",
    help="A file with layers of your own (repeatable).",
)
target_option = click.option(
    "--target", metavar="T", help="Where to run.  [default: cpu, or where it was compiled for]"
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1, max=1024),
    metavar="N",
    help="Threads of target cpu.  [default: one per CPU]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


def parse_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """name=1x3x224x224 -> {name: (1, 3, 224, 224)}. Raises GC-C001."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, dims = text.rpartition("=")
        try:
            shapes[name] = tuple(int(d) for d in dims.lower().replace(",", "x").split("x"))
        except ValueError:
            equals = ""
        if not equals or not name:
            fail("GC-C001", f"--shape {text!r} is not BLOB=DIMS", "write data=1x3x224x224")
    return shapes


def parse_numbers(option: str, text: str | None) -> tuple[float, ...]:
    """ "104,117,123" -> (104.0, 117.0, 123.0). Raises GC-C001."""
    try:
        return tuple(float(x) for x in text.split(",")) if text is not None else ()
    except ValueError:
        fail("GC-C001", f"{option} {text!r} is no list of numbers", f"write {option} 104,117,123")


def given(name: str) -> bool:
    """Was the option on the command line, rather than left at its default?"""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def spelled(name: str) -> str:
    """How the user writes the option whose value is called `name`."""
    for parameter in click.get_current_context().command.params:
        if parameter.name == name:
            return max(parameter.opts, key=len)
    return name
