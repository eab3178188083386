"""autodiff on inner roles: their parts are made where a wanted part reads them, and once."""

from __future__ import annotations

import pytest

from graphc.autodiff import differentiate
from graphc.driver import prepare
from graphc.front import parse_net
from graphc.ir.graph import Graph, Node, Role
from graphc.ir.verify import verify

FEED = (
    'layer { name: "in" type: "Input" top: "x" top: "cont" '
    "input_param { shape { dim: 3 dim: 2 dim: 4 } shape { dim: 3 dim: 2 } } }\n"
)
LSTM_PARTS = ["dsums", "dx", "dW_xc", "db_c", "dW_hc"]
RNN_PARTS = ["dout_sums", "dsums", "dx", "dW_xh", "db_h", "dW_ho", "db_o", "dW_hh"]


def recurrent(type_: str, name: str, bottom: str, learned: str = "") -> str:
    """`learned`: one digit per blob, 0 where it is frozen."""
    params = " ".join(f"param {{ lr_mult: {digit} }}" for digit in learned)
    return (
        f'layer {{ name: "{name}" type: "{type_}" bottom: "{bottom}" bottom: "cont" '
        f'top: "{name}" {params} recurrent_param {{ num_output: 5 }} }}\n'
    )


def differentiated(text: str, *, inputs: bool = True) -> Graph:
    graph = differentiate(prepare(parse_net(FEED + text)), inputs=inputs)
    verify(graph, 2)
    return graph


def gradient_nodes(graph: Graph, layer: str) -> list[Node]:
    return [n for n in graph.nodes if n.role is Role.GRAD and n.of is graph.node(layer)]


def parts(graph: Graph, layer: str = "r") -> list[str]:
    return [node.part for node in gradient_nodes(graph, layer)]


@pytest.mark.parametrize(("type_", "expected"), [("LSTM", LSTM_PARTS), ("RNN", RNN_PARTS)])
def test_every_part_is_made_once(type_: str, expected: list[str]) -> None:
    graph = differentiated(recurrent(type_, "r", "x"))
    assert sorted(parts(graph)) == sorted(expected)
    makers = {n.outs["dsums"] for n in gradient_nodes(graph, "r") if "dsums" in n.outs}
    readers = {n.ins["dsums"] for n in gradient_nodes(graph, "r") if "dsums" in n.ins}
    assert len(makers) == 1 and makers == readers


@pytest.mark.parametrize(
    ("type_", "learned", "expected"),
    [
        ("LSTM", "000", []),
        ("LSTM", "010", ["dsums", "db_c"]),
        ("RNN", "00010", ["dout_sums", "dW_ho"]),
        ("RNN", "01000", ["dout_sums", "dsums", "db_h"]),
        ("RNN", "00101", ["dout_sums", "db_o", "dsums", "dW_hh"]),
    ],
)
def test_only_what_a_wanted_part_reads_is_made(
    type_: str, learned: str, expected: list[str]
) -> None:
    graph = differentiated(recurrent(type_, "r", "x", learned), inputs=False)
    assert parts(graph) == expected


def test_the_forward_keeps_nothing_for_an_inner_role() -> None:
    graph = differentiated(recurrent("RNN", "r", "x", "00001"), inputs=False)
    assert tuple(graph.node("r").outs) == ("y",)  # db_o needs no aux value
    assert not any("sums" in name for name in graph.grads)


def test_each_layer_has_its_own() -> None:
    graph = differentiated(recurrent("LSTM", "r", "x") + recurrent("LSTM", "q", "r"))
    assert parts(graph, "r").count("dsums") == parts(graph, "q").count("dsums") == 1
    for layer in ("r", "q"):
        names = {n.ins["dsums"].name for n in gradient_nodes(graph, layer) if "dsums" in n.ins}
        assert names == {f"d({layer}:sums)@{layer}.dsums"}
