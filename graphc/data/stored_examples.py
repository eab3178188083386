"""Data sets that are stored already, as examples: LMDB, HDF5, npz."""

from __future__ import annotations

from pathlib import Path

from graphc.data.datum import parse_datum
from graphc.data.examples import ArrayExamples, Example
from graphc.data.hdf5_file import Hdf5File
from graphc.data.lmdb_source import LmdbRecords
from graphc.data.numpy_file import NumpyFile
from graphc.errors import GraphError
from graphc.limits import Limits

DATA, LABEL = "data", "label"


class LmdbExamples:
    """The records of an LMDB; reading them in order is fast. Raises GC-F001, GC-D001, GC-U001."""

    kind = "lmdb"
    classes: tuple[str, ...] = ()

    def __init__(self, path: Path, limits: Limits) -> None:
        self.name = str(path)
        self._records = LmdbRecords(path, "native", limits)

    @property
    def count(self) -> int:
        return self._records.count

    def at(self, index: int) -> Example:
        try:
            key, value = self._records.raw(index)
            datum = parse_datum(value)
            planes = datum.image("native", self._records.limits)
        except GraphError as error:
            where = self._records.describe(index, 0)
            raise GraphError(error.code, f"{where}: {error.message}", error.hint) from None
        encoded = b"" if datum.encoded is None else bytes(datum.encoded)
        return Example(key.decode("utf-8", "backslashreplace"), planes, datum.label, encoded)

    def close(self) -> None:
        self._records.close()


def from_hdf5(path: Path, data: str, label: str | None, limits: Limits) -> ArrayExamples:
    """The datasets of those names; `label` None: "label" if there is one, else labels are 0.

    Raises GC-F001, GC-D00x, GC-F003, GC-L001, GC-U002.
    """
    with Hdf5File(path, limits) as file:
        images = file.read(data, native=True)
        wanted = _label_name(label, file.names)
        labels = file.read(wanted, native=True) if wanted else None
    return ArrayExamples(str(path), "hdf5", images, labels)


def from_npz(path: Path, data: str, label: str | None, limits: Limits) -> ArrayExamples:
    """The arrays of those names, or that of a .npy; `label` as in `from_hdf5`.

    Raises GC-F001, GC-D00x, GC-L001.
    """
    with NumpyFile(path, limits) as file:
        images = file.array("" if file.names == ("",) else data)
        wanted = _label_name(label, file.names)
        labels = file.array(wanted) if wanted else None
    return ArrayExamples(str(path), "npz", images, labels)


def _label_name(told: str | None, names: tuple[str, ...]) -> str:
    if told is not None:
        return told
    return LABEL if LABEL in names else ""


__all__ = ["DATA", "LABEL", "LmdbExamples", "from_hdf5", "from_npz"]
