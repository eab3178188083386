"""Every golden of `layers/`: outputs, gradients and running statistics as real Caffe gave them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from golden.caffe_cases import members, names, read_case
from golden.replay import WRITER, replay

import graphc
from graphc.cuda.on_cpu import unavailable

WRITTEN = "hdf5output_result.h5"
SILENT = ("net_shared_permissive", "silence")  # have no outputs
ALL = os.environ.get("GRAPHC_FAKE_NETS") == "all"  # of target fake
LAYERS = [name for name in names("layers") if name != WRITER]


@pytest.mark.parametrize("name", LAYERS)
def test_case(name: str, caffe: Path) -> None:
    case = read_case(caffe / "layers" / f"{name}.npz")
    verdicts = list(replay(case, caffe / "layers"))
    assert verdicts
    failed = [f"{v.key}: {v.share:.3g} of the tolerance" for v in verdicts if not v.share <= 1]
    assert not failed, "\n".join(failed)


# the default passes are those of a forward alone
@pytest.mark.parametrize(
    ("train", "passes"),
    [(False, ()), (False, "default"), (True, ())],
    ids=["forward", "passes", "backward"],
)
@pytest.mark.parametrize("keep", ["all", ()], ids=["all", "outputs"])
@pytest.mark.parametrize("name", LAYERS)
def test_case_on_the_cpu(
    name: str,
    keep: str | tuple[str, ...],
    train: bool,
    passes: str | tuple[str, ...],
    caffe: Path,
) -> None:
    case = read_case(caffe / "layers" / f"{name}.npz")
    if train and not case.meta["backward"]:
        pytest.skip("Caffe has no gradients here")
    verdicts = list(replay(case, caffe / "layers", "cpu", keep, train, passes))
    assert verdicts or name in SILENT
    failed = [f"{v.key}: {v.share:.3g} of the tolerance" for v in verdicts if not v.share <= 1]
    assert not failed, "\n".join(failed)


@pytest.mark.skipif(bool(unavailable()), reason=unavailable())
@pytest.mark.parametrize("name", LAYERS if ALL else LAYERS[::3])
def test_case_on_the_fake_device(name: str, caffe: Path) -> None:
    """Forward and, where Caffe has gradients, backward, by what a GPU would run."""
    case = read_case(caffe / "layers" / f"{name}.npz")
    verdicts = list(replay(case, caffe / "layers", "fake"))
    assert verdicts
    failed = [f"{v.key}: {v.share:.3g} of the tolerance" for v in verdicts if not v.share <= 1]
    assert not failed, "\n".join(failed)


def test_no_case_is_left_out() -> None:
    assert len(LAYERS) + 1 == 254


def test_hdf5output_writes_its_inputs(
    caffe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h5py = pytest.importorskip("h5py")
    case = read_case(caffe / "layers" / "hdf5output.npz")
    shutil.copy(caffe / "layers" / "hdf5output.prototxt", tmp_path)
    monkeypatch.chdir(tmp_path)
    with graphc.compile(graphc.load("hdf5output.prototxt"), passes=()) as exe:
        exe.forward({name: case.arrays[f"in/{name}"] for name in case.meta["inputs"]})
    with h5py.File(WRITTEN) as ours, h5py.File(caffe / "layers" / WRITTEN) as theirs:
        assert sorted(ours) == sorted(theirs) == ["data", "label"]
        for dataset, blob in (("data", "x"), ("label", "label")):
            assert np.array_equal(ours[dataset][...], theirs[dataset][...])
            assert np.array_equal(ours[dataset][...].ravel(), case.arrays[f"in/{blob}"].ravel())
            assert ours[dataset].dtype == theirs[dataset].dtype


def test_the_archive_is_what_the_tool_packs(shared: Path) -> None:
    from pack_golden import packed_files

    source = shared / "golden"
    expected = {p.relative_to(source).as_posix(): p for p in packed_files(source)}
    assert sorted(members()) == sorted(expected)
    assert all(data == expected[name].read_bytes() for name, data in members().items())
