"""The text form of a graph that is trained: update nodes, what they keep and what changes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

import pytest
from ir.test_text import node_facts, value_facts
from texts import conv, fc, feed, graph, layer, softmax_loss

import graphc.ops.update as package
from graphc.errors import GraphError
from graphc.ir.clone import clone
from graphc.ir.graph import Graph, Role
from graphc.ir.text import parse_graph, print_graph
from graphc.ir.verify import verify
from graphc.lower.model import lower
from graphc.ops.registry import find
from graphc.ops.update.base import SolverOp
from graphc.ops.update.registry import RULES, UPDATES, find_rule, find_update
from graphc.train.build import training_graph
from graphc.train.settings import Settings


def trained(**how: Any) -> Graph:
    net = graph(
        feed(data=(2, 3, 6, 5), label=(2,)),
        conv("data", "c", 4, more="param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }"),
        layer("ReLU", "c", "c", name="r"),
        fc("c", "f", 5),
        softmax_loss("f"),
        phase="TRAIN",
    )
    return training_graph(net, Settings(**how))


def there_and_back(made: Graph) -> Graph:
    text = print_graph(made)
    again = parse_graph(text, find, updates=find_update)
    assert print_graph(again) == text
    return again


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("more", [{}, {"iter_size": 3, "clip_gradients": 2.5}], ids=["", "all"])
def test_every_fact_survives(rule: str, more: dict[str, Any]) -> None:
    made = trained(rule=find_rule(rule), **more)
    assert {node.op for node in made.nodes} > {find_rule(rule)}
    again = there_and_back(made)
    assert [node_facts(n) for n in again.nodes] == [node_facts(n) for n in made.nodes]
    for table in ("seeds", "grads", "step_params"):
        tables = (getattr(each, table) for each in (again, made))
        ours, theirs = ({name: value_facts(v) for name, v in t.items()} for t in tables)
        assert ours == theirs
    again.weights = made.weights
    verify(again, 2)
    assert lower(again) == lower(made)


def test_links_are_the_same_objects() -> None:
    again = there_and_back(trained(iter_size=2))
    updates = [node for node in again.nodes if node.role is Role.UPDATE and "w" in node.params]
    c = again.node("c")
    assert updates[0].params["w"] is c.params["weight"]
    (summed,) = (n for n in again.nodes if n.params.get("sum") is updates[0].params["dw0"])
    assert summed.ins["dw0"] is again.grads["c:weight"]
    assert {n.ins["rate"] for n in updates} == {again.step_params["rate"]}


def test_a_copy_is_printed_alike() -> None:
    made = trained(clip_gradients=1.0)
    assert print_graph(clone(made)) == print_graph(made)


def test_every_update_is_in_the_table() -> None:
    found = set()
    for module in pkgutil.iter_modules(package.__path__):
        members = vars(importlib.import_module(f"{package.__name__}.{module.name}")).values()
        found |= {m for m in members if inspect.isclass(m) and issubclass(m, SolverOp) and m.type}
    assert {op.type: op for op in found} == {name: find_update(name) for name in UPDATES}


HEAD = 'graphc 1\nnet "n" phase=TRAIN\nfree rate f32[]\n'


@pytest.mark.parametrize(
    ("text", "code", "line", "word"),
    [
        (HEAD + 'update "u" Adamm', "GC-N001", 4, "unknown type of update node 'Adamm'"),
        (HEAD + 'update "u" ReLU', "GC-N001", 4, "unknown type of update node 'ReLU'"),
        (HEAD + 'layer "u" SGD', "GC-N001", 4, "unknown layer type 'SGD'"),
        (HEAD + 'update "u" SGD\n  attr speed=1.0', "GC-V002", 5, "speed"),
        (HEAD + "step rate rate\nstep rate rate", "GC-V002", 5, "stands there twice"),
        (HEAD + "step rate pace", "GC-V002", 4, "not stated before"),
        (HEAD + 'update "u" SGD\n  param h "h" f32[2] kind=PAST', "GC-V002", 5, "HISTORY"),
    ],
)
def test_what_is_wrong(text: str, code: str, line: int, word: str) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        parse_graph(text, find, updates=find_update, file="g.txt")
    assert caught.value.code == code and f"g.txt:{line}:" in str(caught.value)


def test_the_rule_that_was_meant_is_told() -> None:
    with pytest.raises(GraphError, match="AdaGrad"):
        find_update("Adagrad")


def test_where_nobody_expects_updates() -> None:
    text = print_graph(trained())
    with pytest.raises(GraphError, match=r"GC-V002: an update node \(SGD\)"):
        parse_graph(text, find)
