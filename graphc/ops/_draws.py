"""Values for samples where standard normal ones would leave a layer's domain."""

from __future__ import annotations

from graphc.numpy_later import np
from graphc.ops.spec import F64


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> F64:
    """Uniform in [0.5, 2)."""
    return rng.uniform(0.5, 2.0, shape)
