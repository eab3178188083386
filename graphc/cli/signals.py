"""Requests: what signals ask a training run for: to stop, or to write a snapshot."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

Told = Callable[[str], None]


class Requests:
    """While entered, SIGINT and SIGTERM ask to stop after the iteration, SIGHUP for a snapshot, as
    Caffe's tool does; SIGINT once more interrupts at once. Called, it gives what was asked."""

    def __init__(self, told: Told) -> None:
        """`told`: says a line to whoever pressed Ctrl-C."""
        self._told = told
        self._asked = ""
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> str:
        asked = self._asked
        if asked == "snapshot":
            self._asked = ""
        return asked

    def __enter__(self) -> Requests:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # SIGHUP is not everywhere
            if number is not None:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number not in (signal.SIGINT, signal.SIGTERM):
            self._asked = self._asked or "snapshot"
            return
        if self._asked == "stop" and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = "stop"
        self._told("stopping after this iteration; once more to stop at once")


__all__ = ["Requests"]
