"""Curves: a training run as one HTML page that needs nothing else, neither files nor network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

import numpy as np

from graphc.files import write_file
from graphc.report._page import SCRIPT, STYLE
from graphc.report.chart import COLOURS, Line, draw
from graphc.report.history import F64, History, Series
from graphc.report.smoothed import Smoothed
from graphc.report.text import duration_text, number_text, rate_text

CHARTS = 12  # of test outputs; a thousand would make no page to look at


def write(
    path: str | Path,
    history: History,
    *,
    title: str,
    settings: Mapping[str, object],
    figures: Mapping[str, object],
) -> None:
    """Write the page, all or nothing. Raises GC-F002."""
    write_file(path, page(history, title=title, settings=settings, figures=figures))


def page(
    history: History,
    *,
    title: str,
    settings: Mapping[str, object],
    figures: Mapping[str, object],
) -> str:
    """Loss (each iteration's faint, the smoothed one strong), outputs of the test nets, learning
    rate; `settings`: the solver's; `figures`: more to tell beside the final ones."""
    history.end_test()
    charted = list(_charts(history))
    iters = [line.iters for _, lines in charted for line in lines]
    span = (float(min(i[0] for i in iters)), float(max(i[-1] for i in iters))) if iters else (0, 1)
    drawn = [draw(name, lines, span) for name, lines in charted]
    told = json.dumps([data for _, data in drawn], separators=(",", ":")).replace("<", "\\u003c")
    charts = "".join(figure for figure, _ in drawn) or "<p>No iteration was made.</p>"
    left = max(0, len(history.tests) - CHARTS)
    more = f"<p>{left:,} more test outputs are not drawn.</p>" if left else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{_text(title)}</h1>{charts}{more}"
        f"<section>{_table('Result', _figures(history) | dict(figures))}"
        f"{_tests(history)}{_table('Solver', settings)}</section>"
        f'<script type="application/json" id="data">{told}</script>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _charts(history: History) -> Iterator[tuple[str, list[Line]]]:
    iters, loss = history.loss.arrays()
    if iters.size:
        lines = [Line("each iteration", iters, loss, faint=True)]
        smooth, span = smoothed(loss)
        if span > 1:
            lines.append(Line(f"smoothed over {span:,}", iters, smooth, derived=True))
        else:
            lines[0].faint = False
        yield "Training loss", lines
    for name, nets in list(history.tests.items())[:CHARTS]:
        yield (
            f"Test: {name}",
            [
                Line(f"test net {net}", *series.arrays(), colour=(net + 1) % COLOURS)
                for net, series in sorted(nets.items())
            ],
        )
    iters, rate = history.rate.arrays()
    if iters.size:
        yield "Learning rate", [Line("rate", iters, rate, colour=COLOURS - 1)]


def smoothed(values: F64) -> tuple[F64, int]:
    """An exponential mean of what is finite, NaN where the value is not, and its span: a fiftieth
    of the run, 1,000 at the most."""
    span = max(1, min(len(values) // 50, 1000))
    mean = Smoothed(span)
    smooth = np.fromiter(map(mean.add, values.tolist()), np.float64, len(values))
    return np.where(np.isfinite(values), smooth, np.nan), span


def _figures(history: History) -> dict[str, object]:
    """What the run came to."""
    iters, loss = history.loss.arrays()
    if not iters.size:
        return {}
    figures: dict[str, object] = {
        "iterations": f"{int(iters[0]):,} to {int(iters[-1]):,}",
        "last loss": number_text(float(loss[-1])),
        "smoothed loss": number_text(float(smoothed(loss)[0][-1])),
    }
    if history.seconds > 0:
        figures["time in iterations"] = duration_text(history.seconds)
        if history.images:
            figures["speed"] = f"{rate_text(history.images / history.seconds)} images/s"
    return figures


def _tests(history: History) -> str:
    rows = [
        (name if len(nets) == 1 else f"{name}, net {net}", *_extremes(series))
        for name, nets in history.tests.items()
        for net, series in sorted(nets.items())
    ]
    if not rows:
        return ""
    cells = "".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    head = "".join(f"<th>{name}</th>" for name in ("output", "last", "lowest", "highest"))
    return f"<table><caption>Tests</caption><tr>{head}</tr>{cells}</table>"


def _extremes(series: Series) -> tuple[str, str, str]:
    """Last, lowest and highest value, the latter two with their iterations."""
    iters, values = series.arrays()
    last, finite = number_text(float(values[-1])), np.isfinite(values)
    if not finite.any():
        return last, "", ""
    low = int(np.argmin(np.where(finite, values, math.inf)))
    high = int(np.argmax(np.where(finite, values, -math.inf)))
    found = [f"{number_text(float(values[at]))} (iter {int(iters[at]):,})" for at in (low, high)]
    return last, found[0], found[1]


def _table(caption: str, rows: Mapping[str, object]) -> str:
    cells = "".join(
        f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows.items()
    )
    return f"<table><caption>{caption}</caption>{cells}</table>" if rows else ""


def _text(value: object) -> str:
    return escape(str(value))


__all__ = ["page", "smoothed", "write"]
