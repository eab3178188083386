"""remove_filters: what goes, by which criterion and budget, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from passes.before_after import close
from passes.removal_nets import FILLERS, filled
from texts import feed, layer

import graphc
from graphc.count import Counts, count
from graphc.errors import GraphError
from graphc.passes.recipe import parse_spec
from graphc.services import sample_inputs

IN = feed(data=(4, 3, 6, 6))


def conv(x: str, y: str, n: int, kernel: int = 3, more: str = "") -> str:
    told = f"num_output: {n} kernel_size: {kernel} pad: {kernel // 2} {FILLERS} {more}"
    return layer("Convolution", x, y, f"convolution_param {{ {told} }}")


def scores(x: str, y: str = "y", n: int = 3) -> str:
    return layer("InnerProduct", x, y, f"inner_product_param {{ num_output: {n} {FILLERS} }}")


def relu(x: str) -> str:
    return layer("ReLU", x, x, name=f"{x}/relu")


PLAIN = IN + conv("data", "a", 8) + relu("a") + conv("a", "b", 12) + relu("b") + scores("b")


def removed(graph: graphc.Graph, spec: str, **words: Any) -> tuple[graphc.Graph, Any]:
    less, report = graphc.optimize(graph, [parse_spec(spec)], measure=False, **words)
    return less, report.passes[-1]


def widths(graph: graphc.Graph) -> dict[str, int]:
    return {n.name: n.attrs.num_output for n in graph.nodes if hasattr(n.attrs, "num_output")}


def run(graph: graphc.Graph, target: str = "reference") -> dict[str, np.ndarray]:
    with graphc.compile(graph, target=target, passes=()) as exe:
        return exe.forward(sample_inputs(graph))


def total(graph: graphc.Graph) -> Counts:
    return sum((c for _, c in count(graph)), Counts())


def refused(graph: graphc.Graph, spec: str, *told: str, **words: Any) -> str:
    """The message of the error that a pass raises; the graph is as it was."""
    before = {name: array.copy() for name, array in graph.weights.items()}
    with pytest.raises(GraphError) as error:
        removed(graph, spec, **words)
    message = str(error.value)
    assert all(each in message for each in told), message
    assert all(np.array_equal(graph.weights[n], a, equal_nan=True) for n, a in before.items())
    return message


@pytest.mark.parametrize("criterion", ["l1", "l2"])
def test_the_smallest_filters_go(criterion):
    net = filled(PLAIN, 1)
    sizes = np.abs(net.weights["a:weight"]).reshape(8, -1)
    norm = sizes.sum(1) if criterion == "l1" else np.square(sizes).sum(1)
    less, _ = removed(net, f"remove_filters:criterion={criterion},ratio=0.5,layers=a")
    left = np.sort(np.argsort(norm)[4:])
    assert np.array_equal(less.weights["a:weight"], net.weights["a:weight"][left])
    assert np.array_equal(less.weights["b:weight"], net.weights["b:weight"][:, left])
    assert widths(less) == {"a": 4, "b": 12, "y": 3}


def test_filters_near_the_median_go_by_fpgm():
    net = filled(PLAIN, 2)
    rows = net.weights["a:weight"].reshape(8, -1)
    far = np.linalg.norm(rows[:, None] - rows, axis=2).sum(1)
    less, _ = removed(net, "remove_filters:criterion=fpgm,ratio=0.25,layers=a")
    assert np.array_equal(less.weights["a:weight"], np.delete(net.weights["a:weight"],
                          np.argsort(far)[:2], 0))  # fmt: skip


def test_factors_of_batch_norm_and_gates():
    scale = layer("BatchNorm", "a", "a", name="bn") + layer(
        "Scale", "a", "a", "scale_param { bias_term: true }", name="scale"
    )
    for text, name, spec in (
        (scale, "scale:weight", "bn_scale"),
        (layer("Gate", "a", "a", name="gate"), "gate:weight", "gate"),
    ):
        net = filled(IN + conv("data", "a", 8) + text + relu("a") + scores("a"), 3)
        net.weights[name][...] = [5, -6, 7, 0.1, 8, 9, -0.2, 10]
        less, _ = removed(net, f"remove_filters:criterion={spec},ratio=0.25")
        assert np.array_equal(less.weights[name], np.float32([5, -6, 7, 8, 9, 10]))
        refused(filled(PLAIN, 1), f"remove_filters:criterion={spec},ratio=0.25", "no layer")


def test_taylor_is_the_change_of_the_loss():
    """What the loss changes by when a gate closes a little is what the score says."""
    from graphc.channels import channel_groups, filters
    from graphc.driver import assemble
    from graphc.passes._importance import Importance
    from graphc.services import Services

    text = IN + feed(label=(4,)).replace('"in"', '"in2"') + conv("data", "a", 5)
    text += layer("Gate", "a", "a", name="gate") + relu("a") + scores("a")
    text += layer("SoftmaxWithLoss", "y label", "loss")
    net = filled(text, 4)
    feeds = {"data": sample_inputs(net)["data"], "label": np.float32([0, 1, 2, 1])}
    channels = channel_groups(net)
    found = Importance(net, channels, Services(assemble, calibration=feeds)).of("taylor")

    def loss(at: int, by: float) -> float:
        net.weights["gate:weight"][at] += by
        with graphc.compile(net, target="reference", passes=()) as exe:
            value = float(exe.forward(feeds)["loss"])
        net.weights["gate:weight"][at] -= by
        return value

    gates = net.weights["gate:weight"].copy()
    for at, label in enumerate(filters(channels, "a")):
        slope = (loss(at, 1e-2) - loss(at, -1e-2)) / 2e-2
        assert found[label] == pytest.approx(abs(slope * gates[at]), rel=2e-2, abs=1e-4)


def test_taylor_of_a_deployed_net_takes_labels():
    net = filled(PLAIN + layer("Softmax", "y", "p"), 5)
    feeds = sample_inputs(net) | {"label": np.float32([0, 1, 2, 0])}
    less, _ = removed(net, "remove_filters:criterion=taylor,macs=0.5", calibration=feeds)
    assert total(less).macs <= 0.5 * total(net).macs
    spec = "remove_filters:criterion=taylor,macs=0.5"
    refused(net, spec, "needs calibration")
    refused(net, spec, "has no loss", calibration=sample_inputs(net))
    wrong = feeds | {"label": np.float32([0, 1])}
    refused(net, spec, "must hold 4 classes", calibration=wrong)
    shaped = feeds | {"data": np.zeros((4, 2, 6, 6), np.float32)}
    refused(net, spec, "data", calibration=shaped)


def test_scores_of_a_file(tmp_path):
    net = filled(PLAIN, 6)
    given = {"a": [3, 1, 2, 5, 6, 7, 8, 9], "b": list(range(12, 0, -1))}
    (tmp_path / "s.json").write_text(json.dumps(given))
    np.savez(tmp_path / "s.npz", **{name: np.array(row) for name, row in given.items()})
    for name in ("s.json", "s.npz"):
        spec = f"remove_filters:criterion=scores,scores={tmp_path / name},scope=local,ratio=0.25"
        less, _ = removed(net, spec)
        assert np.array_equal(less.weights["a:bias"], net.weights["a:bias"][[0, 3, 4, 5, 6, 7]])
        assert np.array_equal(less.weights["b:bias"], net.weights["b:bias"][:9])


@pytest.mark.parametrize("budget", ["macs", "params", "bytes", "filters"])
@pytest.mark.parametrize("scope", ["global", "local"])
def test_budgets_are_met_and_not_by_much_more(budget, scope):
    net = filled(PLAIN, 7)
    less, record = removed(net, f"remove_filters:scope={scope},{budget}=0.5")
    before, after = total(net), total(less)
    shares = {
        "macs": after.macs / before.macs,
        "params": after.params / before.params,
        "bytes": after.params / before.params,
        "filters": sum(widths(less).values()) / sum(widths(net).values()),
    }
    assert 0.38 <= shares[budget] <= 0.5
    assert sum(row.macs[1] for row in record.layers) == 4 * after.macs
    assert sum(row.params[1] for row in record.layers) == after.params


def test_latency_is_measured(monkeypatch):
    from graphc.services import Services

    net = filled(PLAIN, 8)
    monkeypatch.setattr(Services, "time_us", lambda self, graph: float(total(graph).macs))
    less, _ = removed(net, "remove_filters:latency=0.5")
    assert 0.4 <= total(less).macs / total(net).macs <= 0.5
    refused(net, "remove_filters:latency=0.001", "latency=0.001 cannot be reached", "the least")


def test_multiples_floors_and_exclusions():
    net = filled(PLAIN, 9)
    less, _ = removed(net, "remove_filters:macs=0.6,multiple_of=4")
    assert all(n % 4 == 0 for name, n in widths(less).items() if name != "y")
    less, _ = removed(net, "remove_filters:ratio=0.9,min_channels=5")
    assert widths(less) == {"a": 5, "b": 5, "y": 3}
    less, record = removed(net, "remove_filters:ratio=0.5,skip=a")
    assert widths(less) == {"a": 8, "b": 6, "y": 3}
    assert "a stays: 'a' is to be skipped" in record.detail
    assert "y stays: 'y' is an output" in record.detail


def test_groups_lose_alike():
    net = filled(IN + conv("data", "a", 8) + conv("a", "b", 8, more="group: 2") + scores("b"), 10)
    less, _ = removed(net, "remove_filters:ratio=0.5")
    assert widths(less) == {"a": 4, "b": 4, "y": 3} and less.weights["b:weight"].shape[1] == 2


def test_constants_go_into_the_next_bias():
    net = filled(IN + conv("data", "a", 6) + relu("a") + conv("a", "b", 4, 1) + scores("b"), 11)
    net.weights["a:weight"][[1, 4]] = 0
    net.weights["a:bias"][[1, 4]] = [0.7, 1.3]
    less, record = removed(net, "remove_filters:criterion=dead")
    assert widths(less) == {"a": 4, "b": 4, "y": 3}
    assert record.detail[0] == "2 channels go, exact"
    moved = net.weights["b:weight"][:, [1, 4], 0, 0] @ np.float32([0.7, 1.3])
    np.testing.assert_allclose(less.weights["b:bias"], net.weights["b:bias"] + moved, rtol=1e-6)
    close(run(less)["y"], run(net)["y"])


def test_a_layer_without_a_bias_gets_one():
    middle = conv("a", "b", 4, 1, "bias_term: false")
    net = filled(IN + conv("data", "a", 6) + relu("a") + middle + scores("b"), 11)
    net.weights["a:weight"][2], net.weights["a:bias"][2] = 0, 0.5
    less, _ = removed(net, "remove_filters:criterion=dead")
    assert widths(less)["a"] == 5 and less.node("b").attrs.bias_term
    close(run(less)["y"], run(net)["y"])


def test_padding_needs_a_carrier():
    net = filled(IN + conv("data", "a", 6) + relu("a") + conv("a", "b", 4) + scores("b"), 12)
    net.weights["a:weight"][[0, 1, 4]] = 0
    net.weights["a:bias"][[0, 1, 4]] = [0.5, 0.7, 1.3]
    less, record = removed(net, "remove_filters:criterion=dead")
    assert widths(less)["a"] == 4
    assert record.detail[0] == "2 channels go, exact, 1 carry constants of others"
    close(run(less)["y"], run(net)["y"])
    lossy, record = removed(net, "remove_filters:ratio=0.5,layers=a,mode=lossy")
    assert record.detail[0] == "3 channels go, lossy" and widths(lossy)["a"] == 3


def test_maps_that_a_matrix_multiplies_row_by_row():
    """An inner product over the places of each channel: constants fill these, border and all."""
    rows = layer("Reshape", "a", "r", "reshape_param { shape { dim: 0 dim: 6 dim: 36 } }")
    told = f"inner_product_param {{ num_output: 5 axis: 2 {FILLERS} }}"
    net = filled(IN + conv("data", "a", 6) + relu("a") + rows
                 + layer("InnerProduct", "r", "b", told) + relu("b") + scores("b"), 15)  # fmt: skip
    net.weights["a:weight"][[1, 4]] = 0
    net.weights["a:bias"][[1, 4]] = [0.7, -1.3]
    less, record = removed(net, "remove_filters:criterion=dead")
    assert widths(less)["a"] == 4 and record.detail[0] == "2 channels go, exact"
    close(run(less)["y"], run(net)["y"])
    lossy, _ = removed(net, "remove_filters:ratio=0.5,layers=a")
    assert widths(lossy)["a"] == 3


def test_what_nobody_reads_goes_layer_by_layer():
    net = filled(PLAIN, 13)
    net.weights["y:weight"].reshape(3, 12, 36)[:, 5:] = 0
    net.weights["b:weight"][:5, 2] = 0
    less, record = removed(net, "remove_filters:criterion=dead")
    assert widths(less) == {"a": 7, "b": 5, "y": 3}
    assert record.detail[0] == "8 channels go, exact"
    close(run(less)["y"], run(net)["y"])


def test_normalization_across_channels_holds_them_together(tmp_path):
    text = IN + conv("data", "a", 6) + relu("a") + layer("LRN", "a", "n") + scores("n")
    net = filled(text, 14)
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"a": [0, 9, 0, 9, 0, 9]}))
    _, record = removed(net, f"remove_filters:criterion=scores,ratio=0.5,scores={path}")
    assert record.detail[0] == "1 channels go, mask-equivalent"  # the first, at the border
    assert record.layers[0].decision == "1 of 6 filters go"
    less, record = removed(net, "remove_filters:ratio=0.5,mode=lossy")
    assert widths(less)["a"] == 3 and record.detail[0] == "3 channels go, lossy"


def test_what_went_can_be_written_and_done_to_another_net(tmp_path):
    net, path = filled(PLAIN, 15), tmp_path / "gone.json"
    less, _ = removed(net, f"remove_filters:macs=0.5,save={path}")
    again, _ = removed(net, f"remove_filters:criterion=listed,listed={path}")
    for name, array in less.weights.items():
        assert np.array_equal(array, again.weights[name])


def test_one_removal_after_another_is_both_at_once(tmp_path):
    """Filters 1 and 5 of a are 1 and 4 of what is left without 2."""
    net, path = filled(PLAIN, 16), tmp_path / "gone.json"

    def without(graph, table):
        path.write_text(json.dumps(table))
        return removed(graph, f"remove_filters:criterion=listed,listed={path}")[0]

    twice = without(without(net, {"a": [2], "b": [0, 7]}), {"a": [1, 4], "b": [9]})
    once = without(net, {"a": [1, 2, 5], "b": [0, 7, 11]})
    assert widths(once) == {"a": 5, "b": 9, "y": 3} == widths(twice)
    for name, array in once.weights.items():
        np.testing.assert_array_equal(twice.weights[name], array)
    again, record = removed(once, "remove_filters:criterion=dead")
    assert not record.changed and widths(again) == widths(once)


def test_bad_options():
    net = filled(PLAIN, 16)
    refused(net, "remove_filters", "no budget", "say how much")
    refused(net, "remove_filters:ratio=0.5,macs=0.5", "ratio and macs")
    for spec in ("ratio=1", "ratio=-0.1", "macs=0", "macs=1.5", "latency=-1", "macs=nan"):
        refused(net, f"remove_filters:{spec}", "is needed")
    refused(net, "remove_filters:ratio=0.5,min_channels=0", "min_channels is 0")
    refused(net, "remove_filters:criterion=l3,ratio=0.5", "criterion is 'l3'")
    refused(net, "remove_filters:ratio=0.5,layers=c", "no layer 'c' with filters")
    refused(net, "remove_filters:ratio=0.5,skip=a/relu", "no layer 'a/relu' with filters")
    refused(net, "remove_filters:criterion=scores,ratio=0.5", "needs a file")
    refused(net, "remove_filters:criterion=listed", "belong together")


def test_budgets_out_of_reach_say_the_least():
    told = refused(filled(PLAIN, 17), "remove_filters:macs=0.001", "macs=0.001 cannot be reached")
    assert "0.03495 is the least" in told and "what stays: y: 'y' is an output" in told
    refused(filled(PLAIN, 17), "remove_filters:macs=0.1,skip=a", "'a' is to be skipped")


def test_bad_files(tmp_path):
    net, path = filled(PLAIN, 18), tmp_path / "f.json"
    for table, told in (
        ({"a": [1, 2]}, "'a' has 8 filters"),
        ({"z": [1]}, "no layer 'z'"),
        ({"a": [float("nan")] * 8}, "not finite"),
        ({"a": "x"}, "holds no scores"),
        ([1], "holds no scores"),
    ):
        path.write_text(json.dumps(table))
        refused(net, f"remove_filters:criterion=scores,ratio=0.5,scores={path}", told)
    refused(net, "remove_filters:criterion=scores,ratio=0.5,scores=/nowhere.json", "cannot read")
    for table, told in (
        ({"a": [8]}, "'a' has filters 0 .. 7"),
        ({"y": [0]}, "cannot go: 'y' is an output"),
        ({"a": list(range(8))}, "no filter of 'a' would be left"),
    ):
        path.write_text(json.dumps(table))
        refused(net, f"remove_filters:criterion=listed,listed={path}", told)
    text = IN + conv("data", "a", 8) + conv("a", "b", 8, more="group: 2") + scores("b")
    grouped = filled(text, 1)
    path.write_text(json.dumps({"a": [0, 1]}))
    refused(grouped, f"remove_filters:criterion=listed,listed={path}", "groups of 'b' would lose")


def test_weights_that_are_no_numbers():
    net = filled(PLAIN, 19)
    net.weights["b:weight"][1, 2, 0, 0] = np.nan
    refused(net, "remove_filters:ratio=0.5", "'b:weight'", "no finite numbers")


def test_off_with_gradients():
    net = filled(PLAIN, 20)
    less, record = removed(net, "remove_filters:ratio=0.5", train=True)
    assert widths(less) == widths(net) and record.detail[0].startswith("off: ")


def lstm(x: str, y: str, n: int) -> str:
    return layer("LSTM", f"{x} cont", y, f"recurrent_param {{ num_output: {n} {FILLERS} }}")


def recurrent(n: int) -> graphc.Graph:
    scores_ = f"inner_product_param {{ num_output: 3 axis: 2 {FILLERS} }}"
    text = feed(data=(5, 2, 4), cont=(5, 2)) + lstm("data", "h", n) + lstm("h", "g", 6)
    both = layer("Concat", "h g", "c", "concat_param { axis: 2 }")
    return filled(text + both + layer("InnerProduct", "c", "y", scores_), 21)


def test_units_of_an_lstm_that_nobody_reads():
    """Six units within sixteen: their columns everywhere are all that is not zero."""
    net = recurrent(16)
    net.weights["h:W_hc"][:, 6:] = 0
    net.weights["g:W_xc"][:, 6:] = 0
    net.weights["y:weight"][:, 6:16] = 0
    less, record = removed(net, "remove_filters:criterion=dead")
    assert record.detail[0] == "10 channels go, exact" and widths(less)["h"] == 6
    close(run(less)["y"], run(net)["y"], tolerance=1e-6)


def test_units_of_an_lstm_that_take_nothing_in():
    """Zero rows make h zero without a bias; with one it varies from step to step."""
    for bias, gone in ((0.0, 1), (0.5, 0)):
        net = recurrent(8)
        rows = [3, 11, 19, 27]
        for name in ("W_xc", "W_hc"):
            net.weights[f"h:{name}"][rows] = 0
        net.weights["h:b_c"][rows] = [0.1, 0.2, 0.3, bias]
        less, _ = removed(net, "remove_filters:criterion=dead")
        assert widths(less)["h"] == 8 - gone
        close(run(less)["y"], run(net)["y"], tolerance=1e-6)


def test_two_removals_are_their_union(tmp_path):
    net, path = filled(PLAIN, 22), tmp_path / "gone.json"

    def without(graph: graphc.Graph, table: dict[str, list[int]]) -> graphc.Graph:
        path.write_text(json.dumps(table))
        return removed(graph, f"remove_filters:criterion=listed,listed={path}")[0]

    both = without(net, {"a": [0, 3, 5], "b": [1, 7]})
    turns = without(without(net, {"a": [3], "b": [7]}), {"a": [0, 4], "b": [1]})
    for name, array in both.weights.items():
        assert np.array_equal(array, turns.weights[name])


def test_recipes_hold_it(tmp_path):
    from graphc.passes.recipe import parse_recipe, print_recipe

    spec = f"remove_filters:criterion=scores,scores={tmp_path / 's.json'},macs=0.5,skip=a"
    each = parse_spec(spec)
    assert parse_recipe(print_recipe([each])) == [each] and not each.exact
    assert parse_spec("remove_filters:criterion=dead").exact
