"""HDF5Data: rows of HDF5 datasets."""

from __future__ import annotations

from contextlib import closing

from graphc.data.hdf5_source import Hdf5Source
from graphc.data.transform import NO_TRANSFORM, TransformParam
from graphc.errors import fail
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops._source import FROM_FILES, SourceSpec, needs_source, unbuilt
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class HDF5DataAttrs:
    source: str = ""
    batch_size: int = 0
    shuffle: bool = False
    transform_param: TransformParam = NO_TRANSFORM


class HDF5Data(SourceSpec):
    """y_t[n,...] = dataset called like top t [n,...], n = the next rows, file after file, wrapping.

    y_t: (batch_size, ...) as in the first file of the list. Integers and doubles become float32.
    Raises GC-N008 for a transform_param, GC-D001, GC-D002, GC-F001, GC-F003 for the files.
    """

    type, param_field = "HDF5Data", "hdf5_data_param"
    extra_fields = ("transform_param",)
    Attrs = HDF5DataAttrs
    tops = ("y*",)

    @staticmethod
    def infer(a: HDF5DataAttrs, s: Sig) -> dict[str, Type]:
        with closing(HDF5Data.open(a, unbuilt(s))) as source:
            return {role: Type(shape) for role, shape in source.shapes().items()}

    @staticmethod
    def open(a: HDF5DataAttrs, s: Sig, seed: int = 0) -> Hdf5Source:
        if a.transform_param != NO_TRANSFORM:
            fail("GC-N008", "HDF5Data takes no transform_param", "transform when writing the files")
        needs_source(a.source, "hdf5_data_param.source")
        return Hdf5Source(a.source, s, a.batch_size, shuffle=a.shuffle, seed=seed)

    samples = (
        Sample((), HDF5DataAttrs("files.txt", 4), tops=2),
        Sample((), HDF5DataAttrs("files.txt", 4, shuffle=True)),
    )
    limitations = (FROM_FILES,)
