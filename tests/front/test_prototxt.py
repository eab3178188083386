"""Text: counted before it is parsed, errors with line, column and near names."""

from __future__ import annotations

from typing import Any

import pytest

from graphc.errors import GraphError
from graphc.front.prototxt import decode_text, parse
from graphc.front.scan import MAX_WORD, scan
from graphc.front.schema import union
from graphc.limits import Limits


def lines(text: str) -> list[int]:
    return scan(text, Limits(), "f").lines


def read(text: str, limits: Limits | None = None) -> Any:
    return parse(text, "NetParameter", union(), file="net.prototxt", limits=limits)[0]


def refused(text: str, limits: Limits | None = None) -> GraphError:
    with pytest.raises(GraphError) as error:
        read(text, limits)
    return error.value


def test_layers_and_lines() -> None:
    text = """name: "n" # layer {
layer { name: "a { \\" }" }
layer
{ name: 'b # no comment }' } layer: { }
layer < name: "c" >
layer [ { name: "d" },
  { name: "e" } ]
"""
    assert lines(text) == [2, 3, 4, 5, 6, 7]
    assert [layer.name for layer in read(text).layer] == [
        'a { " }',
        "b # no comment }",
        "",
        "c",
        "d",
        "e",
    ]


def test_layers_inside_layers_do_not_count() -> None:
    assert lines("layers { layer { name: 'x' } }\nlayers { layer { } }") == [1, 2]
    assert lines("net_param {\n layer { }\n layer { }\n}") == [2, 3]


def test_unfinished_string_ends_with_its_line() -> None:
    assert lines('layer { name: "a }\n}\nlayer { }') == [1, 3]
    assert lines('layer { name: "a\\\n}\nlayer { }') == [1, 3]
    assert lines('layer { name: "a') == [1]


def test_tokens_are_counted() -> None:
    assert scan('layer { name: "a b" dim: 3 } # x y z', Limits(), "f").tokens == 7


@pytest.mark.parametrize(
    ("text", "limits", "name"),
    [
        ("layer{}" * 11, Limits(layers=10), "layers"),
        ("name: 'x' " * 11, Limits(text_tokens=20), "text_tokens"),
        ("layer {" * 100_000, Limits(), "text_depth"),
        ("[" * 100_000, Limits(), "text_depth"),
        ("name: 'x'" * 10, Limits(text_bytes=50), "text_bytes"),
    ],
)
def test_limits(text: str, limits: Limits, name: str) -> None:
    error = refused(text, limits)
    assert error.code == "GC-L001" and name in error.message
    assert error.loc is not None and error.loc.file == "net.prototxt"


def test_a_million_layers_are_refused_before_parsing() -> None:
    message = refused("layer{}" * 1_000_001).message
    assert "is 100,001, over the limit layers" in message  # counting stopped there


def test_escapes_are_scanned_without_recursion() -> None:
    assert scan('name: "' + "\\a" * 100_000 + '"', Limits(), "f").tokens == 100_002


def test_long_white_space_costs_little() -> None:
    space = " " * 400_000 + "\n\t\n" + " " * 400_000
    text = f'layer {{ name: "a{" " * 300}b"{space}}}{space}layer {{ }}'
    assert len(scan(text, Limits(), "f").condensed(text)) < 400
    net = read(text)
    assert net.layer[0].name == f"a{' ' * 300}b"
    error = refused(f"layer {{ {space} nam: 3 }}")
    assert error.loc is not None and error.loc.line == 3


ERRORS: list[tuple[str, int, str, str]] = [
    ('layer {\n  nam: "x" }', 2, 'no field named "nam"', "'name'"),
    ("layer {\n\n include { phase: TESTT } }", 3, "TESTT", "'TEST'"),
    ("state { phase: VAL }", 1, "VAL", ""),
    ("layer { pooling_param { pool: MEAN } }", 1, "MEAN", "one of MAX, AVE, STOCHASTIC"),
    ("layer { convolution_param { num_output: -1 } }", 1, "-1", ""),
    ("layer { convolution_param { num_output: 4294967296 } }", 1, "4294967296", ""),
    ("layer {\n name: 'a'\n", 2, "Expected", ""),
    ("layer { } }", 1, "}", ""),
    ('layer { name: "a" name: "b" }', 1, "multiple", ""),
    ('layer { name: "\\377" }', 1, "utf-8", ""),
    ('layer { name: "\\ud800" }', 1, "surrogate", ""),
    ('layer {\n name: "\\U0000dFFf" }', 2, "surrogate", ""),
    ('layer { name: "\ud800" }', 0, "surrogate", ""),
    ("[a.b] { }", 1, "extensions", ""),
    ("layer { dropout_param { dropout_ratio: x } }", 1, "x", ""),
    ("\x00", 1, "Expected", ""),
    ("net: 'x.prototxt'", 1, "net", "solver"),
    ("layer { foo_bar_baz { } }", 1, "foo_bar_baz", "--ops"),
    (f"layer {{ name: {'x' * (MAX_WORD + 1)} }}", 1, "1,001 characters", ""),
]


@pytest.mark.parametrize(("text", "line", "message", "hint"), ERRORS)
def test_errors(text: str, line: int, message: str, hint: str) -> None:
    error = refused(text)
    assert error.code == "GC-P001"
    assert error.loc is not None and (error.loc.file, error.loc.line) == ("net.prototxt", line)
    assert message in error.message and hint in error.hint
    assert "caffe." not in error.message


def test_long_lines_are_not_repeated_in_messages() -> None:
    error = refused("layer { name: 'x' } " * 10_000 + "layer { top: 3 }")
    assert len(error.message) < 500


def test_encodings() -> None:
    assert decode_text(b"\xef\xbb\xbfname: 'x'") == "name: 'x'"
    assert decode_text(b"a\r\nb\r\n") == "a\nb\n"
    assert decode_text("né".encode()) == "né"
    assert decode_text(b"# caf\xe9") == "# caf\xe9"
    net = read(decode_text(b"\xef\xbb\xbf# caf\xe9\r\nname: 'x'\r\nlayer { }\r\n"))
    assert net.name == "x" and len(net.layer) == 1


def test_resnet_152(shared: Any) -> None:
    text = (shared / "zoo" / "resnet" / "ResNet-152-deploy.prototxt").read_text()
    assert len(read(text).layer) == len(lines(text)) == 670
