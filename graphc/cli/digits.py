"""Small grey pictures in a terminal: two pixels, one above the other, are one character."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from graphc.report.text import can_show

UPPER, LOWER, FULL = "\u2580\u2584\u2588"
SHADES = " .:*#"
DARKEST, BRIGHTEST = 232, 255  # the terminal's 256 colours have these greys
INK = 0.4  # what is black, where there are no greys
MOST, GAP = 8, 2

Array = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]


def draw(images: Array, labels: Classes, predictions: Classes) -> Iterator[str]:
    """Lines that show two rows of pictures, (N, H, W) from 0 to 1, over what was predicted: such
    that were right, and below them those that were not. In greys on a terminal that has colours,
    else in black and white."""
    right = labels == predictions
    width = max(images.shape[2], len("0, is 0"))
    columns = (shutil.get_terminal_size((80, 24)).columns + GAP) // (width + GAP)
    fitting = max(1, min(MOST, columns))
    for chosen in (np.flatnonzero(right)[:fitting], np.flatnonzero(~right)[:fitting]):
        if not chosen.size:
            continue
        pictures = [list(_rows(images[index])) for index in chosen]
        for parts in zip(*pictures, strict=True):
            yield (" " * GAP).join(parts).rstrip(" ")
        told = (_caption(int(labels[i]), int(predictions[i])).center(width) for i in chosen)
        yield (" " * GAP).join(told).rstrip()


def _caption(label: int, predicted: int) -> str:
    return str(label) if label == predicted else f"{predicted}, is {label}"


def _rows(image: Array) -> Iterator[str]:
    """A line for each two rows of pixels."""
    for above, below in zip(image[::2], image[1::2], strict=True):
        pairs = zip(above.tolist(), below.tolist(), strict=True)
        if _has_colours():
            yield "".join(_grey(*pair) for pair in pairs) + "\x1b[0m"
        elif can_show(sys.stdout, UPPER):
            yield "".join(_half(*pair) for pair in pairs)
        else:
            yield "".join(SHADES[round((a + b) / 2 * (len(SHADES) - 1))] for a, b in pairs)


def _has_colours() -> bool:
    is_able = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return is_able and not os.environ.get("NO_COLOR") and can_show(sys.stdout, UPPER)


def _grey(above: float, below: float) -> str:
    front, back = (DARKEST + round(v * (BRIGHTEST - DARKEST)) for v in (above, below))
    return f"\x1b[38;5;{front}m\x1b[48;5;{back}m{UPPER}"


def _half(above: float, below: float) -> str:
    return (" ", LOWER, UPPER, FULL)[2 * (above > INK) + (below > INK)]


__all__ = ["draw"]
