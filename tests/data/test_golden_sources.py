"""Data layers against the batches real Caffe read from the same sources."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.makers import sig

from graphc.data.blob import read_blob
from graphc.data.hdf5_file import Hdf5File
from graphc.data.transform import TransformParam
from graphc.ir.op import Filler
from graphc.ir.types import Type
from graphc.limits import Limits
from graphc.ops._blob_shape import BlobShape
from graphc.ops.data import Data, DataAttrs
from graphc.ops.dummy_data import DummyData, DummyDataAttrs
from graphc.ops.hdf5_data import HDF5Data, HDF5DataAttrs
from graphc.ops.hdf5_output import HDF5Output, HDF5OutputAttrs
from graphc.ops.image_data import ImageData, ImageDataAttrs
from graphc.ops.memory_data import MemoryData, MemoryDataAttrs
from graphc.ops.spec import Ctx

RECORDS: dict[str, tuple[Any, TransformParam]] = {
    "data_lmdb": (Data, TransformParam(scale=0.00390625)),
    "data_lmdb_crop": (Data, TransformParam(crop_size=4, mean_value=(1, 2, 3))),
    "data_lmdb_float": (Data, TransformParam()),
    "data_lmdb_meanfile": (
        Data,
        TransformParam(crop_size=3, scale=0.1, mean_file="data_lmdb_meanfile_mean.binaryproto"),
    ),
    "imagedata": (ImageData, TransformParam(scale=0.5, mean_value=(100,))),
    "imagedata_crop": (ImageData, TransformParam(crop_size=6)),
    "imagedata_gray": (ImageData, TransformParam(scale=0.00390625)),
    "imagedata_meanfile": (
        ImageData,
        TransformParam(scale=0.25, mean_file="imagedata_meanfile_mean.binaryproto"),
    ),
}


@pytest.fixture
def layers(shared: Path) -> Path:
    return shared / "golden" / "layers"


class Case:
    """The npz of a golden case."""

    def __init__(self, layers: Path, name: str) -> None:
        with np.load(layers / f"{name}.npz") as found:
            self.arrays = dict(found)
        self.meta = json.loads(str(self.arrays["meta"]))
        self.steps: int = self.meta["steps"]

    def prefix(self, step: int) -> str:
        return "" if self.steps == 1 else f"step{step}/"

    def compare(self, step: int, blob: str, ours: np.ndarray) -> None:
        theirs = self.arrays[f"{self.prefix(step)}out/{blob}"]
        assert ours.shape == theirs.shape
        scale = max(1.0, float(np.abs(theirs).max()))
        error = np.abs(ours.astype(np.float64) - theirs)
        assert (error <= self.meta["atol"] * scale + self.meta["rtol"] * np.abs(theirs)).all()


def check(case: Case, op: Any, attrs: Any, s: Any, **arrays: Any) -> None:
    """Infer, open and walk: shapes and every step's tops are Caffe's, also after a reset."""
    types = op.infer(attrs, s)
    for role, name in zip(s.tops, s.top_names, strict=True):
        assert types[role] == Type(tuple(case.meta["blobs"][name]))
    built = sig(s.env.base, s.tops, names=s.top_names, **types)
    with closing(op.open(attrs, built)) as source:
        if arrays:
            source.set_arrays(**arrays)
        ctx = Ctx(built, source=source)
        for _ in range(2):
            for step in range(case.steps):
                tops = op.reference(attrs, {}, ctx)
                for role, name in zip(s.tops, s.top_names, strict=True):
                    case.compare(step, name, tops[role])
            source.reset()


@pytest.mark.parametrize("name", RECORDS)
def test_labelled_images(layers: Path, name: str) -> None:
    op, transform = RECORDS[name]
    if op is Data:
        attrs: Any = DataAttrs(f"{name}_lmdb", 2, backend="LMDB", transform_param=transform)
    else:
        gray = name == "imagedata_gray"
        attrs = ImageDataAttrs(f"{name}_list.txt", 2, is_color=not gray, transform_param=transform)
    check(Case(layers, name), op, attrs, sig(layers))


def test_hdf5_data(layers: Path) -> None:
    s = sig(layers, ("y0", "y1"), names=("data", "label"))
    check(Case(layers, "hdf5data"), HDF5Data, HDF5DataAttrs("hdf5data_list.txt", 2), s)


def test_memory_data(layers: Path) -> None:
    case = Case(layers, "memorydata")
    arrays = {k: case.arrays[f"memory/{k}"] for k in ("data", "label")}
    check(case, MemoryData, MemoryDataAttrs(2, 2, 3, 4), sig(layers), **arrays)


def test_dummy_data(layers: Path) -> None:
    attrs = DummyDataAttrs(
        data_filler=(Filler(value=1.5), Filler(value=-2)),
        shape=(BlobShape((2, 3)), BlobShape((4,))),
    )
    s = sig(layers, ("y0", "y1"), names=("y", "y2"))
    check(Case(layers, "dummydata"), DummyData, attrs, s)


def test_hdf5_output(layers: Path, tmp_path: Path) -> None:
    case = Case(layers, "hdf5output")
    ins = {"data": case.arrays["in/x"], "label": case.arrays["in/label"]}
    attrs = HDF5OutputAttrs(str(tmp_path / "made.h5"))
    sink = HDF5Output.open(attrs, sig(layers, ()))
    for _ in range(2):
        assert HDF5Output.reference(attrs, ins, Ctx(sig(layers, ()), source=sink)) == {}
    with (
        Hdf5File(tmp_path / "made.h5", Limits()) as ours,
        Hdf5File(layers / "hdf5output_result.h5", Limits()) as theirs,
    ):
        for name in ("data", "label"):
            assert np.array_equal(ours.read(name), theirs.read(name))
            assert np.array_equal(ours.read(name).ravel(), ins[name].ravel())


def test_infogain_matrix(layers: Path) -> None:
    matrix = read_blob(layers / "infogain_file_H.binaryproto", Limits())
    assert matrix.shape[-1] == matrix.shape[-2] and matrix.dtype == np.float32
