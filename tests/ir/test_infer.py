"""Inference: repeated, with other shapes, refused halfway; parameters shared by name."""

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer

from graphc.errors import GraphError
from graphc.ir.clone import clone
from graphc.ir.graph import typed
from graphc.ir.infer import infer
from graphc.ir.op import Kind
from graphc.ir.text import print_graph
from graphc.ir.verify import verify

IMAGE = feed(data=(2, 3, 8, 8))
DATA = layer(
    "Data", "", "data label", 'data_param { source: "nowhere" batch_size: 4 backend: LMDB }'
)


def state(net):
    """All that inference may change."""
    weights = {name: (id(w), w.tobytes()) for name, w in net.weights.items()}
    return print_graph(net), weights, list(net.pending), net.pending_strict, list(net.notes)


def shapes(net):
    return {v.name: typed(v).shape for n in net.nodes for v in n.outs.values()}


def test_twice_changes_nothing():
    net = graph(
        IMAGE, conv("data", "c", 4), layer("BatchNorm", "c", "c", name="bn"), fc("c", "y", 5)
    )
    assert all(w.size for blobs in net.params.values() for w in blobs)
    before = state(net)
    infer(net)
    assert state(net) == before


def test_other_shapes_and_batch():
    net = graph(IMAGE, conv("data", "c", 4))
    infer(net, {"data": (5, 3, 10, 9)})
    assert shapes(net) == {"data": (5, 3, 10, 9), "c": (5, 4, 8, 7)}
    infer(net, batch=1)  # keeps the size that was given before
    assert shapes(net) == {"data": (1, 3, 10, 9), "c": (1, 4, 8, 7)}
    infer(net)
    assert shapes(net)["data"] == (1, 3, 10, 9)
    infer(net, {"data": (7, 3, 4, 4)}, batch=2)  # batch replaces axis 0 of what is given too
    assert shapes(net) == {"data": (2, 3, 4, 4), "c": (2, 4, 2, 2)}
    verify(net, 2)


def test_batch_of_a_scalar_input_stays_away():
    net = graph(feed(data=(2, 3), x=()))
    infer(net, batch=6)
    assert shapes(net) == {"data": (6, 3), "x": ()}


def test_numpy_integers_become_plain_ones():
    net = graph(IMAGE)
    infer(net, {"data": np.array([1, 3, 5, 5])}, batch=np.int64(2))
    assert shapes(net) == {"data": (2, 3, 5, 5)}
    assert all(type(d) is int for d in shapes(net)["data"])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"shapes": {"dta": (1, 3, 8, 8)}}, "GC-R002"),
        ({"shapes": {"c": (1, 3, 8, 8)}}, "GC-R002"),
        ({"shapes": {5: (1,)}}, "GC-R002"),
        ({"shapes": [("data", (1,))]}, "GC-R002"),
        ({"shapes": {"data": "1x3x8x8"}}, "GC-S001"),
        ({"shapes": {"data": 5}}, "GC-S001"),
        ({"shapes": {"data": None}}, "GC-S001"),
        ({"shapes": {"data": (1, 3, 8.0, 8)}}, "GC-S001"),
        ({"shapes": {"data": (1, 3, "8", 8)}}, "GC-S001"),
        ({"shapes": {"data": (1, 3, -8, 8)}}, "GC-S001"),
        ({"shapes": {"data": (1, 3, 1 << 31, 8)}}, "GC-S001"),
        ({"shapes": {"data": (1,) * 33}}, "GC-S001"),
        ({"shapes": {"data": (1, 3, 2, 2)}}, "GC-S002"),
        ({"shapes": {"data": (1, 3)}}, "GC-W001"),
        ({"shapes": {"data": (1, 4, 8, 8)}}, "GC-W001"),
        ({"shapes": {"data": (1, 3, 9, 9)}}, "GC-W001"),
        ({"shapes": {"data": (1 << 20, 3, 1 << 12, 1 << 12)}}, "GC-L001"),
        ({"batch": -1}, "GC-S001"),
        ({"batch": 2.5}, "GC-S001"),
        ({"batch": "4"}, "GC-S001"),
        ({"batch": 1 << 62}, "GC-S001"),
    ],
)
def test_refusals_leave_the_graph_as_it_was(given, code):
    net = graph(
        IMAGE,
        conv("data", "c", 4),
        layer("BatchNorm", "c", "c", name="bn"),
        fc("c", "y", 5, 'param { name: "w" lr_mult: 0 }'),
    )
    assert net.params
    before = state(net)
    with pytest.raises(GraphError) as caught:
        infer(net, **given)
    assert caught.value.code == code, caught.value
    assert state(net) == before
    verify(net, 2)


def test_refusal_keeps_carried_state():
    text = layer("LSTM", "x cont", "h", "recurrent_param { num_output: 2 }") + fc(
        "h", "y", 2, field="axis: 0"
    )
    net = graph(feed(x=(3, 2, 4), cont=(3, 2)), text)
    assert net.params
    carried = [v for v in net.param_values() if v.kind is Kind.CARRY]
    for value in carried:
        net.weight(value)[...] = 7
    with pytest.raises(GraphError, match="GC-W001"):
        infer(net, {"x": (3, 5, 4), "cont": (3, 5)})
    assert carried and all((net.weight(v) == 7).all() for v in carried)


def test_carried_state_starts_anew_for_another_number_of_streams():
    net = graph(
        feed(x=(3, 2, 4), cont=(3, 2)),
        layer("LSTM", "x cont", "h", "recurrent_param { num_output: 2 }"),
    )
    carried = [v for v in net.param_values() if v.kind is Kind.CARRY]
    for value in carried:
        net.weight(value)[...] = 7
    net.fill = None  # as in an opened artefact
    infer(net, {"x": (6, 2, 4), "cont": (6, 2)})
    assert all((net.weight(v) == 7).all() for v in carried)
    infer(net, {"x": (3, 5, 4), "cont": (3, 5)})
    assert all((net.weight(v) == 0).all() and net.weight(v).shape[1] == 5 for v in carried)


def test_sources_stay_closed_while_their_shapes_are_known():
    net = graph(DATA, conv("data", "c", 2))
    assert not net.shaped
    infer(net, {"data": (4, 1, 6, 6)}, sources=False)
    assert not net.shaped and shapes_known(net) == {"data": (4, 1, 6, 6)}
    with pytest.raises(GraphError, match="nowhere"):
        infer(net)
    infer(net, {"label": (4,)})
    infer(net)
    infer(net, batch=2)
    assert shapes(net) == {"data": (2, 1, 6, 6), "label": (2,), "c": (2, 2, 4, 4)}


def shapes_known(net):
    return {v.name: v.type.shape for n in net.nodes for v in n.outs.values() if v.type}


def test_no_source_is_opened_for_a_batch_at_loading():
    net = graph(DATA, fc("data", "y", 2))
    infer(net, batch=9, sources=False)
    assert not net.shaped and net.nodes[0].attrs.batch_size == 9


def test_missing_source_names_layer_and_path():
    with pytest.raises(GraphError) as caught:
        infer(graph(DATA))
    assert caught.value.layer == "data" and "nowhere" in str(caught.value)
    assert caught.value.exit_code == 7


SHARED = 'param { name: "w" } param { name: "b" }'


def test_layers_of_one_name_share_nothing_unless_told():
    net = graph(feed(data=(2, 3)), fc("data", "a", 3, name="x"), fc("a", "b", 3, name="x"))
    first, second = net.nodes[1:]
    assert [v.name for v in first.params.values()] == ["x:weight", "x:bias"]
    assert [v.name for v in second.params.values()] == ["x:weight#2", "x:bias#2"]
    assert list(net.params) == ["x"]
    assert not np.array_equal(*(net.weight(n.params["weight"]) for n in (first, second)))


def test_sharing_by_name():
    net = graph(feed(data=(2, 3)), fc("data", "a", 3, SHARED), fc("a", "b", 3, SHARED))
    a, b = net.nodes[1:]
    assert a.params["weight"] is b.params["weight"]
    net.params["a"][0][...] = 5
    assert (net.params["b"][0] == 5).all()


def test_permissive_sharing_is_a_view_of_another_shape():
    permissive = 'param { name: "w" share_mode: PERMISSIVE } param { lr_mult: 3 }'
    net = graph(
        feed(data=(2, 3), more=(2, 6)),
        fc("data", "a", 4, 'param { name: "w" }'),
        fc("more", "b", 2, permissive),
        fc("more", "c", 2, permissive),
    )
    a, b, c = (n.params["weight"] for n in net.nodes[1:])
    assert b.view_of is a and c.view_of is a and b.name != c.name
    net.params["b"][0][...] = np.arange(12).reshape(2, 6)
    np.testing.assert_array_equal(net.params["a"][0], np.arange(12).reshape(4, 3))
    names = [v.name for v in net.values()]
    infer(net, batch=7)
    assert [v.name for v in net.values()] == names
    verify(net, 2)


def test_weights_loaded_in_another_memory_order_are_still_shared():
    from graphc.ir.bind import bind

    permissive = 'param { name: "w" share_mode: PERMISSIVE } param { }'
    net = graph(
        feed(data=(2, 3), more=(2, 6)),
        fc("data", "a", 4, 'param { name: "w" }'),
        fc("more", "b", 2, permissive),
    )
    weight = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    bind(net, {"a": [weight, np.zeros(4)], "b": [np.zeros(2)]})
    net.params["b"][0][0, 0] = -1
    assert net.params["a"][0][0, 0] == -1


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ('param { name: "w" }', 'param { name: "w" } num', "shape"),
        ('param { name: "w" lr_mult: 1 }', 'param { name: "w" lr_mult: 2 }', "lr_mult 2.0 here"),
        ('param { name: "w" decay_mult: 0 }', 'param { name: "w" decay_mult: 1 }', "decay_mult"),
    ],
)
def test_disagreements(first, second, told):
    outputs = 4 if second.endswith("num") else 3
    with pytest.raises(GraphError, match="GC-N006") as caught:
        graph(
            feed(data=(2, 3)),
            fc("data", "a", 3, first),
            fc("a", "b", outputs, second.removesuffix("num")),
        )
    assert told in caught.value.message and caught.value.layer == "b"


def test_a_multiplier_given_once_wins_whoever_gives_it():
    net = graph(
        feed(data=(2, 3)),
        fc("data", "a", 3, 'param { name: "w" }'),
        fc("a", "b", 3, 'param { name: "w" lr_mult: 0 }'),
        fc("b", "c", 3, 'param { name: "w" decay_mult: 4 }'),
    )
    weight = net.nodes[1].params["weight"]
    assert (weight.lr_mult, weight.decay_mult) == (0.0, 4.0)
    infer(net)
    assert (weight.lr_mult, weight.decay_mult) == (0.0, 4.0)


def test_a_statistic_is_shared_with_no_weight():
    bn = layer("BatchNorm", "data", "n", 'param { name: "s" lr_mult: 0 decay_mult: 1 }')
    with pytest.raises(GraphError, match="GC-N006") as caught:
        graph(feed(data=(2, 3)), bn, layer("Scale", "n", "y", 'param { name: "s" }'))
    assert "a param of shape (3,) here, but a state of shape (3,)" in caught.value.message


def test_statistics_do_not_learn():
    with pytest.raises(GraphError, match="GC-N005"):
        graph(feed(data=(2, 3)), layer("BatchNorm", "data", "n", "param { lr_mult: 1 }"))


def test_parameter_and_blob_of_one_name():
    net = graph(feed(data=(2, 3)), layer("TanH", "data", "a:weight", name="t"), fc("data", "a", 2))
    assert [v.name for v in net.nodes[2].params.values()] == ["a:weight#2", "a:bias"]
    again = clone(net)
    infer(again, batch=3)
    assert [v.name for v in again.nodes[2].params.values()] == ["a:weight#2", "a:bias"]
    verify(again, 2)


def test_expanded_net_keeps_its_size():
    from graphc.driver import optimize

    net = graph(feed(data=(2, 3, 9, 9)), layer("SPP", "data", "y", "spp_param {pyramid_height: 2}"))
    expanded, _ = optimize(net, ())
    assert expanded.fixed_size and not net.fixed_size
    infer(expanded, {"data": (5, 3, 9, 9)})
    infer(expanded, batch=7)
    before = state(expanded)
    with pytest.raises(GraphError, match="GC-S002"):
        infer(expanded, {"data": (5, 3, 8, 9)})
    assert state(expanded) == before
    infer(net, {"data": (5, 3, 8, 9)})
