"""sensitivity: one layer at a time, at several strengths, against the network as it is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from passes.low_rank_nets import X, net

import graphc
from graphc.count import macs
from graphc.errors import GraphError
from graphc.passes.base import Pass, Report
from graphc.passes.low_rank import LowRank


@dataclass(frozen=True)
class Shrink(Pass):
    """A pass of a user's, with a strength."""

    name = "shrink"
    exact = False
    strength = "share"
    share: float = 0.0
    layer: str = ""

    def strengths(self, graph, count):
        return {n.name: [(k + 1) / count for k in range(count)] for n in graph.nodes if n.params}

    def at(self, layer, value):
        return Shrink(value, layer)

    def run(self, graph, ctx):
        graph.weights[f"{self.layer}:weight"] *= np.float32(1 - self.share)
        return Report(self.name, True)


def test_each_layer_alone():
    found = graphc.sensitivity(net(), "low_rank:method=svd", calibration={"data": X}, points=3)
    assert (found.name, found.option, found.accuracy) == ("low_rank", "rank", None)
    assert list(found.layers) == ["a", "b", "y"]
    assert [p.strength for p in found.layers["a"]] == [9, 6, 3]
    assert [p.strength for p in found.layers["b"]] == [12, 8, 4]
    for layer, points in found.layers.items():
        for point in points:
            each = LowRank(
                method="svd", rank=(point.strength,), layers=(layer,), when="always"
            )  # fmt: skip
            made, _ = graphc.optimize(net(), [each], measure=False)
            old, new = (graphc.compile(g, passes=()).run({"data": X})["y"] for g in (net(), made))
            error = np.linalg.norm(new - old) / np.linalg.norm(old)
            assert point.error == pytest.approx(error, rel=1e-3)
            assert point.agree == (new.argmax(1) == old.argmax(1)).mean()
            pairs = zip(old.argsort(axis=1)[:, -5:], new.argsort(axis=1)[:, -5:], strict=True)
            kept = [len({*first} & {*second}) for first, second in pairs]
            assert point.top5 == pytest.approx(np.mean(kept) / 5)
            share = sum(map(macs, made.nodes)) / sum(map(macs, net().nodes))
            assert point.macs == pytest.approx(share)
    assert found.layers["y"][0].error < found.layers["y"][2].error


def test_accuracy_where_there_are_labels():
    labels = np.array([3, 4])
    found = graphc.sensitivity(
        net(), LowRank(), calibration={"data": X, "label": labels}, points=2, target="reference"
    )
    y = graphc.compile(net(), passes=()).run({"data": X})["y"]
    assert found.accuracy == (y.argmax(1) == labels).mean()
    assert all(p.accuracy in (0, 0.5, 1) for points in found.layers.values() for p in points)


def test_a_pass_of_a_user_s():
    found = graphc.sensitivity(net(), Shrink(), calibration={"data": X}, points=4)
    assert list(found.layers) == ["a", "b", "y"] and found.option == "share"
    assert [p.strength for p in found.layers["y"]] == [0.25, 0.5, 0.75, 1.0]
    errors = [p.error for p in found.layers["y"]]
    assert errors == sorted(errors)


def test_the_network_is_left_alone():
    plain = net()
    before = {name: array.copy() for name, array in plain.weights.items()}
    graphc.sensitivity(plain, "low_rank", points=1)
    for name, array in before.items():
        np.testing.assert_array_equal(plain.weights[name], array)


@pytest.mark.parametrize(
    ("each", "words", "told"),
    [
        ("fold_scale", {}, "GC-R002: pass 'fold_scale' has no strength to try"),
        (3, {}, "GC-R002: pass 3 has no strength"),
        ("low_rank:method=auto", {}, "GC-T001: low_rank: method auto has no ranks to try"),
        ("low_rank:layers=z", {}, "GC-T001: low_rank: 'z' names no layer"),
        ("low_rank", {"points": 0}, "GC-R002: points is 0"),
        ("low_rank", {"calibration": {"data": X[:, :2]}}, "GC-R001"),
        ("low_rank", {"calibration": {"data": X, "label": np.zeros(3)}}, "3 labels are given"),
    ],
)
def test_errors(each, words, told):
    with pytest.raises(GraphError) as caught:
        graphc.sensitivity(net(), each, **words)
    assert told in f"{caught.value.code}: {caught.value.message}"


def test_from_files(tmp_path: Path):
    from graphc.front.caffemodel_writer import write_caffemodel
    from graphc.front.export import to_prototxt

    (tmp_path / "net.prototxt").write_text(to_prototxt(net()))
    write_caffemodel(net(), tmp_path / "net.caffemodel")
    words = {"calibration": {"data": X}, "points": 1}
    found = graphc.sensitivity(
        tmp_path / "net.prototxt", "low_rank", weights=tmp_path / "net.caffemodel", **words
    )
    assert found == graphc.sensitivity(net(), "low_rank", **words)
