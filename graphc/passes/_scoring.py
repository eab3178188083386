"""Scores of a network's outputs against labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from graphc.errors import fail
from graphc.ir.graph import Array


def classes(outputs: Mapping[str, Array]) -> Array:
    """(samples, classes): the first output that has a number per class. Raises GC-R001."""
    for array in outputs.values():
        flat = array.reshape(len(array), -1) if array.ndim >= 2 else None
        if flat is not None and flat.shape[1] > 1:
            return flat
    fail("GC-R001", "no output of this net has a number per class", "labels are of no use here")


def accuracy(outputs: Mapping[str, Array], labels: npt.ArrayLike) -> float:
    """The share of samples whose largest output is at their label.

    `labels`: one whole number per sample. Raises GC-R001 where they do not fit.
    """
    found, given = classes(outputs), np.asarray(labels).reshape(-1)
    if given.size != len(found):
        fail("GC-R001", f"{given.size} labels are given for {len(found)} samples")
    if given.dtype.kind not in "iu" and not np.equal(np.mod(given, 1), 0).all():
        fail("GC-R001", "the labels are no whole numbers")
    if given.size and not (given.min() >= 0 and given.max() < found.shape[1]):
        fail("GC-R001", f"the labels reach beyond the {found.shape[1]} classes of the output")
    return float((found.argmax(axis=1) == given).mean()) if given.size else 0.0


__all__ = ["accuracy", "classes"]
