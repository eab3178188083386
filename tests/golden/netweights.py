"""The rules by which the whole-net goldens got their weights and inputs.

Each layer with parameters has a random stream of its own, seeded by the net's seed and the layer's
name; its blobs are drawn in order, in float64, and rounded to float32.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

FAN_IN_TYPES = {"Convolution", "Deconvolution", "InnerProduct"}


def stream(seed: int, layer: str) -> np.random.RandomState:
    return np.random.RandomState((seed * 1_000_003 + zlib.crc32(layer.encode())) % 2**32)


def draw_blob(
    rng: np.random.RandomState, type_: str, index: int, shape: tuple[int, ...]
) -> np.ndarray:
    """One blob of a layer: weights scaled by fan-in, small biases, positive variances."""
    if type_ in FAN_IN_TYPES:
        fan_in = int(np.prod(shape[1:], dtype=np.int64))
        spread = np.sqrt(2.0 / fan_in) if index == 0 else 0.05
        return rng.standard_normal(shape) * spread
    if type_ == "BatchNorm":
        if index == 2:
            return np.ones(shape)
        return rng.uniform(0.5, 1.5, shape) if index == 1 else rng.standard_normal(shape) * 0.1
    if type_ == "Scale":
        return rng.uniform(0.4, 0.9, shape) if index == 0 else rng.standard_normal(shape) * 0.05
    return rng.standard_normal(shape) * 0.1


def fill_weights(
    seed: int, layers: Sequence[tuple[str, str, list[np.ndarray]]], last_scale: float
) -> None:
    """Fill the blobs of `layers` (name, type, arrays), those that own parameters, in net order.

    `last_scale` multiplies the first blob of the last of them, if that has a fan-in.
    """
    for position, (name, type_, blobs) in enumerate(layers):
        rng = stream(seed, name)
        for index, blob in enumerate(blobs):
            drawn = draw_blob(rng, type_, index, blob.shape)
            if position == len(layers) - 1 and index == 0 and type_ in FAN_IN_TYPES:
                drawn = drawn * last_scale
            blob[...] = drawn.astype(np.float32)


def net_input(seed: int, shape: Sequence[int], scale: float) -> np.ndarray:
    return (np.random.RandomState(seed + 1).uniform(-1, 1, shape) * scale).astype(np.float32)


def top_gradient(seed: int, shape: Sequence[int]) -> np.ndarray:
    return (10 * np.random.RandomState(seed + 2).standard_normal(shape)).astype(np.float32)


def sample_index(count: int, samples: int) -> np.ndarray:
    """Evenly spread flat indices into `count` elements."""
    return np.arange(samples, dtype=np.int64) * count // samples


def statistics(array: np.ndarray) -> np.ndarray:
    """Mean, standard deviation, largest magnitude, l2 norm."""
    flat = np.asarray(array, np.float64).ravel()
    return np.array([flat.mean(), flat.std(), np.abs(flat).max(), np.sqrt((flat * flat).sum())])
