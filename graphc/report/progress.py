"""Progress: tells a training run line by line, and on a terminal in one line that lives."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from graphc.report.memory import peak_rss
from graphc.report.smoothed import Smoothed
from graphc.report.text import (
    can_show,
    duration_text,
    number_text,
    plain,
    rate_text,
    size_text,
)
from graphc.train import events
from graphc.train.events import element_names

REDRAWN_S = 0.1
SPAN = 50
"""Seconds between two looks of the live line; iterations that its loss and speed are means of."""
FEW = 4  # numbers of one test that are printed
BAR = 12
GAP = "  "
CLEAR, FAINT, ORDINARY = "\r\x1b[2K", "\x1b[2m", "\x1b[0m"


class Progress:
    """A listener that prints what is displayed, tested and written, a line each.

    On a terminal a last line is redrawn with every tick: where the run is, its loss (the mean of
    the last ones), speed, what is left, memory. Elsewhere there are plain lines alone, without
    control characters. Everything goes to `stream`, stderr unless given.
    """

    def __init__(
        self,
        max_iter: int,
        *,
        start: int = 0,
        planned: int | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """The run goes from iteration `start` to `max_iter`; `planned`: bytes of memory planned."""
        self._stream = sys.stderr if stream is None else stream
        self._max, self._first, self._done = max_iter, start, start
        self._planned, self._clock, self._began = planned, clock, math.nan
        self._loss, self._speed = Smoothed(SPAN), Smoothed(SPAN)
        self._last_loss, self._rate = math.nan, math.nan
        self._doing = self._head = self._loss_told = ""
        self._outputs = list[tuple[str, float]]()
        terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._lives, self._drawn = terminal, -math.inf
        self._colours = terminal and not os.environ.get("NO_COLOR")

    def __call__(self, event: events.Event) -> None:
        if math.isnan(self._began):  # not before: until then networks were compiled
            self._began = self._clock() - (event.seconds if isinstance(event, events.Tick) else 0.0)
        match event:
            case events.Tick():
                self._end_line()
                self._tick(event)
            case events.TestStart(iteration, net):
                self._begin_line(f"iter {iteration}/{self._max}  test {net}:")
                self._refresh(f"testing net {net}")
            case events.TrainLoss(iteration, loss):
                self._begin_line(f"iter {iteration}/{self._max}")
                self._loss_told = f"loss {number_text(loss)}"
            case events.TestOutput(_, name, value) | events.TrainOutput(_, name, value):
                self._outputs.append((name, value))
            case events.LearningRate(_, rate):
                self._end_line(f"lr {number_text(rate)}", *self._pace())
            case events.Snapshot(file):
                self._end_line()
                self.say(f"iter {self._done}/{self._max}  wrote {file}")
            case events.DebugInfo(stage, layer, blob, of, value):
                self._end_line()
                self.say(f"[{stage}] layer {layer}, {blob} {of}: {number_text(value)}")
            case events.SnapshotFailed(_, reason):
                self._end_line()
                self.say(f"iter {self._done}/{self._max}  no snapshot: {reason}")
            case events.TestBatch(batch, name, value):
                if self._head != f"batch {batch}":
                    self._begin_line(f"batch {batch}")
                self._outputs.append((name, value))
            case _:
                self._end_line()

    def say(self, text: str) -> None:
        """Print a line above the living one."""
        self._erase()
        self._stream.write(f"{plain(text)}\n")
        self._stream.flush()
        if self._drawn > -math.inf:
            self._draw()

    def close(self) -> None:
        """Print what is still to be said, and take the living line away."""
        self._end_line()
        self._erase()
        self._stream.flush()
        self._lives = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _tick(self, tick: events.Tick) -> None:
        self._done = tick.iter + 1
        self._last_loss, self._rate = tick.loss, tick.rate
        self._loss.add(tick.loss)
        if tick.images and tick.seconds > 0:
            self._speed.add(tick.seconds / tick.images)
        self._refresh()

    def _begin_line(self, head: str) -> None:
        self._end_line()
        self._head = head

    def _end_line(self, *more: str) -> None:
        """Print the line that was begun, with its outputs, and these."""
        if not self._head:
            return
        line = GAP.join(filter(None, (self._head, self._loss_told, *self._values(), *more)))
        self._head, self._loss_told, self._outputs = "", "", []
        self.say(line)

    def _values(self) -> list[str]:
        """The outputs; without a training net's only one, and one that is equal to its loss."""
        names = element_names([name for name, _ in self._outputs])
        told = [
            f"{name} {number_text(value)}"
            for name, (_, value) in zip(names, self._outputs, strict=True)
        ]
        if self._loss_told:
            told = [text for text in told if text != self._loss_told] if len(told) > 1 else []
        return told if len(told) <= FEW else [*told[:FEW], f"and {len(told) - FEW:,} more"]

    def _pace(self) -> tuple[str, str]:
        """Images per second, and how long it will take if it goes on so, tests included; or ""."""
        each, made = self._speed.mean, self._done - self._first
        speed = f"{rate_text(1 / each)} img/s" if each > 0 else ""
        if not made:
            return speed, ""
        left = (self._clock() - self._began) / made * (self._max - self._done)
        return speed, f"eta {duration_text(left)}"

    def _refresh(self, doing: str = "") -> None:
        """Redraw the living line, if it is time to, or something else is done now."""
        now = self._clock()
        if self._lives and (doing != self._doing or now - self._drawn >= REDRAWN_S):
            self._drawn, self._doing = now, doing
            self._draw()

    def _draw(self) -> None:
        self._stream.write(CLEAR + self._living_line(shutil.get_terminal_size().columns - 1))
        self._stream.flush()

    def _erase(self) -> None:
        if self._lives and self._drawn > -math.inf:
            self._stream.write(CLEAR)

    def _living_line(self, width: int) -> str:
        """Where the run is, in as many parts as fit; the ones wanted least go first."""
        loss = self._loss.mean if math.isfinite(self._last_loss) else self._last_loss
        share = min(1.0, self._done / self._max) if self._max else 1.0
        speed, left = self._pace()
        ticked = self._done > self._first
        parts = (
            (7, self._bar(share)),
            (0, f"iter {self._done:,}/{self._max:,}"),
            (-1, self._doing),
            (1, f"loss {number_text(loss)}" if ticked else ""),
            (4, f"lr {number_text(self._rate)}" if ticked else ""),
            (3, speed),
            (5, f"elapsed {duration_text(self._clock() - self._began)}"),
            (2, left),
            (6, self._memory()),
        )
        chosen = {rank: text for rank, text in parts if text}
        while len(chosen) > 1 and len(GAP.join(chosen.values())) > width:
            del chosen[max(chosen)]
        line = GAP.join(chosen.values())[: max(0, width)]
        return f"{FAINT}{line}{ORDINARY}" if self._colours else line

    def _bar(self, share: float) -> str:
        done, rest = ("\u2501", "\u2500") if can_show(self._stream, "\u2501\u2500") else ("#", "-")
        full = int(share * BAR)
        return f"{done * full}{rest * (BAR - full)} {share:4.0%}"

    def _memory(self) -> str:
        """What the plan says, and what the whole process took at the most."""
        used = peak_rss()
        told = [] if self._planned is None else [f"{size_text(self._planned)} planned"]
        told += [] if used is None else [f"{size_text(used)} used"]
        return f"memory {', '.join(told)}" if told else ""


__all__ = ["Progress"]
