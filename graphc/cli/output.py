"""How the command line speaks: one JSON object, or tables on stdout; remarks on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click


def emit_json(value: Any) -> None:
    """Print one JSON object on stdout; non-finite numbers become strings, which JSON has not."""
    click.echo(json.dumps(_finite(value), indent=2))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


def note(text: str) -> None:
    """A remark for the person at the terminal; stderr, so that stdout stays machine-readable."""
    click.echo(text, err=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: str = "") -> None:
    """Print an aligned table; the columns named in `right` (comma separated) are flush right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    flush = set(right.split(","))
    grid = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        grid.add_column(
            column, justify="right" if column in flush else "left", overflow="fold", no_wrap=False
        )
    for row in rows:
        grid.add_row(*[Text(str(cell)) for cell in row])
    # off a terminal nothing may be folded: the reader is a program or a pager
    width = None if sys.stdout.isatty() else 400
    Console(width=width, highlight=False, soft_wrap=False).print(grid)


def shape_text(shape: Sequence[int]) -> str:
    """1x3x227x227; a scalar is `scalar`."""
    return "x".join(map(str, shape)) if shape else "scalar"
