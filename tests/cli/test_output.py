"""Tables, sizes, plain text, JSON."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

import pytest

from graphc.cli.output import emit_json, plain, shape_text, size_text, table

ROWS: list[tuple[object, ...]] = [
    ("conv1", "a long remark about this layer, with many words", 12),
    ("ip", "-", 3_456),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(stream: io.StringIO) -> list[str]:
    with redirect_stdout(stream):
        table(("name", "remark", "MACs"), ROWS, right="MACs")
    return stream.getvalue().splitlines()


def test_off_a_terminal_rows_are_lines():
    assert printed(io.StringIO()) == [
        "name   remark                                           MACs",
        "conv1  a long remark about this layer, with many words    12",
        "ip     -                                                3456",
    ]


def test_on_a_terminal_cells_wrap(monkeypatch):
    monkeypatch.setenv("COLUMNS", "36")
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed(Terminal()) == [
        "name   remark                   MACs",
        "conv1  a long remark about        12",
        "       this layer, with many",
        "       words",
        "ip     -                        3456",
    ]
    monkeypatch.delenv("NO_COLOR")
    assert printed(Terminal())[0].startswith("\x1b[1mname")


def test_a_very_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "3")
    assert max(map(len, printed(Terminal())[1:])) <= 5 + 12 + 4 + 4


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (27_200, "26.6 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 50, "3072.0 TiB"),
    ],
)
def test_sizes(count, text):
    assert size_text(count) == text


def test_shapes():
    assert (shape_text((1, 3, 8)), shape_text(())) == ("1x3x8", "scalar")


def test_plain():
    assert plain("caf\u00e9 \u732b") == "caf\u00e9 \u732b"
    assert plain("a\x1b[1m\r\nb\udcff") == "a\\x1b[1m\\r\nb\\udcff"


def test_json_has_no_nan(capsys):
    emit_json({"a": [float("nan"), (1.5, float("-inf"))], 3: None})
    assert json.loads(capsys.readouterr().out) == {"a": ["nan", [1.5, "-inf"]], "3": None}
