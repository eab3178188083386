"""Layers whose kernels sum products: values, comparison, and runs with what such kernels fuse."""

from __future__ import annotations

from typing import Any

import numpy as np
from core.rows import Array, Layer, close, packed, spec

from graphc import _core

ISAS = ("portable", "avx2", "avx512")


def filled(layer: Layer, seed: int = 0) -> dict[str, Array]:
    """Normal values for every operand."""
    rng = np.random.default_rng(seed)
    types = {**layer.sig.ins, **layer.sig.params}
    return {role: rng.standard_normal(t.shape).astype(np.float32) for role, t in types.items()}


def products(layer: Layer) -> int:
    """How many are in one sum of the layer's output."""
    tops = sum(layer.sig.outs[role].size for role in layer.sig.tops)
    return layer.op.macs(layer.attrs, "forward", layer.sig) // max(1, tops)


def agree(
    layer: Layer, values: dict[str, Array] | None = None, long: int = 0, **how: Any
) -> dict[str, Array]:
    """Compare with the reference, and one thread with three bit for bit; returns the results.

    `long`: products in the longest sum, if that is not what `products` says.
    """
    values = filled(layer) if values is None else values
    made, wanted = layer.run(values, **how)
    threaded, _ = layer.run(values, threads=3, **how)
    for role, array in made.items():
        what = f"{layer.op.type} {layer.attrs}: {role}"
        close(array, wanted[role], what, long or products(layer))
        assert array.tobytes() == threaded[role].tobytes(), what
    return made


def fused(layer: Layer, values: dict[str, Array], y: Array, *more: Array, **told: Any) -> None:
    """Run the layer's first kernel with operands `more` and attributes `told` added."""
    row = layer.usable(layer.op.forwards(layer.attrs, layer.sig)[0])[0]
    attrs = {**row.attrs(layer.attrs, layer.sig), **told} if row.attrs else told
    reads = dict(values)
    for pack in row.packs:
        size = pack.size(layer.attrs, layer.sig)
        reads[pack.of] = packed(pack.symbol, reads[pack.of], size, attrs, 1)
    operands = [*reads.values(), *more]
    kernel = _core.make_kernel(row.symbol, [spec(r) for r in operands], [spec(y)], attrs)
    kernel.run(operands, [y])
