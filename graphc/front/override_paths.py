"""The paths of overrides: field names with dots between, and brackets behind them."""

from __future__ import annotations

import re

from graphc.errors import fail
from graphc.records import record

NEW = "+"
"""What stands in the brackets of something that is to be made."""
_NAME = re.compile(r"\w{1,200}")
_MAX_PATH, _MAX_DEPTH = 10_000, 32


@record(frozen=True, slots=True)
class Step:
    """One field of a path, and what stands in brackets behind it (None: nothing)."""

    name: str
    key: str | None = None


def parse_path(path: str) -> list[Step]:
    """The steps of a path. Raises GC-R004."""
    if len(path) > _MAX_PATH:
        fail("GC-R004", f"a path of {len(path):,} characters")
    steps: list[Step] = []
    at = 0
    while True:
        match = _NAME.match(path, at)
        if match is None or len(steps) == _MAX_DEPTH:
            told = f"the path goes over {_MAX_DEPTH} fields deep" if match else "this is no path"
            fail("GC-R004", told, "write base_lr, or layer[conv1].convolution_param.num_output")
        at, key = match.end(), None
        if path[at : at + 1] == "[":
            key, at = _bracketed(path, at)
        steps.append(Step(match[0], key))
        if at == len(path):
            return steps
        if path[at] != ".":
            fail("GC-R004", f"{path[at]!r} is not expected in a path, after {path[:at][-40:]!r}")
        at += 1


def _bracketed(path: str, at: int) -> tuple[str, int]:
    """What stands in the brackets that open at `at`, others within included, and where they end."""
    depth = 0
    for end in range(at, len(path)):
        depth += {"[": 1, "]": -1}.get(path[end], 0)
        if not depth:
            if end == at + 1:
                break
            return path[at + 1 : end], end + 1
    fail("GC-R004", "brackets are empty or not closed", "write layer[conv1] or test_iter[0]")


def parse_set(text: str) -> tuple[str, str]:
    """Path and value of `path=value`; a `=` in brackets is none. Raises GC-R004."""
    depth = 0
    for at, char in enumerate(text):
        depth += {"[": 1, "]": -1}.get(char, 0)
        if char == "=" and depth <= 0:
            return text[:at].strip(), text[at + 1 :]
    told = f"--set {text[:80]!r} is not PATH=VALUE"
    fail("GC-R004", told, "write --set base_lr=0.1, or --set layer[conv1].type=ReLU")


__all__ = ["NEW", "Step", "parse_path", "parse_set"]
