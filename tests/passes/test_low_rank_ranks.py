"""low_rank: how far, by a JSON file, by budgets, by accuracy, and by what layers compute."""

import json

import numpy as np
import pytest
from passes.low_rank_nets import X, cut, layers_of, net, outputs

import graphc
from graphc.count import macs
from graphc.errors import GraphError
from graphc.passes.low_rank import LowRank


def decisions(report):
    return [change.decision for change in report.layers]


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(table):
        (tmp_path / "ranks.json").write_text(table if isinstance(table, str) else json.dumps(table))
        return "ranks.json"

    return write


def test_ranks_by_position_and_rounded():
    _, report = cut(net(), rank=(3, 5, 7))
    assert decisions(report) == ["pca, rank 3 of 12", "pca, rank 6 of 16", "pca, rank 7 of 10"]
    _, report = cut(net(), rank=(3, 5), skip=("y",))
    assert decisions(report) == ["pca, rank 3 of 12", "pca, rank 6 of 16"]
    _, report = cut(net(), speedup=2.0, round=4)
    ranks = [int(d.split("rank ")[1].split()[0]) for d in decisions(report)]
    assert all(
        rank % 4 == 0 or rank == full for rank, full in zip(ranks, (12, 16, 10), strict=True)
    )


@pytest.mark.parametrize(
    "rule", [{"error": 0.2}, {"energy": 0.8}, {"amplitude": 0.8**0.5}, {"threshold": 1.5}]
)
def test_rules(rule):
    _, report = cut(net(), **rule)
    assert report.changed
    if "threshold" not in rule:
        assert all(c.weight_error <= 0.2**0.5 + 1e-6 for c in report.layers)
        assert decisions(report) == decisions(cut(net(), error=0.2)[1])


def test_the_usual_error():
    assert decisions(cut(net())[1]) == decisions(cut(net(), error=0.05)[1])


def test_evbmf():
    made, report = cut(net(), evbmf=True, layers=("a",), method="tucker")
    assert report.changed and "a_tkcore" in layers_of(made)


def test_a_flat_file(config):
    _, report = cut(net(), config=config({"a": 4, "y": 2}))
    assert [(c.layer, c.decision) for c in report.layers] == [
        ("a", "pca, rank 4 of 12"),
        ("y", "pca, rank 2 of 10"),
    ]


def test_a_rich_file(config):
    table = {
        "defaults": {"method": "svd", "energy": 0.9},
        "layers": {
            "a": {"method": "tucker", "rank": [5, 2]},
            "[ab]": {"rank": 8},
            "y.*": {"skip": True},
        },
    }
    _, report = cut(net(), config=config(table))
    assert decisions(report) == ["tucker, rank 5 of 12, inputs' 2 of 4", "svd, rank 8 of 16"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"nope": 4}, "'nope' names no layer that can be decomposed"),
        ({"relu": 4}, "'relu' names no layer"),
        ({"a": 0}, "rank 0 of 'a' is none"),
        ({"a": -2}, "rank -2 of 'a' is none"),
        ({"a": 99}, "rank 99 of 'a' is above its full rank, 12"),
        ({"a": 1.5}, "rank is 1.5, expected a whole number"),
        ({"a": True}, "rank is True, expected a whole number"),
        ({"layers": {"a": {"rank": [4, 99], "method": "tucker"}}}, "inputs' rank 99 of 'a'"),
        ({"layers": {"a": {"rnk": 3}}}, "'a' has no option 'rnk'"),
        ({"layers": {"a": {"rank": 3, "error": 0.1}}}, "'a' has both rank and error"),
        ({"layers": {"a": {"method": "pcs"}}}, "no method 'pcs'"),
        ({"layers": {"a": {"error": "x"}}}, "error is 'x', expected a number"),
        ({"layers": {"a": {"error": 2}}}, "error is 2, expected 0 to 1"),
        ({"layers": {"a": {"skip": 1}}}, "skip is 1, expected true or false"),
        ({"layers": {"a": {"round": 0}}}, "round is 0"),
        ({"layers": {"(": {"rank": 1}}}, "'(' is no pattern"),
        ({"layers": 3}, "'layers' must be a table"),
        ({"layers": {}, "budgt": {}}, "'budgt' means nothing here"),
        ("[1]", "it must be a table of layers"),
        ("{", "is no JSON"),
    ],
)  # fmt: skip
def test_files_that_are_wrong(config, table, told):
    with pytest.raises(GraphError) as caught:
        cut(net(), config=config(table))
    assert caught.value.code == "GC-T001" and told in caught.value.message
    assert "ranks.json" in caught.value.message or "of 'a'" in told


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_a_budget_of_multiply_adds(share):
    plain = sum(map(macs, net().nodes))
    made, _ = cut(net(), macs=share, when="smaller")
    left = sum(map(macs, made.nodes))
    assert (share - 0.1) * plain < left <= share * plain


def test_a_budget_of_bytes():
    def size(graph):
        return sum(v.type.size for v in graph.param_values())

    made, report = cut(net(), bytes=0.5, when="smaller", skip=("a",))
    assert 0.4 * size(net()) < size(made) <= 0.5 * size(net())
    assert [c.layer for c in report.layers] == ["b", "y"]


def test_a_layer_that_does_not_pay_leaves_the_budget_to_others():
    class Timed(LowRank):
        def run(self, graph, ctx):
            ctx.time_us = lambda g: 9.0 if g.nodes[1].name == "b_lowrank" else 8.0 / len(g.nodes)
            return super().run(graph, ctx)

    made, report = graphc.optimize(net(), [Timed(macs=0.7)], measure=False)
    b = report.passes[-1].layers[1]
    assert b.decision == "stays" and "does not pay" in b.reason
    assert sum(map(macs, made.nodes)) <= 0.7 * sum(map(macs, net().nodes))


def test_a_budget_of_time():
    """Time is what a clock says that goes by multiply-adds."""

    class Timed(LowRank):
        def run(self, graph, ctx):
            ctx.time_us = lambda g: float(sum(map(macs, g.nodes)))
            return super().run(graph, ctx)

    plain = sum(map(macs, net().nodes))
    made, _ = graphc.optimize(net(), [Timed(latency=0.6)], measure=False)
    assert 0.5 * plain < sum(map(macs, made.nodes)) <= 0.6 * plain
    with pytest.raises(GraphError, match=r"latency=0\.01 cannot be reached") as caught:
        graphc.optimize(net(), [Timed(latency=0.01)], measure=False)
    assert "is left: the least reachable" in caught.value.hint


def test_a_drop_in_accuracy():
    """As far as no more of the samples change their class."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, *X.shape[1:])).astype(np.float32)
    plain = net()
    labels = outputs_on(plain, x).argmax(axis=1)
    ranks = []
    for drop in (0.0, 0.1, 0.4):
        words = {"calibration": {"data": x, "label": labels}}
        made, report = cut(net(), words, accuracy_drop=drop)
        right = (outputs_on(made, x).argmax(axis=1) == labels).mean()
        assert right >= 1 - drop
        ranks.append(sum(c.params[1] for c in report.layers))
    assert ranks == sorted(ranks, reverse=True) and ranks[0] > ranks[2]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, 1, 2], "3 labels are given for 2 samples"),
        ([0.5, 1], "no whole numbers"),
        ([0, 10], "beyond the 10 classes"),
        ([0, -1], "beyond the 10 classes"),
    ],
)
def test_labels_that_do_not_fit(labels, told):
    words = {"calibration": {"data": X, "label": np.array(labels)}}
    with pytest.raises(GraphError, match="GC-R001") as caught:
        cut(net(), words, accuracy_drop=0.1)
    assert told in caught.value.message


@pytest.mark.parametrize("response", ["symmetric", "asymmetric", "relu"])
def test_responses_are_kept_better_than_by_weights(response):
    """On inputs of few directions, of which the weights know nothing."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((5, 4 * 9 * 8))
    x = (rng.standard_normal((40, 5)) @ base).reshape(40, 4, 9, 8).astype(np.float32)
    words = {"calibration": {"data": x}}
    old = outputs_on(net(), x)
    moved = []
    for kept in ("none", response):
        made, report = cut(net(), words, rank=(6, 8, 5), response=kept)
        moved.append(np.linalg.norm(outputs_on(made, x) - old))
        assert report.layers[-1].response_error == pytest.approx(
            moved[-1] / np.linalg.norm(old), rel=1e-4
        )
    assert moved[1] < 0.8 * moved[0]
    assert made.node("b_linear").attrs.bias_term  # which b had not
    assert net().node("b").attrs.bias_term is False


def test_what_is_not_measured():
    """Responses are fitted all the same."""
    words = {"calibration": {"data": X}}
    for response in ("none", "asymmetric"):
        _, told = cut(net(), words, rank=(4,), response=response)
        _, report = cut(net(), words, rank=(4,), response=response, measure=False)
        assert all(c.response_error is None for c in report.layers)
        assert [c.weight_error for c in report.layers] == [c.weight_error for c in told.layers]


def test_full_rank_by_responses():
    words = {"calibration": {"data": X}}
    made, _ = cut(net(), words, error=0.0, response="symmetric", layers=("y",))
    np.testing.assert_allclose(outputs(made)["y"], outputs(net())["y"], atol=1e-4)


def test_calibration_of_another_shape():
    words = {"calibration": {"data": X[:, :3]}}
    with pytest.raises(GraphError, match="GC-R001"):
        cut(net(), words, rank=(2,), response="symmetric")
    with pytest.raises(GraphError, match="GC-R001"):
        cut(net(), words, rank=(2,))


def outputs_on(graph, x):
    return graphc.compile(graph, passes=(), target="reference").run({"data": x})["y"]
