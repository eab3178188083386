"""SPP: spatial pyramid pooling, stock layers in one name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from graphc.errors import GraphError, fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.ops.pooling import Pooling, PoolingAttrs
from graphc.ops.spec import Layer, OpSpec, Sample
from graphc.records import record


@record(frozen=True)
class SPPAttrs:
    pyramid_height: int = 0
    pool: str = "MAX"
    engine: str = "DEFAULT"


class SPP(OpSpec):
    """y[n] = all of pool(x[n], 1 x 1 bins), pool(x[n], 2 x 2 bins), ... 2^(height - 1), in a row.

    x: (N, C, H, W). y: (N, C * total bins); with pyramid_height 1 the pooled (N, C, 1, 1) itself.
    A level's windows are ceil(size / bins) wide, next to each other, the image centred in them.
    Source: He et al. 2014, "Spatial pyramid pooling in deep convolutional networks".
    """

    type, param_field = "SPP", "spp_param"
    Attrs = SPPAttrs
    traits = frozenset({Trait.BATCH_SEPARABLE, Trait.SIZED})

    @staticmethod
    def infer(a: SPPAttrs, s: Sig) -> dict[str, Type]:
        levels = [t for _, t in _levels(a, s)]
        if len(levels) == 1:
            return {"y": levels[0]}
        return {"y": Type((s.ins["x"].shape[0], sum(t.count(1) for t in levels)))}

    @staticmethod
    def expand(a: SPPAttrs, s: Sig) -> tuple[Layer, ...]:
        from graphc.ops.concat import Concat, ConcatAttrs
        from graphc.ops.flatten import Flatten, FlattenAttrs

        pools = [attrs for attrs, _ in _levels(a, s)]
        if len(pools) == 1:
            return (Layer(Pooling, "pool0", pools[0], ("x",), ("y",)),)
        layers: list[Layer] = []
        for i, attrs in enumerate(pools):
            layers.append(Layer(Pooling, f"pool{i}", attrs, ("x",), (f"pool{i}",)))
            layers.append(
                Layer(Flatten, f"flatten{i}", FlattenAttrs(), (f"pool{i}",), (f"flatten{i}",))
            )
        flat = tuple(f"flatten{i}" for i in range(len(pools)))
        return (*layers, Layer(Concat, "concat", ConcatAttrs(), flat, ("y",)))

    samples = (
        Sample(((2, 2, 5, 4),), SPPAttrs(pyramid_height=2)),
        Sample(((1, 2, 4, 4),), SPPAttrs(pyramid_height=3, pool="AVE")),
        Sample(((2, 2, 3, 4),), SPPAttrs(pyramid_height=1)),
        Sample(((0, 2, 5, 4),), SPPAttrs(pyramid_height=2)),
    )


def _levels(a: SPPAttrs, s: Sig) -> Iterator[tuple[PoolingAttrs, Type]]:
    """Each level's pooling and its result. Raises GC-N008, GC-S002."""
    x = s.ins["x"]
    if a.pyramid_height < 1:
        fail("GC-N008", f"pyramid_height is {a.pyramid_height}, but must be at least 1")
    if x.rank != 4 or 0 in x.shape[2:]:
        fail("GC-S002", f"x has shape {x.shape}, but SPP takes (N, C, H, W) with H, W over 0")
    for level in range(a.pyramid_height):
        bins = 1 << level
        (kernel_h, pad_h), (kernel_w, pad_w) = (_bin(size, bins) for size in x.shape[2:])
        attrs = PoolingAttrs(
            pool=a.pool,
            pad_h=pad_h,
            pad_w=pad_w,
            kernel_h=kernel_h,
            kernel_w=kernel_w,
            stride_h=kernel_h,
            stride_w=kernel_w,
        )
        try:
            pooled = Pooling.infer(attrs, replace(s, tops=("y",)))["y"]
        except GraphError as error:
            error.message = f"pyramid level {level} ({bins} x {bins} bins): {error.message}"
            raise
        yield attrs, pooled


def _bin(size: int, bins: int) -> tuple[int, int]:
    """(kernel = stride, pad) that cut `size` elements into `bins` windows."""
    kernel = -(-size // bins)
    return kernel, (kernel * bins - size + 1) // 2
