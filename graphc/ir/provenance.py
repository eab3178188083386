"""Record: what one pass did to a graph, kept with the graph and in the artefact."""

from __future__ import annotations

from dataclasses import field

from graphc.records import record

STAYS = " stays: "
"""Stands between the name of a layer that a pass left alone and the reason."""


@record(frozen=True, slots=True)
class Record:
    """`name` of the pass, `changed`, one line per change in `detail`, or per refusal (see `STAYS`).

    `max_change`: largest absolute change of an output it caused, None where not measured.
    """

    name: str
    changed: bool = False
    detail: tuple[str, ...] = field(default_factory=tuple)
    max_change: float | None = None


def format_record(record: Record) -> str:
    """`name: what it did (largest output change, where measured)`."""
    what = "; ".join(record.detail) or ("done" if record.changed else "nothing to do")
    measured = record.changed and record.max_change is not None
    return f"{record.name}: {what}" + (
        f" (largest output change: {record.max_change:.3g})" if measured else ""
    )


@record
class OptimizeReport:
    """One Record per pass, in order; `recipe`: the passes asked for and their options, as TOML."""

    passes: list[Record] = field(default_factory=list)
    recipe: str = ""

    def __str__(self) -> str:
        return "\n".join(format_record(r) for r in self.passes)
