"""What a network is fed, and what is to be said about where its weights come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphc.cli.nets import existing
from graphc.cli.options import parse_numbers
from graphc.cli.output import note
from graphc.errors import fail, near
from graphc.floats import Held
from graphc.ir.graph import Array, Graph
from graphc.limits import Limits

MEANS = (".binaryproto", ".npy")


def read_feeds(
    graph: Graph, files: Sequence[str], options: dict[str, Any]
) -> tuple[dict[str, Held], list[str]]:
    """Arrays for the net's inputs by the values of `input_options`, and the names of the samples
    (files) where they are images. Without files random numbers, and a note says so."""
    from graphc.data.preprocess import Preprocess, read_inputs
    from graphc.runtime.feeds import input_shapes

    if not files:
        from graphc.services import sample_inputs

        if graph.inputs:
            note("note: no input given: feeding random numbers")
        return dict(sample_inputs(graph)), []
    mean = _mean(options["mean"], options["strict"])
    prepare = Preprocess(mean=mean, scale=options["scale"], rgb=options["rgb"])
    return read_inputs(files, input_shapes(graph.inputs), prepare, Limits.of(options["strict"]))


def read_calibration(graph: Graph, path: str | None, strict: bool) -> dict[str, Array] | None:
    """Inputs by name and, as `label`, the right classes, of an .npz; nothing for no path.

    Raises GC-F001, GC-D001, and GC-R001 for what is no input of the net.
    """
    if path is None:
        return None
    from graphc.data.arrays import read_arrays
    from graphc.runtime.feeds import input_shapes
    from graphc.services import LABEL

    shapes = input_shapes(graph.inputs)
    found = read_arrays(Path(existing(path)), Limits.of(strict))
    if list(found) == [""] and len(shapes) == 1:
        found = {next(iter(shapes)): found[""]}
    for name in found.keys() - {*shapes, LABEL}:
        hint = near(name, shapes) or f"its inputs: {', '.join(shapes)}; and {LABEL!r}"
        fail("GC-R001", f"{path!r}: {name!r} is no input of this net", hint)
    return found


def _mean(text: str | None, strict: bool) -> tuple[float, ...] | Array:
    """Numbers, or what a file holds that `graphc data mean` or Caffe has made."""
    if text is None or not text.lower().endswith(MEANS):
        return parse_numbers("--mean", text)
    from graphc.data.blob import read_mean

    return read_mean(Path(text), Limits.of(strict))


def print_notes(graph: Graph, compiled: bool) -> None:
    """Say how the network came to its weights, and which libraries it lacks; of an artefact only
    what makes its results odd, or slow."""
    from graphc.costs import REMARK
    from graphc.driver import NO_WEIGHTS

    for remark in graph.notes:
        if not compiled or remark.startswith((NO_WEIGHTS, REMARK)):
            note(f"note: {remark}")
