"""Sensitivity page: output errors by what is left of a layer, as one self-contained HTML file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from graphc.files import write_file
from graphc.report._page import SCRIPT, STYLE
from graphc.report.chart import COLOURS, Line, draw
from graphc.report.history import F64

Curves = Mapping[str, Mapping[str, Sequence[float]]]
"""By chart, then by layer: a value for each of the layer's strengths."""


def write(path: str | Path, strengths: Mapping[str, Sequence[float]], curves: Curves, *,
          title: str, option: str) -> None:  # fmt: skip
    """Write the page, all or nothing. Raises GC-F002."""
    write_file(path, page(strengths, curves, title=title, option=option))


def page(
    strengths: Mapping[str, Sequence[float]], curves: Curves, *, title: str, option: str
) -> str:
    """Charts of at most `COLOURS` layers each, over the strength in percent of the layer's largest
    that was tried; `option`: what the strength is called."""
    figures, told = [], []
    names = list(strengths)
    for what, values in curves.items():
        for start in range(0, len(names), COLOURS):
            lines = [
                Line(name, _percent(strengths[name]), np.array(values[name][::-1], float), at)
                for at, name in enumerate(names[start : start + COLOURS])
            ]
            figure, data = draw(f"{what} by {option}, % of the largest tried", lines, (0, 100))
            figures.append(figure)
            told.append(data)
    data_text = json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")
    heading = escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{STYLE}</style></head><body><h1>{heading}</h1>"
        f"{''.join(figures)}"
        f'<script type="application/json" id="data">{data_text}</script>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _percent(values: Sequence[float]) -> F64:
    """Rising, as charts are drawn; the mildest, largest, was first."""
    found = np.array(values[::-1], float)
    return np.asarray(found / found.max() * 100)


__all__ = ["page", "write"]
