"""Ways to damage a file: small, typical, and repeatable from a seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

Rng = np.random.Generator
EXTREMES = (
    "0 -1 1 2147483647 2147483648 4294967295 4611686018427387904 -9223372036854775808 1e308 "
    "-1e-308 nan inf 0.5 99999999999999999999 0x7f 1e10"
)
ODD_WORDS = (
    'true MAX AVE TRAIN TEST DEFAULT "" "x" "../../etc/passwd" "/dev/zero" "a\\000b" "\\377" '
    "'\u00e9' \u2603 { } [ ] : < > # , layer layers name type bottom top param blobs include "
    "shape dim input input_dim phase"
)
NUMBERS, WORDS = tuple(EXTREMES.split()), tuple(ODD_WORDS.split())
TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z_][\w]*|-?\d[\d.eE+-]*|[{}:]|#[^\n]*')
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
QUOTED = re.compile(r'"[^"\n]*"')


def choose(rng: Rng, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _replace(pattern: re.Pattern[str], text: str, rng: Rng, new: Callable[[str], str]) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text
    hit = found[int(rng.integers(len(found)))]
    return text[: hit.start()] + new(hit.group()) + text[hit.end() :]


def number(text: str, rng: Rng) -> str:
    return _replace(NUMBER, text, rng, lambda _: choose(rng, NUMBERS))


def string(text: str, rng: Rng) -> str:
    """Put one quoted string in the place of another: wrong types, cycles, doubled names."""
    others = QUOTED.findall(text) or ['""']
    return _replace(QUOTED, text, rng, lambda _: choose(rng, others))


def word(text: str, rng: Rng) -> str:
    return _replace(TOKEN, text, rng, lambda _: choose(rng, WORDS))


def insert(text: str, rng: Rng) -> str:
    at = int(rng.integers(len(text) + 1))
    return f"{text[:at]} {choose(rng, WORDS + NUMBERS)} {text[at:]}"


def drop_token(text: str, rng: Rng) -> str:
    return _replace(TOKEN, text, rng, lambda _: "")


def _lines(text: str, rng: Rng) -> tuple[list[str], int, int]:
    lines = text.splitlines(keepends=True) or [""]
    start = int(rng.integers(len(lines)))
    return lines, start, min(len(lines), start + 1 + int(rng.integers(8)))


def drop_lines(text: str, rng: Rng) -> str:
    lines, start, stop = _lines(text, rng)
    return "".join(lines[:start] + lines[stop:])


def repeat_lines(text: str, rng: Rng) -> str:
    lines, start, stop = _lines(text, rng)
    times = int(rng.choice([2, 3, 40]))
    return "".join(lines[:start] + lines[start:stop] * times + lines[stop:])


def move_lines(text: str, rng: Rng) -> str:
    lines, start, stop = _lines(text, rng)
    rest, at = lines[:start] + lines[stop:], int(rng.integers(len(lines)))
    return "".join(rest[:at] + lines[start:stop] + rest[at:])


def nest(text: str, rng: Rng) -> str:
    depth = int(rng.choice([2, 40, 3000]))
    at = int(rng.integers(len(text) + 1))
    return text[:at] + "layer { " * depth + text[at:] + " }" * depth


def cut(text: str, rng: Rng) -> str:
    return text[: int(rng.integers(len(text) + 1))]


TEXT = (number, string) * 3 + (word, insert) * 2
TEXT += (drop_token, drop_lines, repeat_lines, move_lines, nest, cut)


def mutate_text(text: str, rng: Rng) -> str:
    """One to four damages in a row."""
    for _ in range(int(rng.integers(1, 5))):
        text = TEXT[int(rng.integers(len(TEXT)))](text, rng)
    return text


def mutate_bytes(data: bytes, rng: Rng) -> bytes:
    """Flip, overwrite, cut, repeat or insert a few bytes."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        size = len(found)
        at = int(rng.integers(size + 1))
        length = int(rng.integers(1, 16))
        kind = int(rng.integers(6))
        if kind == 0 and size:
            found[min(at, size - 1)] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            found[at : at + length] = rng.bytes(length)
        elif kind == 2:
            found[at : at + length] = b"\xff" * length
        elif kind == 3:
            del found[at : at + length]
        elif kind == 4:
            found[at:at] = found[at : at + length] * int(rng.integers(1, 5))
        elif rng.random() < 0.3:
            del found[at:]
    return bytes(found)
