"""graphc.compare: blob by blob, as what runs makes them; and where two networks part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer

import graphc
from graphc.comparison import compare
from graphc.errors import GraphError
from graphc.ir.graph import Graph

NET = (
    feed(data=(2, 3, 8, 8)),
    conv("data", "c", 4),
    layer("ReLU", "c", "c", name="r"),
    layer("Power", "c", "c", "power_param { scale: 2 }", name="twice"),
    conv("c", "d", 4, 1),
    layer("Eltwise", "d c", "sum"),
    layer("Dropout", "sum", "drop"),
    fc("drop", "y", 5),
)
X = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)


def changed(name: str, factor: float) -> Graph:
    """NET with one layer's weights scaled."""
    net = graph(*NET)
    net.params[name][0][...] *= factor
    return net


def names(report: graphc.comparison.CompareReport) -> list[str]:
    return [blob.made.blob for blob in report.blobs]


def test_one_network_on_two_targets() -> None:
    report = compare(graph(*NET))
    assert report.ok and report.first is None and report.fed == "random"
    assert report.a.endswith(" on cpu") and report.b.endswith(" on reference")
    assert names(report) == ["c", "sum", "drop", "y"]  # d is fused into the sum
    assert report.only_a == () and report.only_b == ("d",)
    assert report.worst is not None and 0 < report.worst.relative < 1e-5


def test_every_blob_where_nothing_is_fused() -> None:
    report = compare(graph(*NET), fused=False)
    assert report.ok and names(report) == ["c", "d", "sum", "drop", "y"]


def test_a_chain_in_place_is_its_last_value() -> None:
    report = compare(graph(*NET), target_a="reference")
    made = report.blobs[0].made
    assert (made.blob, made.layer, made.type) == ("c", "twice", "Power")
    assert made.layers == ("c", "r", "twice")
    wanted = graphc.compile(graph(*NET), target="reference", passes=(), keep="all").run({"data": X})
    report = compare(graph(*NET), wanted, inputs={"data": X})
    assert report.ok and report.only_b == ("d",)  # neither the input nor what was overwritten
    assert not compare(graph(*NET), {"c": wanted["c@c"]}, inputs={"data": X}).ok


def test_the_first_layer_that_differs() -> None:
    report = compare(graph(*NET), changed("d", 1.5))
    assert not report.ok and report.first is not None
    assert report.first.made.layer == "sum" and [b.ok for b in report.blobs][:2] == [True, False]
    report = compare(graph(*NET), changed("d", 1.5), fused=False)
    assert report.first is not None and report.first.made.type == "Convolution"
    assert report.first.verdict == "different" and report.first.relative > 0.1
    assert compare(graph(*NET), changed("d", 1.5), tolerance=1e9).ok


def test_a_change_the_passes_make_is_seen(tmp_path: Path) -> None:
    """An artefact is run as it was compiled, a network as it is written."""
    graphc.compile(graph(*NET)).save(tmp_path / "net.gcz")
    report = compare(graph(*NET), str(tmp_path / "net.gcz"))
    assert report.ok and report.only_a == ("drop",)
    assert compare(tmp_path / "net.gcz").ok
    report = compare(tmp_path / "net.gcz", changed("c", 3), target_b="reference")
    assert report.first is not None and report.first.made.blob == "c"


def test_blobs_from_a_file(tmp_path: Path) -> None:
    exe = graphc.compile(graph(*NET), passes=(), keep="all")
    blobs = exe.run({"data": X})
    np.savez(tmp_path / "blobs.npz", data=X, **{n: blobs[n] for n in ("d", "y")})
    report = compare(graph(*NET), tmp_path / "blobs.npz", fused=False)
    assert report.ok and report.fed == "b" and names(report) == ["d", "y"]
    assert report.only_a == ("c", "sum", "drop") and report.only_b == ()
    assert report.b == str(tmp_path / "blobs.npz")
    report = compare(graph(*NET), tmp_path / "blobs.npz", inputs={"data": X + 1})
    assert not report.ok and report.fed == "given"


def test_blobs_by_name() -> None:
    y = graphc.compile(graph(*NET)).run({"data": X})["y"]
    report = compare(graph(*NET), {"y": y, "z": [1]}, inputs={"data": X})
    assert report.ok and report.only_b == ("z",) and report.b == "the blobs given"
    report = compare(graph(*NET), {"y": y[:1]}, inputs={"data": X})
    assert report.first is not None and report.first.verdict == "shapes differ"
    assert report.worst is None
    report = compare(graph(*NET), {"y": y * np.nan}, inputs={"data": X})
    assert report.first is not None and report.first.verdict == "NaN"


def test_blobs_without_their_input_prove_nothing() -> None:
    with pytest.raises(GraphError, match=r"GC-R001: .*'data'"):
        compare(graph(*NET), {"y": [1]})


def test_inputs_of_other_names() -> None:
    other = [text.replace('"data"', '"image"') for text in NET]
    assert compare(graph(*NET), graph(*other)).ok
    two = (feed(a=(2, 3), b=(2, 3)), layer("Eltwise", "a b", "y"))
    one = (feed(a=(2, 3)), layer("Power", "a", "y"))
    with pytest.raises(GraphError, match="GC-R001: A has inputs a, B a, b"):
        compare(graph(*one), graph(*two))


def test_executables_as_they_are() -> None:
    exe = graphc.compile(graph(*NET), keep=("c",))
    report = compare(exe, graphc.compile(graph(*NET), target="reference"))
    assert names(report) == ["y"] and report.only_a == ("c",)
    exe.run({"data": X})  # it has not been closed
    exe.params["y"][0][...] *= 3
    assert compare(exe).ok and not compare(exe, graph(*NET)).ok
    with pytest.raises(GraphError, match="GC-R002"):
        compare(exe, target_a="cpu")


def test_data_layers_read_for_themselves(tmp_path: Path) -> None:
    dummy = "dummy_data_param { shape { dim: 2 dim: 3 } data_filler { value: 2 } }"
    net = tmp_path / "net.prototxt"
    net.write_text(layer("DummyData", "", "d", dummy) + fc("d", "y", 2))
    report = compare(net)
    assert report.ok and report.fed == "source"
    assert names(report) == ["d", "y"]


def test_layers_that_stand_for_others() -> None:
    """Blobs that expansion adds are not the network's own."""
    spp = "spp_param { pyramid_height: 2 }"
    net = (feed(data=(2, 4, 6, 6)), conv("data", "c", 4), layer("SPP", "c", "y", spp))
    report = compare(graph(*net))
    assert report.ok and names(report) == ["c", "y"] and report.only_b == ()
    assert report.blobs[1].made.type == "SPP"


def test_nothing_in_common() -> None:
    other = graph(feed(data=(2, 3, 8, 8)), conv("data", "z", 4))
    with pytest.raises(GraphError, match=r"GC-R002: .*A makes c, sum, drop, \.\.\., B z") as caught:
        compare(graph(*NET), other)
    assert "by name" in caught.value.hint
    with pytest.raises(GraphError, match=r"GC-R002: .*B nothing"):
        compare(graph(*NET), {}, inputs={"data": X})


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_impossible_tolerances(tolerance: float) -> None:
    with pytest.raises(GraphError, match="GC-R002: tolerance"):
        compare(graph(*NET), tolerance=tolerance)


def test_blobs_run_on_no_target() -> None:
    with pytest.raises(GraphError, match=r"GC-R002: .*no target"):
        compare(graph(*NET), {"y": X}, inputs={"data": X}, target_b="cpu")
    with pytest.raises(GraphError, match="GC-R002: no target 'abacus'"):
        compare(graph(*NET), target_a="abacus")


def test_lazily_by_name() -> None:
    assert graphc.compare is compare
