"""Scan protobuf text before it is parsed: size, tokens, nesting and layers are counted first.

Knows comments, strings and brackets, and nothing of fields. One pass, no recursion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from graphc.errors import GraphError, Loc
from graphc.limits import Limits

MAX_WORD = 1_000  # characters of a name or number; longer ones only cost the parser time
_TOKEN = re.compile(r"""#[^\n]*|["']|[{}<>\[\]]|[^\s{}<>\[\]#"':;,]+""")
_STRING = {quote: re.compile(rf"[{quote}\\\n]") for quote in "\"'"}
_OPEN, _CLOSE = frozenset("{<["), frozenset("}>]")


@dataclass
class Scan:
    """`lines`: where each `layer { }` or `layers { }` block begins, from 1, in order of the text.

    Blocks inside another layer block do not count.
    """

    tokens: int = 0
    lines: list[int] = field(default_factory=list)


def scan(text: str, limits: Limits, file: str) -> Scan:
    """Count what `text` holds. Raises GC-L001 beyond the limits, GC-P001 for an absurd word."""
    found = Scan()
    names: list[str] = []  # of the blocks around the current place
    word, word_at = "", 0
    line, counted_to = 1, 0
    at, match = 0, _TOKEN.match
    try:
        while True:
            token = match(text, at) or _TOKEN.search(text, at)
            if token is None:
                return found
            at, piece = token.end(), token.group()
            first = piece[0]
            if first == "#":
                continue
            found.tokens += 1
            if found.tokens > limits.text_tokens:
                limits.check("text_tokens", found.tokens, "the number of tokens, counted so far,")
            if first in "\"'":
                at, word = _string_end(text, at, first), ""
            elif first in _OPEN:
                inside_list = not word and first != "[" and names and names[-1].startswith("[")
                name, start = (names[-1][1:], token.start()) if inside_list else (word, word_at)
                if first != "[" and name in ("layer", "layers") and not _inside_layer(names):
                    line += text.count("\n", counted_to, start)
                    counted_to = start
                    found.lines.append(line)
                    limits.check("layers", len(found.lines), "the number of layers, so far,")
                names.append(f"[{name}" if first == "[" else name)
                limits.check("text_depth", len(names), "the nesting depth")
                word = ""
            elif first in _CLOSE:
                del names[-1:]
                word = ""
            else:
                word, word_at = piece, token.start()
                if len(piece) > MAX_WORD:
                    raise GraphError("GC-P001", f"a word of {len(piece):,} characters")
    except GraphError as error:
        raise error.at(loc=Loc(file, line + text.count("\n", counted_to, at))) from None


def _inside_layer(names: list[str]) -> bool:
    return any(name in ("layer", "layers") for name in names)


def _string_end(text: str, at: int, quote: str) -> int:
    """Where the string that began before `at` ends: after its quote, or before the newline."""
    search = _STRING[quote].search
    while True:
        stop = search(text, at)
        if stop is None:
            return len(text)
        if stop.group() == quote:
            return stop.end()
        if stop.group() == "\n":
            return stop.start()
        at = stop.end() + 1 if text[stop.end() : stop.end() + 1] != "\n" else stop.end()


__all__ = ["MAX_WORD", "Scan", "scan"]
