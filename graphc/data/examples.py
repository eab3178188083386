"""Examples: the labelled images of a data set, by number; what data sets are converted from."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from graphc.data.images import Planes
from graphc.errors import fail
from graphc.records import record


@record(frozen=True, slots=True)
class Example:
    """One image (C, H, W) with its label. `encoded`: the bytes of an image file to be stored as
    they are, with `planes` empty; `key`: its name in the data set, "" if it has but a number."""

    key: str
    planes: Planes
    label: int
    encoded: bytes = b""


class Examples(Protocol):
    """A data set, open for reading; `count` at least 1. `classes`: their names, if known."""

    name: str
    kind: str
    classes: tuple[str, ...]

    @property
    def count(self) -> int: ...

    def at(self, index: int) -> Example:
        """The `index`-th example. Raises GC-F001, GC-D00x, GC-P002, GC-L001 with its name."""

    def close(self) -> None: ...


class ArrayExamples:
    """Examples of two arrays: images (N, C, H, W), labels (N,).

    Images that are not uint8 become float32. Raises GC-D002 for arrays that do not fit, GC-D001
    for none at all.
    """

    classes: tuple[str, ...] = ()

    def __init__(
        self, name: str, kind: str, images: npt.NDArray[Any], labels: npt.NDArray[Any] | None
    ) -> None:
        self.name, self.kind = name, kind
        if images.ndim == 3:
            images = images[:, None]  # grey images, as many data sets store them
        if images.ndim != 4:
            fail("GC-D002", f"{name!r}: images of shape {images.shape}, expected (N, C, H, W)")
        if not images.size:
            fail("GC-D001", f"{name!r} holds no images: shape {images.shape}")
        self.labels = np.zeros(len(images), np.int64) if labels is None else _whole(name, labels)
        if len(self.labels) != len(images):
            fail("GC-D002", f"{name!r}: {len(images):,} images, but {len(self.labels):,} labels")
        self.images = images

    @property
    def count(self) -> int:
        return len(self.images)

    def at(self, index: int) -> Example:
        planes = self.images[index]
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = planes if planes.dtype == np.uint8 else planes.astype(np.float32)
        return Example("", numbers, int(self.labels[index]))

    def close(self) -> None:
        """Nothing stays open."""


def _whole(name: str, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Labels (N,), or one per row, as int32 numbers. Raises GC-D002."""
    if labels.ndim == 0 or labels.size != len(labels):
        fail("GC-D002", f"{name!r}: labels of shape {labels.shape}, expected (N,)")
    flat = labels.reshape(-1)
    limit = 1 << 31
    good = (flat >= -limit) & (flat < limit)
    if flat.dtype.kind == "f":
        good &= flat == np.trunc(flat)
    if not good.all():
        at = int(np.flatnonzero(~good)[0])
        fail("GC-D002", f"{name!r}: label {flat[at]} of row {at} is no whole number of 32 bits")
    return flat.astype(np.int64)


__all__ = ["ArrayExamples", "Example", "Examples"]
