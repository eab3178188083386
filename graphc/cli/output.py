"""How the command line speaks: results on stdout, as text or one JSON object; remarks on stderr."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, TextIO

from graphc.report.text import count_text as count_text
from graphc.report.text import plain as plain
from graphc.report.text import size_text as size_text

GAP = "  "
NARROWEST = 12  # a column that wraps on a terminal keeps this many characters


def emit_json(value: Any) -> None:
    """Print one JSON object on stdout; non-finite numbers become strings, which JSON has not."""
    _print(json.dumps(_finite(value), indent=2))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


def say(text: str) -> None:
    """A result for the reader of stdout."""
    _print(plain(text))


def note(text: str) -> None:
    """A remark for the person at the terminal; stderr, so that stdout stays machine-readable."""
    _print(plain(text), sys.stderr)


def _print(text: str, stream: TextIO | None = None) -> None:
    """At once, so that stdout and stderr keep their order where they are one."""
    print(text, file=stream or sys.stdout, flush=True)


def note_budget(memory: int | None, host: int | None = None) -> None:
    """Remark that budgets, of the device and of the host, are more than this machine has."""
    from graphc.budget import physical_memory

    physical = physical_memory()
    for name, size in (("budget", memory), ("host pool", host)):
        if size is not None and physical is not None and size > physical:
            told = f"{size_text(size)} is more than the {size_text(physical)} of this machine"
            note(f"note: the {name} of {told}")


def strong(text: str) -> str:
    """`text` in bold where stdout is a terminal that wants it."""
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\x1b[1m{text}\x1b[0m" if wanted else text


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: str = "") -> None:
    """Print an aligned table; the columns named in `right` (comma separated) are flush right.

    On a terminal cells wrap, so that rows fit its width; for a pager or program every row is one
    line, however long.
    """
    cells = [list(columns), *([plain(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if sys.stdout.isatty():
        import shutil

        widths = _fitted(widths, shutil.get_terminal_size().columns)
    flush = [name in right.split(",") for name in columns]
    for index, row in enumerate(cells):
        wrapped = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in zip_longest(*wrapped, fillvalue=""):
            padded = (
                cell.rjust(width) if is_flush else cell.ljust(width)
                for cell, width, is_flush in zip(line, widths, flush, strict=True)
            )
            text = GAP.join(padded).rstrip()
            _print(text if index else strong(text))


def _fitted(widths: list[int], available: int) -> list[int]:
    """Widths made to fit by narrowing the widest columns, if that can be."""
    widths = list(widths)
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - available
    while excess > 0 and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
        excess -= 1
    return widths


def _wrapped(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    import textwrap

    return textwrap.wrap(cell, width, break_on_hyphens=False) or [""]


def shape_text(shape: Sequence[int]) -> str:
    """1x3x227x227; a scalar is `scalar`."""
    return "x".join(map(str, shape)) if shape else "scalar"
