"""What the losses share: loss_param, the divisor it asks for, and reading labels."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from graphc.errors import fail
from graphc.ir.types import Type
from graphc.numpy_later import np, npt
from graphc.ops.spec import F64, Draw
from graphc.records import record

SCALAR = Type(())
SMALLEST_PROB = 1e-20  # under the logarithm of MultinomialLogisticLoss and InfogainLoss


@record(frozen=True)
class LossParam:
    """`normalize` is the old spelling: true for VALID, false for BATCH_SIZE."""

    ignore_label: int | None = None
    normalization: str | None = None
    normalize: bool | None = None


NO_LOSS_PARAM = LossParam()


class Labels(NamedTuple):
    """Class numbers, 0 where ignored, and which positions count; both (outer, inner)."""

    target: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]


def divisor(p: LossParam, default: str, outer: int, inner: int, valid: int) -> int:
    """What the summed loss is divided by, at least 1: FULL outer * inner, VALID the positions not
    ignored, BATCH_SIZE outer, NONE 1. Raises GC-N008 for another mode."""
    mode = _mode(p, default)
    table = {"FULL": outer * inner, "VALID": valid, "BATCH_SIZE": outer, "NONE": 1}
    if mode not in table:
        fail("GC-N008", f"loss_param.normalization is {mode!r}", f"one of {', '.join(table)}")
    return max(1, table[mode])


def _mode(p: LossParam, default: str) -> str:
    if p.normalization is not None:
        return p.normalization
    return default if p.normalize is None else ("VALID" if p.normalize else "BATCH_SIZE")


def kernel_attrs(p: LossParam, default: str, outer: int, inner: int) -> dict[str, int]:
    """What a loss's kernel is told of loss_param, see csrc/kernels/labels.h."""
    fixed = 0 if _mode(p, default) == "VALID" else divisor(p, default, outer, inner, 0)
    ignored = {} if p.ignore_label is None else {"ignore_label": p.ignore_label}
    return {"divisor": fixed, **ignored}


def check_labels(
    x: tuple[int, ...], label: tuple[int, ...], positions: int, *, batch: bool = True
) -> None:
    """Raise GC-S003 unless `label` has `positions` elements and, if `batch`, x's first extent."""
    if math.prod(label) != positions:
        fail(
            "GC-S003",
            f"label has shape {label} = {math.prod(label)} labels, but x of shape {x} needs "
            f"{positions}, one per prediction",
            "with the class axis 1 and x of shape N x C x H x W, there are N*H*W labels",
        )
    if batch and (not label or x[0] != label[0]):
        fail("GC-S003", f"first axes differ: x has shape {x}, label {label}")


def check_same(role: str, shape: tuple[int, ...], other_role: str, other: tuple[int, ...]) -> None:
    """Raise GC-S003 unless two blobs have equal batches and equally many elements per sample,
    GC-S002 for one without axes."""
    both = f"{role} has shape {shape}, {other_role} {other}"
    if not shape or not other:
        fail("GC-S002", f"{both}; each needs a batch axis")
    if shape[0] != other[0]:
        fail("GC-S003", f"first axes differ: {both}")
    if math.prod(shape[1:]) != math.prod(other[1:]):
        counts = f"{math.prod(shape[1:])} and {math.prod(other[1:])}"
        fail("GC-S003", f"{both}: {counts} elements per sample")


def read_labels(
    label: F64, outer: int, inner: int, classes: int, ignore: int | None = None
) -> Labels:
    """Truncate labels to whole numbers, and see that each is one of 0 .. classes - 1.

    Raises GC-D003 for one that is not (NaN included), where Caffe reads beyond its arrays, and
    GC-S003 where there are not outer * inner of them.
    """
    if label.size != outer * inner:
        fail(
            "GC-S003", f"{label.size} labels of shape {label.shape} for {outer * inner} predictions"
        )
    with np.errstate(invalid="ignore"):
        whole = np.trunc(label)
        valid = np.ones(label.shape, np.bool_) if ignore is None else whole != ignore
        bad = valid & ~((whole >= 0) & (whole < classes))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        fail(
            "GC-D003",
            f"label {label[first]:g} at {list(first)} of shape {label.shape} is none of the "
            f"{classes} classes 0 to {classes - 1}",
            "labels count from 0; loss_param.ignore_label or accuracy_param.ignore_label names "
            "one to skip",
        )
    index = np.where(valid, whole, 0).astype(np.int64)
    return Labels(index.reshape(outer, inner), np.asarray(valid).reshape(outer, inner))


def class_labels(classes: int) -> Draw:
    """A sample's draw: whole numbers below `classes`."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> F64:
        return rng.integers(0, classes, shape).astype(np.float64)

    return draw


def mean_over(total: Any, count: int) -> F64:
    """total / count as a scalar; over an empty batch NaN, as in Caffe."""
    with np.errstate(all="ignore"):
        return np.asarray(np.float64(total) / count)
