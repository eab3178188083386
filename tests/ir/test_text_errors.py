"""Text that is no graph: GC-V002 with the line, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from fuzz.mutations import mutate_text
from ir.odd_layer import Odd
from small_graphs import small_graph

from graphc.autodiff import differentiate
from graphc.errors import GraphError
from graphc.ir.text import parse_graph, print_graph
from graphc.limits import Limits
from graphc.ops.registry import find

HEAD = 'graphc 1\nnet "n"\n'
ODD = HEAD + 'layer "n" "Odd type"\n'
BAD = {
    "": "ends before",
    "\n\nhello": "begin with",
    'graphc 2\nnet "n"': "version 2",
    "graphc 1\nlayer x Odd": "expected 'net'",
    HEAD + 'layer "n" Odd': "unknown",
    HEAD + "  top y x f32[1]": "means nothing here",
    HEAD + 'output "x"': "not stated before",
    HEAD + "free x f32[1]\nfree x f32[1]": "stated twice",
    HEAD + "free x f32[-1]": "out of range",
    HEAD + "free x f32[1": "end of the line",
    HEAD + "free x f64[1]": "f64",
    HEAD + "free x f32[1] lr_mult=2.0": "no parameter",
    HEAD + "free x f32[1.5]": "an integer",
    HEAD + 'free x kind=PARAM view_of="y"': "view_of='y'",
    HEAD + 'seed "a" "b"': "not stated before",
    ODD + "  attr count=1.5": "type int",
    ODD + "  attr count=99999999999999999999999999": "too large",
    ODD + "  attr ratio=1e999": "too large",
    ODD + "  attr ratio=1.2.3": "no number",
    ODD + "  attr flag=1": "type bool",
    ODD + "  attr mode=MIN": "one of",
    ODD + '  attr mode="MIN"': "one of",
    ODD + '  attr text="a': "unexpected",
    ODD + r'  attr text="\x"': "no string",
    ODD + "  attr pair=(1)": "1 values, expected 2",
    ODD + '  attr pair=(1, "a", 2)': "expected 2 values",
    ODD + "  attr inner=Outer(a=1)": "Inner",
    ODD + "  attr inner=Inner(c=1)": "no field 'c'",
    ODD + "  attr inner=Inner(a=1, a=2)": "there twice",
    ODD + "  attr countt=1": "did you mean 'count'",
    ODD + "  attr count=1\n  attr count=1": "there twice",
    ODD + "  attr count=1 2": "expected the end",
    ODD + "  attr count": "expected '='",
    ODD + "  attr nested=" + "(" * 100_000: "type int",
    ODD + "  in x y": "not stated before",
    ODD + "  top y y f32[1]\n  aux y z f32[1]": "there twice",
    ODD + "  top y y f32[1]\n  loss y": "ends too early",
    ODD + "  propagate true": "expected '('",
    HEAD + 'grad "n" "Odd type" of=0 part="dx"': "0 layers stand before",
    HEAD + 'layer "n" "Odd type" phase=NEVER': "one of",
    HEAD + 'layer "n" "Odd type" colour=3': "colour",
}


@pytest.mark.parametrize("text", BAD)
def test_errors(text: str) -> None:
    with pytest.raises(GraphError, match=BAD[text].replace("(", r"\(")) as caught:
        parse_graph(text, lambda n: Odd if n == Odd.type else find(n), file="g.txt")
    assert caught.value.code in ("GC-V002", "GC-S001", "GC-N001")
    assert caught.value.loc is not None and caught.value.loc.file == "g.txt"


def test_the_line_is_named() -> None:
    with pytest.raises(GraphError) as caught:
        parse_graph(ODD + "  attr count=1\n  attr flag=3\n", lambda n: Odd)
    assert str(caught.value.loc) == "graph.txt:5"


def test_missing_fields_are_told_at_the_header() -> None:
    @dataclass(frozen=True)
    class Needs:
        n: int

    class Needy(Odd):
        Attrs = Needs

    with pytest.raises(GraphError, match=r"graph\.txt:3: GC-V002") as caught:
        parse_graph(HEAD + "layer a Needy\n\n\n# end", lambda n: Needy)
    assert "Needs" in caught.value.message


def test_limits() -> None:
    text = print_graph(small_graph())
    for limits in (Limits(text_bytes=100), Limits(text_tokens=50), Limits(layers=3)):
        with pytest.raises(GraphError, match="GC-L001"):
            parse_graph(text, find, limits=limits)


def test_mutated_text_gives_only_graph_errors() -> None:
    graph = small_graph()
    differentiate(graph)
    text = print_graph(graph)
    refused = 0
    for seed in range(400):
        try:
            parse_graph(mutate_text(text, np.random.default_rng(seed)), find)
        except GraphError as error:
            refused += 1
            assert str(error)
    assert refused > 100


def test_truncated_text_gives_only_graph_errors() -> None:
    text = print_graph(small_graph())
    for end in range(0, len(text), 7):
        try:
            parse_graph(text[:end], find)
        except GraphError as error:
            assert error.code in ("GC-V002", "GC-N001")
