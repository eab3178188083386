"""Solver states: those of real Caffe, written back to the bit; broken ones refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from fuzz.mutations import mutate_bytes
from golden.caffe_cases import members

from graphc.errors import GraphError
from graphc.front.schema import union
from graphc.limits import Limits
from graphc.train.checkpoint.caffe_state import CaffeState, read_state, write_state

STATES = sorted(name for name in members() if ".solverstate" in name)
SMALL = CaffeState(7, "a/b_iter_7.caffemodel", [np.float32([[1, -2, 3]]), np.zeros((), "f4")], 2)


def same(a: CaffeState, b: CaffeState) -> bool:
    told = (a.iter, a.learned_net, a.current_step) == (b.iter, b.learned_net, b.current_step)
    return told and [(x.shape, x.tobytes()) for x in a.history] == [
        (x.shape, x.tobytes()) for x in b.history
    ]


def refused(path: Path, **words: object) -> str:
    with pytest.raises(GraphError) as caught:
        read_state(path, **words)  # type: ignore[arg-type]
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", STATES)
def test_states_of_caffe(name: str, caffe: Path, tmp_path: Path) -> None:
    """What was read of Caffe's file gives the same file, byte for byte where it is binary."""
    state = read_state(caffe / name)
    run, _, end = Path(name).name.partition("_iter_")
    assert state.iter == int(end.partition(".")[0])
    assert state.learned_net == Path(name).name.replace("solverstate", "caffemodel")
    ours = tmp_path / Path(name).name
    write_state(ours, state)
    assert same(read_state(ours), state)
    if ours.suffix != ".h5":
        assert ours.read_bytes() == (caffe / name).read_bytes()
    if not run.startswith("cli_train"):
        golden = np.load(caffe / f"solvers/{run}.npz")
        if state.iter == 20 and "history/0" in golden:
            told = [golden[f"history/{k}"] for k in range(len(state.history))]
            assert all(map(np.array_equal, state.history, told))
            assert state.current_step == golden["state_current_step"]


def test_hdf5_is_laid_out_as_caffes(caffe: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    name = "nesterov_hdf5_snapshot_iter_10.solverstate.h5"
    write_state(tmp_path / name, read_state(caffe / "solvers" / name))
    found = []
    for path in (caffe / "solvers" / name, tmp_path / name):
        with h5py.File(path) as file:
            flat = {k: file[k] for k in file if k != "history"}
            flat |= {f"history/{k}": v for k, v in file["history"].items()}
            told = {k: (v.shape, v.dtype, v[()].tobytes()) for k, v in flat.items()}
            text = file["learned_net"].id.get_type()
            found.append((told, text.get_size(), text.get_strpad()))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["s.solverstate", "s.solverstate.h5"])
def test_round_trip(name: str, tmp_path: Path) -> None:
    odd = np.float32([np.nan, np.inf, -0.0, 1e-45])
    state = CaffeState((1 << 31) - 1, "weights \udcff\u2603", [odd, np.zeros((0, 3), "f4")], 3)
    if name.endswith(".h5"):
        pytest.importorskip("h5py")
    write_state(tmp_path / name, state)
    read = read_state(tmp_path / name)
    assert same(read, state)
    assert all(array.flags.writeable and array.flags.owndata for array in read.history)


def test_legacy_shapes_are_read(tmp_path: Path) -> None:
    message = union().new("SolverState")
    message.iter, message.learned_net = 5, "x"
    message.history.add(num=1, channels=1, height=2, width=3, data=[1, 2, 3, 4, 5, 6])
    path = tmp_path / "old.solverstate"
    path.write_bytes(message.SerializeToString())
    state = read_state(path)
    assert state.history[0].shape == (1, 1, 2, 3) and state.current_step == 0


def test_other_files_are_refused(caffe: Path, tmp_path: Path) -> None:
    solvers = caffe / "solvers"
    weights = solvers / "sgd_batchnorm_iter_10.caffemodel"
    assert "GC-K001: this is no solver state" in refused(weights)
    assert "--weights" in refused(weights)
    empty = tmp_path / "empty.solverstate"
    empty.write_bytes(b"")
    assert "GC-K001: 0 bytes do not tell an iteration" in refused(empty)
    assert "GC-F001" in refused(tmp_path / "none.solverstate")
    assert "GC-F001" in refused(tmp_path)
    assert "GC-K001" in refused(solvers / "sgd_l1.solver.prototxt")
    below = tmp_path / "below.solverstate"
    below.write_bytes(b"\x08" + b"\xff" * 9 + b"\x01")
    assert "iteration -1" in refused(below)


def test_kinds_of_hdf5_are_told_by_name(caffe: Path, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    hdf5 = caffe / "solvers/nesterov_hdf5_snapshot_iter_10.solverstate.h5"
    misnamed = tmp_path / "x.solverstate"
    misnamed.write_bytes(hdf5.read_bytes())
    assert "must end in .h5" in refused(misnamed)
    assert "no dataset" not in refused(caffe / "solvers/h5_test.h5")
    other = tmp_path / "x.solverstate.h5"
    other.write_bytes((caffe / "solvers/adam_iter_10.solverstate").read_bytes())
    assert "GC-K001" in refused(other)


def test_hostile_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")

    def state(name: str, **changes: object) -> Path:
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            told = {
                "iter": np.int32([3]),
                "current_step": np.int32([0]),
                "learned_net": np.bytes_(b"w"),
            }
            for key, value in (told | changes).items():
                if value is not None:
                    file[key] = value
            file.require_group("history")
        return path

    assert read_state(state("good")).iter == 3
    wrong = {
        "none": {"iter": None},
        "many": {"iter": np.int32([1, 2])},
        "float": {"iter": np.float32([1])},
        "number": {"learned_net": 5},
        "gap": {"history/0": np.float32([1]), "history/2": np.float32([1])},
        "text": {"history/0": b"text"},
        "linked": {"iter": h5py.SoftLink("/current_step")},
        "outside": {"learned_net": h5py.ExternalLink("other.h5", "/x")},
    }
    codes = {name: refused(state(name, **changes)) for name, changes in wrong.items()}
    for name, told in codes.items():
        assert ("GC-F003" if name in ("linked", "outside") else "GC-K001") in told


def test_limits_count(tmp_path: Path) -> None:
    write_state(tmp_path / "s", SMALL)
    assert "GC-L001" in refused(tmp_path / "s", limits=Limits(binary_bytes=8))
    assert "GC-L001" in refused(tmp_path / "s", limits=Limits(layers=1))


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "s.solverstate.h5").write_bytes(b"x")
    assert "graphc[data]" in refused(tmp_path / "s.solverstate.h5")
    with pytest.raises(GraphError, match="GC-U002"):
        write_state(tmp_path / "t.solverstate.h5", SMALL)
    write_state(tmp_path / "t.solverstate", SMALL)


def test_what_a_state_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="GC-U001"):
        write_state(tmp_path / "s", CaffeState(1 << 31))
    huge = CaffeState(1, "w", [np.broadcast_to(np.float32(0), (1 << 29,))])
    with pytest.raises(GraphError, match="GC-U001: the state takes 2,147,483,676 bytes"):
        write_state(tmp_path / "s", huge)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["", ".h5"])
def test_damage_never_does_more_than_a_graph_error(suffix: str, tmp_path: Path) -> None:
    if suffix:
        pytest.importorskip("h5py")
    good = tmp_path / f"good{suffix}"
    write_state(good, SMALL)
    data, path = good.read_bytes(), tmp_path / f"bad{suffix}"
    failed = 0
    for seed in range(300 if not suffix else 150):
        path.write_bytes(mutate_bytes(data, np.random.default_rng(seed)))
        try:
            read_state(path)
        except GraphError:
            failed += 1
    assert failed > 20
    for size in range(0, len(data) - 2, 1 + len(data) // 200):
        path.write_bytes(data[:size])
        try:
            cut = read_state(path)
        except GraphError:
            continue
        assert len(cut.history) < 2 or cut.current_step == 0
