"""Options that several verbs share, and how they become arguments of the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from graphc.errors import fail
from graphc.ir.graph import Graph
from graphc.limits import Limits

F = TypeVar("F", bound=Callable[..., Any])


def net_options(function: F) -> F:
    """Everything that says which network is meant: weights, phase, shapes, limits, own layers."""
    for option in reversed(
        (
            click.option("-w", "--weights", help="Weights: caffemodel, HDF5, safetensors or npz."),
            click.option(
                "--phase",
                type=click.Choice(["TEST", "TRAIN"], case_sensitive=False),
                default="TEST",
                show_default=True,
                help="Which layers the phase rules keep.",
            ),
            click.option("--level", type=int, default=0, help="Level for the phase rules."),
            click.option("--stage", "stages", multiple=True, help="A stage; may be repeated."),
            click.option(
                "--shape",
                "shapes",
                multiple=True,
                metavar="NAME=DIMS",
                help="Shape of an input or data blob, as data=1x3x224x224.",
            ),
            click.option("--batch", type=int, help="Batch size of all inputs."),
            click.option("--ops", "ops_files", multiple=True, help="A Python file with layers."),
            click.option("--strict", is_flag=True, help="Limits for files you do not trust."),
            click.option(
                "--strict-weights/--no-strict-weights",
                default=True,
                help="Must every layer be in the weight file?",
            ),
            click.option("--dialect", default="auto", help="The Caffe fork a binary net is from."),
            click.option("--seed", type=int, default=1, help="Seed of the fillers."),
        )
    ):
        function = option(function)
    return function


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


def parse_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """name=1x3x224x224 -> {name: (1, 3, 224, 224)}. Raises GC-R002."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, dims = text.rpartition("=")
        try:
            shapes[name] = tuple(int(d) for d in dims.lower().replace(",", "x").split("x"))
        except ValueError:
            equals = ""
        if not equals or not name:
            fail("GC-R002", f"--shape {text!r} is not NAME=DIMS", "write data=1x3x224x224")
    return shapes


def load_net(net: str, options: dict[str, Any]) -> Graph:
    """Load a network by the values of `net_options`; shapes stay open where sources are needed."""
    from graphc import driver
    from graphc.ops.registry import load_file

    for path in options["ops_files"]:
        load_file(path)
    limits = Limits.strict() if options["strict"] else Limits()
    return driver.load(
        net,
        options["weights"],
        phase=options["phase"].upper(),
        level=options["level"],
        stages=options["stages"],
        shapes=parse_shapes(options["shapes"]),
        batch=options["batch"],
        strict=options["strict_weights"],
        limits=limits,
        dialect=options["dialect"],
        seed=options["seed"],
    )


def is_artefact(path: str) -> bool:
    """Does the file start like a ZIP archive (or is it called .gcz)?"""
    if path.endswith(".gcz"):
        return True
    try:
        with Path(path).open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False
