"""A line on stderr that says how far something has come."""

from __future__ import annotations

import sys
import time

import click

_ON_TERMINAL, _ELSEWHERE = 0.2, 10.0  # seconds between two lines


class Progress:
    """Call it with (done, total) as often as you like; it speaks now and then, if it takes long."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._on_terminal = sys.stderr.isatty()
        self._last = time.monotonic()
        self._has_spoken = False

    def __call__(self, done: int, total: int) -> None:
        is_end, now = done == total, time.monotonic()
        pause = _ON_TERMINAL if self._on_terminal else _ELSEWHERE
        if now - self._last < pause and not (is_end and self._has_spoken):
            return
        self._last, self._has_spoken = now, True
        text = f"{self.what}: {done:,} of {total:,}"
        if self._on_terminal:
            click.echo(f"\r{text}", err=True, nl=is_end)
        else:
            click.echo(text, err=True)


__all__ = ["Progress"]
