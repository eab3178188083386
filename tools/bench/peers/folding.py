"""Affine layers merged and folded, ReLUs attached: what ncnn's and PyTorch's users do beforehand.

ONNX Runtime, OpenVINO and OpenCV do it themselves when they load a network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bench.peers.plain import Array, Layer, Network

Rule = Callable[[Layer, Layer], Layer | None]
"""(a layer, its only reader) -> one layer in place of both, or None."""

PRODUCTS = ("conv", "inner_product")


def merge_scales(network: Network) -> Network:
    """A scale after a batch_norm becomes the batch_norm's weight and bias, as other formats hold
    the pair."""
    return _rewrite(network, _merge)


def fold(network: Network) -> Network:
    """batch_norm and scale go into the convolution or inner product before them, then ReLUs."""
    return _rewrite(_rewrite(merge_scales(network), _fold), _attach)


def _rewrite(network: Network, rule: Rule) -> Network:
    readers = Counter(name for layer in network.layers for name in layer.ins)
    readers[network.output] += 1
    made: dict[str, Layer] = {}
    for layer in network.layers:
        source = layer.ins[0]
        alone = len(layer.ins) == 1 and readers[source] == 1 and source in made
        both = rule(made[source], layer) if alone else None
        if both is not None:
            del made[source]
        made[layer.out] = both or layer
    return replace(network, layers=tuple(made.values()))


def _both(first: Layer, second: Layer, **changes: Any) -> Layer:
    return replace(first, out=second.out, shape=second.shape, **changes)


def _zeros(layer: Layer, like: Array) -> Array:
    return layer.arrays.get("bias", np.zeros(like.shape[0], np.float32))


def _merge(first: Layer, second: Layer) -> Layer | None:
    if (first.kind, second.kind) != ("batch_norm", "scale"):
        return None
    weight = second.arrays["weight"]
    arrays = dict(first.arrays)
    arrays["bias"] = first.arrays["bias"] * weight + _zeros(second, weight)
    arrays["weight"] = first.arrays["weight"] * weight
    return _both(first, second, arrays=arrays)


def affine(layer: Layer) -> tuple[Array, Array]:
    """(factor, shift) per channel of a batch_norm or scale, worked out in float64."""
    if layer.kind == "scale":
        return layer.arrays["weight"], _zeros(layer, layer.arrays["weight"])
    a = {name: array.astype(np.float64) for name, array in layer.arrays.items()}
    factor = a["weight"] / np.sqrt(a["variance"] + layer.options["eps"])
    shift = a["bias"] - a["mean"] * factor
    return factor.astype(np.float32), shift.astype(np.float32)


def _fold(first: Layer, second: Layer) -> Layer | None:
    if first.kind not in PRODUCTS or second.kind not in ("batch_norm", "scale"):
        return None
    factor, shift = affine(second)
    weight = first.arrays["weight"]
    scaled = weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
    arrays = {"weight": scaled, "bias": _zeros(first, weight) * factor + shift}
    return _both(first, second, arrays=arrays)


def _attach(first: Layer, second: Layer) -> Layer | None:
    if first.kind not in PRODUCTS or second.kind != "relu" or second.options["slope"]:
        return None
    return _both(first, second, options={**first.options, "relu": True})
