"""Numbers and names as people read them."""

from __future__ import annotations

import math
from typing import TextIO


def plain(text: str) -> str:
    """`text` with control characters spelled out: names in a file must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _spelled(c) for c in text)


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def count_text(number: int, what: str) -> str:
    """1 thread, 2 threads."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def size_text(count: int) -> str:
    """Bytes with a binary unit: 812 B, 26.6 KiB, 4.8 MiB."""
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{count} B" if units[0] == "B" else f"{size:.1f} {units[0]}"


def duration_text(seconds: float) -> str:
    """0:42, 1:23:00, 3 d 4:00:00; of what is not finite `?`."""
    if not math.isfinite(seconds):
        return "?"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    clock = f"{hour}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"{days} d {clock}" if days else clock


def number_text(value: float) -> str:
    """Four digits: 0.231, 2.146, 1.2e-05, nan."""
    return f"{value:.4g}"


def rate_text(rate: float) -> str:
    """Three digits or more: 0.123, 12.3, 1,234."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def can_show(stream: TextIO, text: str) -> bool:
    """Has the stream's encoding these characters? One in memory has all."""
    try:
        text.encode(stream.encoding or "utf-8")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


__all__ = [
    "can_show",
    "count_text",
    "duration_text",
    "number_text",
    "plain",
    "rate_text",
    "size_text",
]
