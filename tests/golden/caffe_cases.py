"""The packed answers of real Caffe: unpacking them, listing cases, and judging ours by them."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ARCHIVE = Path(__file__).with_name("caffe.tar.xz")
DATA_TYPES = {"Data", "ImageData", "HDF5Data", "MemoryData", "DummyData"}
INTEGER_TYPES = DATA_TYPES | {"ArgMax", "Accuracy", "Threshold"}


@cache
def members() -> dict[str, bytes]:
    """Every packed file by its path."""
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(ARCHIVE.read_bytes()))) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


def names(folder: str, suffix: str = ".npz") -> list[str]:
    """Cases of a folder: its files with `suffix`, without it."""
    found = (Path(name) for name in members() if name.startswith(f"{folder}/"))
    return sorted(p.name.removesuffix(suffix) for p in found if p.name.endswith(suffix))


def unpack(target: Path) -> Path:
    """Write every packed file below `target`."""
    for name, data in members().items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return target


@dataclass(frozen=True)
class Case:
    """One golden: its description and its arrays, by the keys the archive's npz uses."""

    name: str
    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    @property
    def steps(self) -> list[str]:
        """Key prefixes, one per run."""
        count = self.meta["steps"]
        return [""] if count == 1 else [f"step{i}/" for i in range(count)]

    def under(self, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
        for key, array in self.arrays.items():
            if key.startswith(prefix):
                yield key.removeprefix(prefix), array

    @property
    def split_from(self) -> dict[str, str]:
        """Tops of the Splits that Caffe inserted -> the blob they copy."""
        inserted = [
            x for x in self.meta["layers"] if x["type"] == "Split" and "_split" in x["name"]
        ]
        return {top: x["bottoms"][0] for x in inserted for top in x["tops"]}

    def is_integer(self, blob: str) -> bool:
        """Was the blob made by a layer whose integral answers must be exact?"""
        for layer in self.meta["layers"]:
            if blob in layer["tops"] and layer["type"] in INTEGER_TYPES:
                return True
            if layer["type"] == "Pooling" and blob in layer["tops"][1:]:
                return True
        return False


def read_case(path: Path) -> Case:
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files if key != "meta"}
        return Case(path.stem, json.loads(str(file["meta"])), arrays)


def ratio(ours: np.ndarray, caffe: np.ndarray, rtol: float, atol: float) -> float:
    """The largest |a-b| / (atol max(1, max|b|) + rtol |b|); above 1 fails. Infinite where shapes,
    infinities or NaN disagree."""
    a, b = np.asarray(ours, np.float64), np.asarray(caffe, np.float64)
    if a.shape != b.shape:
        return np.inf
    finite = np.isfinite(b)
    if (
        not np.array_equal(a[~finite], b[~finite], equal_nan=True)
        or not np.isfinite(a[finite]).all()
    ):
        return np.inf
    a, b = a[finite], b[finite]
    if a.size == 0:
        return 0.0
    bound = atol * max(1.0, float(np.abs(b).max())) + rtol * np.abs(b)
    return float((np.abs(a - b) / bound).max())


def exact(ours: np.ndarray, caffe: np.ndarray) -> bool:
    return np.array_equal(np.asarray(ours, np.float32), caffe, equal_nan=True)
