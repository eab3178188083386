"""Record: what one pass did to a graph, kept with the graph and in the artefact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any, ClassVar

from graphc.records import record

STAYS = " stays: "
"""Stands between the name of a layer that a pass left alone and the reason."""


@record(frozen=True, slots=True)
class LayerChange:
    """What a pass decided for a layer, and what it is worth; None where a figure is not known.

    `decision`: a few words ("rank 12 of 96", "stays"); `reason`: why. (before, after), of the layer
    and of all that stands in its place: `macs`, multiply-adds of one forward; `params`, numbers;
    `nbytes`, bytes these take in a file; `us`, microseconds. `weight_error`, `response_error`:
    Frobenius norm of the change of the weights, and of what the layer computes on the calibration
    inputs, over that of the original.
    """

    layer: str
    decision: str
    reason: str = ""
    macs: tuple[int, int] | None = None
    params: tuple[int, int] | None = None
    nbytes: tuple[int, int] | None = None
    us: tuple[float, float] | None = None
    weight_error: float | None = None
    response_error: float | None = None

    PAIRS: ClassVar[tuple[str, ...]] = ("macs", "params", "nbytes", "us")
    ERRORS: ClassVar[tuple[str, ...]] = ("weight_error", "response_error")


@record(frozen=True, slots=True)
class Record:
    """`name` of the pass, `changed`, one line per change in `detail`, or per refusal (see `STAYS`).

    `max_change`: largest absolute change of an output it caused, None where not measured. `layers`:
    of a pass that decides layer by layer, what it decided for each.
    """

    name: str
    changed: bool = False
    detail: tuple[str, ...] = field(default_factory=tuple)
    max_change: float | None = None
    layers: tuple[LayerChange, ...] = field(default_factory=tuple)


def format_record(record: Record) -> str:
    """`name: what it did (largest output change, where measured)`."""
    what = "; ".join(record.detail) or ("done" if record.changed else "nothing to do")
    measured = record.changed and record.max_change is not None
    return f"{record.name}: {what}" + (
        f" (largest output change: {record.max_change:.3g})" if measured else ""
    )


LAYER_COLUMNS = (
    "layer",
    "MACs",
    "parameters",
    "bytes",
    "ms",
    "weight error",
    "response error",
    "decision",
    "reason",
)


def layer_table(layers: tuple[LayerChange, ...]) -> list[list[str]]:
    """A row of `LAYER_COLUMNS` for the heads, one per layer, and one of sums; columns without a
    figure are left out."""
    rows = [[*_figures(each), each.decision, each.reason] for each in layers]
    sums: dict[str, Any] = {key: _sum(layers, key) for key in LayerChange.PAIRS}
    total = LayerChange("in all", "", **sums)
    if len(layers) > 1:
        rows.append([*_figures(total), "", ""])
    columns = zip(LAYER_COLUMNS, *rows, strict=True)
    return [list(row) for row in zip(*(c for c in columns if any(c[1:])), strict=True)]


def _sum(layers: tuple[LayerChange, ...], key: str) -> tuple[float, float] | None:
    pairs = [getattr(each, key) for each in layers]
    if not pairs or None in pairs:
        return None
    return sum(before for before, _ in pairs), sum(after for _, after in pairs)


def _figures(each: LayerChange) -> Iterator[str]:
    yield each.layer
    for pair in (each.macs, each.params, each.nbytes):
        yield "" if pair is None else _change(*(f"{count:,}" for count in pair))
    yield "" if each.us is None else _change(*(f"{us / 1000:.3f}" for us in each.us))
    for error in (each.weight_error, each.response_error):
        yield "" if error is None else f"{error:.3g}"


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


@record
class OptimizeReport:
    """One Record per pass, in order; `recipe`: the passes asked for and their options, as TOML."""

    passes: list[Record] = field(default_factory=list)
    recipe: str = ""

    def __str__(self) -> str:
        return "\n".join(line for r in self.passes for line in (format_record(r), *_aligned(r)))


def _aligned(record: Record) -> Iterator[str]:
    rows = layer_table(record.layers) if record.layers else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  " + "  ".join(cells).rstrip()
