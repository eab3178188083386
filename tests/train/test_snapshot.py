"""Snapshots written and found again: names, mixtures, and runs of real Caffe that go on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from train.killed_writer import Run, versions

from graphc import GraphError, Solver, driver
from graphc.front import parse_net
from graphc.front.weights import read_weights
from graphc.ir.graph import Graph
from graphc.ops.update.sgd import SGD
from graphc.train.build import training_graph
from graphc.train.checkpoint.caffe_state import CaffeState, read_state, write_state
from graphc.train.checkpoint.histories import history_slots, loaded_histories, saved_histories
from graphc.train.checkpoint.load import find_learned_net, load_snapshot
from graphc.train.checkpoint.snapshot import write_snapshot
from graphc.train.settings import Settings, read_settings


@pytest.fixture(params=["BINARYPROTO", "HDF5"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    if request.param == "HDF5":
        pytest.importorskip("h5py")
    yield Run(tmp_path / "x", request.param)


def refused(path: Path, code: str = "GC-K001") -> str:
    with pytest.raises(GraphError) as caught:
        load_snapshot(path)
    assert caught.value.code == code
    return str(caught.value)


def test_names_and_content(run: Run, tmp_path: Path) -> None:
    end = ".h5" if run.format == "HDF5" else ""
    run.write(10, 1)
    run.write(100, 2)
    kinds = (f".caffemodel{end}", f".solverstate{end}", ".gck")
    assert {p.name for p in tmp_path.iterdir()} == {
        f"x_iter_{n}{kind}" for n in (10, 100) for kind in kinds
    }
    for kind in kinds:
        found = load_snapshot(tmp_path / f"x_iter_100{kind}")
        assert versions(found) == {2.0} and found.state.iter == 100
        assert found.path == tmp_path / f"x_iter_100.solverstate{end}"
        assert found.weights == tmp_path / f"x_iter_100.caffemodel{end}"
    assert found.state.learned_net == f"{tmp_path}/x_iter_100.caffemodel{end}"


def test_learned_net_is_as_given(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prefix stays what it was, relative to the folder of now; moved files are found too."""
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    run.prefix = Path("sub/x")
    run.write(10, 1)
    state = run.state(10)
    learned = read_state(state).learned_net
    assert learned.startswith("sub/x_iter_10.caffemodel")
    assert find_learned_net(state, learned) == Path(learned)
    monkeypatch.chdir(tmp_path / "sub")
    assert versions(load_snapshot(state.name)) == {1.0}
    Path("sub").mkdir()
    Path(learned).write_bytes(b"something else")
    found = load_snapshot(state.name)  # the .gck tells which of the two it is
    assert found.weights == Path(Path(learned).name) and versions(found) == {1.0}
    found.weights.unlink()
    assert "another size" in refused(Path(state.name))
    Path(learned).unlink()
    told = refused(Path(state.name))
    assert told.count("caffemodel") >= 2 and "are missing" in told and "beside the state" in told


def test_mixtures_are_noticed(run: Run, tmp_path: Path) -> None:
    """One file of another snapshot, in every way; the state alone, as Caffe's, is let be."""
    run.write(10, 1)
    (tmp_path / "other").mkdir()
    other = Run(tmp_path / "other/x", run.format)
    other.write(10, 2)
    for name in ("caffemodel", "solverstate"):
        (path,) = tmp_path.glob(f"x_iter_10.{name}*")
        kept = path.read_bytes()
        shutil.copy(tmp_path / "other" / path.name, path)
        told = refused(run.state(10))
        assert "x_iter_10.gck" in told and "another" in told and "one snapshot" in told
        path.write_bytes(kept)
    assert versions(load_snapshot(run.state(10))) == {1.0}
    shutil.copy(tmp_path / "other/x_iter_10.gck", tmp_path)
    assert "of another content" in refused(run.state(10))
    (tmp_path / "x_iter_10.gck").unlink()
    assert load_snapshot(run.state(10)).extra is None


def test_formats_share_a_gck(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    binary, hdf5 = (Run(tmp_path / "x", name) for name in ("BINARYPROTO", "HDF5"))
    binary.write(10, 1)
    hdf5.write(10, 2)
    assert versions(load_snapshot(hdf5.state(10))) == {2.0}
    assert versions(load_snapshot(tmp_path / "x_iter_10.gck")) == {2.0}
    assert "belongs to 'x_iter_10.caffemodel.h5'" in refused(binary.state(10))


def test_renamed_sets_and_other_names(run: Run, tmp_path: Path) -> None:
    run.write(10, 1)
    state = tmp_path / ("state.h5" if run.format == "HDF5" else "state.bin")
    shutil.copy(run.state(10), state)
    found = load_snapshot(state)
    assert versions(found) == {1.0} and found.extra is None
    told = refused(next(tmp_path.glob("x_iter_10.caffemodel*")).rename(tmp_path / "y.caffemodel"))
    assert "there is no 'y.solverstate' beside these weights" in told and "--weights" in told


def test_missing_and_broken(run: Run, tmp_path: Path) -> None:
    refused(tmp_path / "x_iter_10.solverstate", "GC-F001")
    refused(tmp_path / "x_iter_10.caffemodel", "GC-F001")
    refused(tmp_path / "x_iter_10.gck")
    run.write(10, 1)
    (tmp_path / "x_iter_10.gck").write_bytes(b"PK")
    refused(run.state(10))
    refused(tmp_path / "x_iter_10.gck")
    lone = tmp_path / "lone.solverstate"
    write_state(lone, CaffeState(3))
    assert "lone.caffemodel" in refused(lone)
    write_state(lone, CaffeState(3, "a\0b"))
    assert "names no weights" in refused(lone)
    write_state(lone, CaffeState(3, "x" * 5000))
    assert "are missing" in refused(lone)


def test_unknown_format_and_odd_meta(run: Run, tmp_path: Path) -> None:
    run.write(10, 1)
    words = {"graph": run.graph, "history": []}
    with pytest.raises(GraphError, match="GC-R002: no snapshot_format 'TEXT'"):
        write_snapshot(tmp_path / "y", 1, format="TEXT", **words)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="GC-R002"):
        write_snapshot(tmp_path / "y", 1, meta={"a": b""}, format=run.format, **words)  # type: ignore[arg-type]
    assert len(list(tmp_path.iterdir())) == 3


def test_leftovers_of_others_are_let_be(run: Run, tmp_path: Path) -> None:
    theirs = [".pending-y_iter_1.caffemodel", ".pending-x_iter_1.txt", ".x_iter_1.gck.tmp"]
    ours = [".pending-x_iter_1.caffemodel", "..pending-x_iter_2.gck.0123abcd.tmp"]
    for name in theirs + ours:
        (tmp_path / name).write_bytes(b"x")
    run.write(10, 1)
    assert sorted(p.name for p in tmp_path.glob(".*")) == sorted(theirs)


FROZEN = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 4 dim: 2 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "a" top: "b" }
layer { name: "c" type: "InnerProduct" bottom: "b" top: "c" param { name: "w" } param { lr_mult: 0 }
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "d" type: "InnerProduct" bottom: "c" top: "d" param { lr_mult: 0 }
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "d" bottom: "t" top: "loss" }
"""


class TwoHistories(SGD):
    """A rule with more than one set, as AdaDelta's."""

    type = "TwoHistories"
    histories = ("h", "h2")


def frozen() -> tuple[Graph, Graph]:
    """As loaded, and in training."""
    graph = parse_net(FROZEN, phase="TRAIN")
    driver.prepare(graph)
    trained, _ = driver.optimize(graph, ())
    return graph, trained


def test_histories_are_in_caffes_order() -> None:
    """One for each blob that is owned, frozen and statistics too; each set after the other."""
    graph, trained = frozen()
    training_graph(trained, Settings(rule=TwoHistories))
    slots = history_slots(graph, trained, TwoHistories)
    owners = ["a:weight", "a:bias", "bn:mean", "bn:variance", "bn:factor", "c:bias", "d:weight"]
    assert [slot.owner.name for slot in slots] == [*owners, "d:bias"] * 2
    learned = ["a:weight:h", "a:bias:h", None, None, None, None, None, "d:bias:h"]
    names = [slot.value.name if slot.value is not None else None for slot in slots]
    assert names == learned + [n and n + "2" for n in learned]
    arrays = {n: np.random.default_rng(3).random(s.shape, np.float32)
              for n, s in zip(names, slots, strict=True) if n}  # fmt: skip
    saved = saved_histories(slots, lambda value: arrays[value.name])
    assert [a.shape for a in saved] == [slot.shape for slot in slots]
    assert all(not a.any() for a, n in zip(saved, names, strict=True) if n is None)
    loaded = loaded_histories(slots, saved)
    assert {value.name for value in loaded} == arrays.keys()
    assert all(np.array_equal(array, arrays[value.name]) for value, array in loaded.items())
    legacy = [a.reshape((1,) * (4 - a.ndim) + a.shape) for a in saved]
    assert all(a.shape == arrays[v.name].shape for v, a in loaded_histories(slots, legacy).items())


def test_histories_of_other_nets_are_refused() -> None:
    graph, trained = frozen()
    training_graph(trained, Settings())
    slots = history_slots(graph, trained, SGD)
    good = [np.zeros(slot.shape, np.float32) for slot in slots]
    with pytest.raises(GraphError, match="GC-K001: x has 7 histories, this solver 8"):
        loaded_histories(slots, good[1:], "x")
    wrong = [np.zeros((3, 3, 1), np.float32), *good[1:]]
    with pytest.raises(GraphError, match=r"history 0 \(of 'a:weight'\) has shape \(3, 3, 1\)"):
        loaded_histories(slots, wrong)


def as_loaded(path: Path) -> Graph:
    graph = driver.load(read_settings(path).net.net, phase="TRAIN")
    return driver.shape(graph)


@pytest.mark.parametrize("target", ["cpu", "reference"])
@pytest.mark.parametrize("name", ["sgd_batchnorm", "sgd_momentum_l2"])
def test_a_run_of_caffe_goes_on(name: str, target: str, caffe: Path, tmp_path: Path) -> None:
    """From Caffe's snapshot at 10 to its weights at 20, and our snapshot there holds Caffe's."""
    folder = caffe / "solvers"
    path = folder / f"{name}.solver.prototxt"
    found = load_snapshot(folder / f"{name}_iter_10.solverstate")
    solver = Solver(path, found.weights, target=target)
    graph, trained = as_loaded(path), solver.net.graph
    slots = history_slots(graph, trained, SGD)
    for history, array in loaded_histories(slots, found.state.history).items():
        trained.weight(history)[...] = array
    batches = np.load(folder / "solver_data.npz")
    for iteration in range(10, 20):
        solver.step(1, {blob: batches[blob][iteration] for blob in ("data", "label")})
    graph.weights = trained.weights
    history = saved_histories(slots, trained.weight)
    written = write_snapshot(tmp_path / name, 20, graph=graph, history=history)
    expected = read_weights(folder / f"{name}_iter_20.caffemodel")
    ours = read_weights(written.weights)
    assert list(ours) == list(expected)
    pairs = [p for layer in ours for p in zip(ours[layer], expected[layer], strict=True)]
    told = load_snapshot(folder / f"{name}_iter_20.solverstate").state.history
    pairs += zip(load_snapshot(written.state).state.history, told, strict=True)
    for a, b in pairs:
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5 * max(1, np.abs(b).max()))
    solver.close()
