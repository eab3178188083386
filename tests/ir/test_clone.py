"""A clone shares nothing that anybody can change."""

import numpy as np
from texts import conv, fc, feed, graph, layer, softmax_loss

from graphc.autodiff import differentiate
from graphc.ir.clone import clone, forward_part
from graphc.ir.graph import Role
from graphc.ir.text import print_graph
from graphc.ir.verify import verify

PERMISSIVE = 'param { name: "w" share_mode: PERMISSIVE } param { }'


def net():
    built = graph(
        feed(data=(2, 3, 5, 5), label=(2,), more=(2, 9)),
        conv("data", "c", 4),
        layer("BatchNorm", "c", "c", name="bn"),
        layer("ReLU", "c", "c", name="r", more="loss_weight: 0.5"),
        fc("c", "y", 3, 'param { name: "w" } param { }'),
        fc("more", "z", 12, PERMISSIVE),
        layer("Silence", "z"),
        softmax_loss("y"),
        phase="TRAIN",
    )
    assert built.params
    built.pending = {"p": [np.zeros(3)]}
    return built


def objects(graph):
    """Everything mutable that a graph consists of, by identity."""
    found = [graph, graph.nodes, graph.outputs, graph.weights, graph.pending, graph.history]
    found += [graph.notes, graph.seeds, graph.grads, *graph.weights.values()]
    found += [*graph.values(), *graph.seeds.values(), *graph.pending.values()]
    for node in graph.nodes:
        found += [node, node.ins, node.outs, node.params, node.loss, *node.ins.values()]
    return {id(each): each for each in found}


def test_nothing_is_shared():
    old = differentiate(net())
    new = clone(old)
    assert print_graph(new) == print_graph(old)
    assert not objects(old).keys() & objects(new).keys()
    verify(new, 2)
    for name, array in old.weights.items():
        np.testing.assert_array_equal(array, new.weights[name])


def test_changes_stay_in_the_copy():
    old = net()
    text = print_graph(old)
    new = clone(old)
    for node in new.nodes:
        node.loss.clear()
    for array in new.weights.values():
        array[...] = 1e9
    del new.nodes[3:]
    new.outputs.clear()
    assert print_graph(old) == text and old.params["c"][0].max() < 1e9


def test_views_stay_views():
    old = net()
    new = clone(old)
    a, b = (new.node(name).params["weight"] for name in ("y", "z"))
    assert b.view_of is a and a is not old.node("y").params["weight"]
    new.params["z"][0][...] = 4
    assert (new.params["y"][0] == 4).all() and not (old.params["y"][0] == 4).any()


def test_forward_part_of_a_differentiated_graph():
    plain = net()
    text = print_graph(plain)
    whole = differentiate(clone(plain))
    assert any(n.role is Role.GRAD for n in whole.nodes) and "aux" in print_graph(whole)
    part = forward_part(whole)
    assert print_graph(part) == text
    assert part.weights is whole.weights
    verify(part, 2)
    assert any(n.role is Role.GRAD for n in whole.nodes) and "aux" in print_graph(whole)
