"""open_examples: a data set in any form we read, told by what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graphc.data.binary_examples import from_cifar, from_idx
from graphc.data.examples import Examples
from graphc.data.files import file_size
from graphc.data.image_examples import ImageOptions, from_folder, from_list
from graphc.data.stored_examples import DATA, LmdbExamples, from_hdf5, from_npz
from graphc.errors import fail
from graphc.limits import Limits
from graphc.records import record

FORMS = "LMDB, HDF5, npz, npy, idx, CIFAR .bin, a folder of class folders, a list file"
_HDF5, _NPY, _ZIP, _GZIP = b"\x89HDF\r\n\x1a\n", b"\x93NUMPY", b"PK", b"\x1f\x8b"


@record(frozen=True, slots=True)
class Names:
    """Where the parts of a data set lie: `data`, `label`: arrays of HDF5 and npz; `labels`: the
    labels file of idx images; `root`: the folder from which names in a list count."""

    data: str = DATA
    label: str | None = None
    labels: Path | None = None
    root: Path | None = None


def open_examples(
    sources: Sequence[Path],
    names: Names | None = None,
    images: ImageOptions | None = None,
    limits: Limits | None = None,
) -> Examples:
    """The examples of one source, or of several CIFAR batches; close it after use.

    Raises GC-D001 if it is nothing we know, GC-D002 for options that do not go with it, and what
    reading raises.
    """
    names, images, limits = names or Names(), images or ImageOptions(), limits or Limits()
    kind = kind_of(sources[0])
    if len(sources) > 1 and kind != "cifar":
        fail("GC-D002", f"{len(sources)} sources are given", "only CIFAR comes in several files")
    if images != ImageOptions() and kind not in ("folder", "list"):
        told = f"{str(sources[0])!r} is {kind}: only image files are resized, made grey or kept"
        fail("GC-D002", told)
    source = sources[0]
    if kind == "lmdb":
        return LmdbExamples(source, limits)
    if kind == "folder":
        return from_folder(source, images, limits)
    if kind == "list":
        return from_list(source, names.root, images, limits)
    if kind == "hdf5":
        return from_hdf5(source, names.data, names.label, limits)
    if kind == "npz":
        return from_npz(source, names.data, names.label, limits)
    return from_idx(source, names.labels, limits) if kind == "idx" else from_cifar(sources, limits)


def kind_of(source: Path) -> str:
    """ "lmdb", "folder", "hdf5", "npz", "idx", "cifar" or "list". Raises GC-F001, GC-D001."""
    if source.is_dir():
        return "lmdb" if (source / "data.mdb").exists() else "folder"
    file_size(source)
    try:
        with source.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        fail("GC-F001", f"{str(source)!r} cannot be read: {error.strerror}")
    suffixes = [s.lower() for s in source.suffixes]
    if head.startswith(_HDF5):
        return "hdf5"
    if head.startswith((_NPY, _ZIP)):
        return "npz"
    if suffixes[-1:] == [".mdb"]:
        return "lmdb"
    if ".bin" in suffixes:
        return "cifar"
    if head[:3] == b"\0\0\x08" or (head.startswith(_GZIP) and "ubyte" in source.name):
        return "idx"
    if b"\0" not in head:
        return "list"
    fail("GC-D001", f"{str(source)!r} is no data set we know", f"known are {FORMS}")


__all__ = ["FORMS", "Names", "kind_of", "open_examples"]
