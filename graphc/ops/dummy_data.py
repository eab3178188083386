"""DummyData: filler values as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from graphc.data.dummy import DummySource
from graphc.data.source import Array
from graphc.errors import fail
from graphc.ir.op import Filler, Param, Sig
from graphc.ir.types import Type
from graphc.ops._blob_shape import BlobShape
from graphc.ops._source import SourceSpec
from graphc.ops.fillers import fill
from graphc.ops.spec import Sample
from graphc.records import record

T = TypeVar("T")


@record(frozen=True)
class DummyDataAttrs:
    data_filler: tuple[Filler, ...] = ()
    num: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    height: tuple[int, ...] = ()
    width: tuple[int, ...] = ()
    shape: tuple[BlobShape, ...] = ()


class DummyData(SourceSpec):
    """y_t = filler_t: constants once, random values anew in each forward.

    y_t: the t-th `shape`, or num, channels, height, width; a single one of each (and of the
    fillers) serves all tops, and without any filler the values are 0. Raises GC-N008 for other
    counts.
    """

    type, param_field = "DummyData", "dummy_data_param"
    Attrs = DummyDataAttrs
    tops = ("y*",)

    @staticmethod
    def infer(a: DummyDataAttrs, s: Sig) -> dict[str, Type]:
        _fillers(a, s)
        return {role: Type(dims) for role, dims in zip(s.tops, _shapes(a, s), strict=True)}

    @staticmethod
    def rebatch(a: DummyDataAttrs, batch: int) -> DummyDataAttrs:
        shape = tuple(BlobShape((batch, *x.dim[1:])) if x.dim else x for x in a.shape)
        return replace(a, shape=shape, num=(batch,) * len(a.num))

    @staticmethod
    def open(a: DummyDataAttrs, s: Sig, seed: int = 0) -> DummySource:
        shapes = s.outs or DummyData.infer(a, s)
        fillers = dict(zip(s.tops, _fillers(a, s), strict=True))

        def draw(role: str, step: int) -> Array:
            param = Param(role, shapes[role].shape, fillers[role])
            return fill(param, seed=seed, layer=f"{s.name}:{role}", index=step)

        constant = frozenset(role for role in s.tops if fillers[role].type == "constant")
        return DummySource(s.tops, constant, draw)

    samples = (
        Sample((), DummyDataAttrs(shape=(BlobShape((2, 3)),))),
        Sample((), DummyDataAttrs((Filler("gaussian"),), (2,), (3,), (4,), (5, 6)), tops=2),
        Sample((), DummyDataAttrs(shape=(BlobShape((2, 3)), BlobShape(()))), tops=2),
    )


def _per_top(values: Sequence[T], s: Sig, what: str) -> Sequence[T]:
    """One value for each top: as given, or the only one for all. Raises GC-N008."""
    count = len(s.tops)
    if len(values) not in (1, count):
        fail("GC-N008", f"{len(values)} {what} for {count} tops", "give one, or one per top")
    return tuple(values) * count if len(values) == 1 else values


def _fillers(a: DummyDataAttrs, s: Sig) -> Sequence[Filler]:
    return _per_top(a.data_filler or (Filler(),), s, "data_filler")


def _shapes(a: DummyDataAttrs, s: Sig) -> list[tuple[int, ...]]:
    old = {"num": a.num, "channels": a.channels, "height": a.height, "width": a.width}
    if not a.shape:
        return list(zip(*(_per_top(v, s, name) for name, v in old.items()), strict=True))
    if any(old.values()):
        fail("GC-N008", "both shape and num, channels, height, width are given", "keep shape")
    return [x.dim for x in _per_top(a.shape, s, "shape")]
