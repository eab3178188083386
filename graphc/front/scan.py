"""Scan protobuf text before it is parsed: size, tokens, nesting and layers are counted first.

Knows comments, strings and brackets, and nothing of fields. One pass, no recursion.
"""

from __future__ import annotations

import re
from dataclasses import field

from graphc.errors import GraphError, Loc, fail
from graphc.limits import Limits
from graphc.records import record

MAX_WORD = 1_000  # characters of a name or number; longer ones only cost the parser time
MAX_GAP = 256  # characters of white space that the parser is given at once; it is slow on them
_TOKEN = re.compile(r"""#[^\n]*|["']|[{}<>\[\]]|[^\s{}<>\[\]#"':;,]+""")
_STRING = {quote: re.compile(rf"[{quote}\\\n]") for quote in "\"'"}
_SURROGATE = re.compile(r"u[dD][89a-fA-F]|U0000[dD][89a-fA-F]")
_OPEN, _CLOSE = frozenset("{<["), frozenset("}>]")


@record
class Scan:
    """`lines`: where each `layer { }` or `layers { }` block begins, from 1, in order of the text;
    blocks inside another layer block do not count. An escape in a string counts as a token.
    `gaps`: (start, end) of very long white space.
    """

    tokens: int = 0
    lines: list[int] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def condensed(self, text: str) -> str:
        """`text` with every gap shortened; each line keeps its number."""
        pieces, at = [], 0
        for start, end in self.gaps:
            pieces += [text[at:start], "\n" * text.count("\n", start, end) or " "]
            at = end
        return "".join((*pieces, text[at:])) if pieces else text


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
            start = len(text) if token is None else token.start()
            if start - at > MAX_GAP:
                found.gaps.append((at, start))
            if token is None:
                return found
            at, piece = token.end(), token.group()
            first = piece[0]
            if first == "#":
                continue
            found.tokens += 1
            if first in "\"'":
                at, escapes = _string_end(text, at, first)
                found.tokens += escapes
                word = ""
            elif first in _OPEN:
                inside_list = not word and first != "[" and names and names[-1].startswith("[")
                name, start = (names[-1][1:], start) if inside_list else (word, word_at)
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
                    fail("GC-P001", f"a word of {len(piece):,} characters")
            if found.tokens > limits.text_tokens:
                limits.check("text_tokens", found.tokens, "the number of tokens, so far,")
    except GraphError as error:
        raise error.at(loc=Loc(file, line + text.count("\n", counted_to, at))) from None


def _inside_layer(names: list[str]) -> bool:
    return any(name in ("layer", "layers") for name in names)


def _string_end(text: str, at: int, quote: str) -> tuple[int, int]:
    """Where the string that began before `at` ends (after its quote, or before the newline), and
    how many escapes it holds. Raises GC-P001 for an escape that is no character."""
    search, escapes = _STRING[quote].search, 0
    while True:
        stop = search(text, at)
        if stop is None:
            return len(text), escapes
        if stop.group() == quote:
            return stop.end(), escapes
        if stop.group() == "\n":
            return stop.start(), escapes
        escapes += 1
        if _SURROGATE.match(text, stop.end()):
            fail("GC-P001", f"{text[stop.start() : stop.end() + 5]} is half a surrogate pair")
        at = stop.end() + 1 if text[stop.end() : stop.end() + 1] != "\n" else stop.end()


__all__ = ["MAX_WORD", "Scan", "scan"]
