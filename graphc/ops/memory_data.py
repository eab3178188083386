"""MemoryData: batches of arrays that the caller hands over."""

from __future__ import annotations

from graphc.data.memory import MemorySource
from graphc.data.transform import NO_TRANSFORM, TransformParam
from graphc.errors import fail
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops._source import FROM_FILES, SourceSpec
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class MemoryDataAttrs:
    """`transform_param` is for images that C++ callers add in Caffe; arrays come as they are."""

    batch_size: int = 0
    channels: int = 0
    height: int = 0
    width: int = 0
    transform_param: TransformParam = NO_TRANSFORM


class MemoryData(SourceSpec):
    """data[n,c,h,w], label[n,0,0,0] = the next rows of the arrays given, wrapping.

    data: (batch_size, channels, height, width), label: (batch_size, 1, 1, 1). The arrays have a
    multiple of batch_size rows. Raises GC-N008 for a field below 1, GC-R001 for wrong arrays.
    """

    type, param_field = "MemoryData", "memory_data_param"
    extra_fields = ("transform_param",)
    Attrs = MemoryDataAttrs
    tops = ("data", "label")

    @staticmethod
    def infer(a: MemoryDataAttrs, s: Sig) -> dict[str, Type]:
        shape = (a.batch_size, a.channels, a.height, a.width)
        if min(shape) < 1:
            fail("GC-N008", f"batch_size, channels, height, width are {shape}", "set all four")
        return {"data": Type(shape), "label": Type((a.batch_size, 1, 1, 1))}

    @staticmethod
    def open(a: MemoryDataAttrs, s: Sig, seed: int = 0) -> MemorySource:
        return MemorySource(s, a.batch_size, (a.channels, a.height, a.width))

    samples = (
        Sample((), MemoryDataAttrs(2, 3, 4, 5), tops=2),
        Sample((), MemoryDataAttrs(1, 1, 1, 1), tops=2),
    )
    limitations = (FROM_FILES,)
