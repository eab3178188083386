"""softmax: shared by the layer and by the losses that hold one."""

from __future__ import annotations

from graphc.numpy_later import np
from graphc.ops.spec import F64


def softmax(x: F64, axis: int) -> F64:
    """exp(x - max x) / sum exp(x - max x) along `axis`; a NaN or +inf makes its whole row NaN."""
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
        return np.asarray(e / e.sum(axis=axis, keepdims=True))
