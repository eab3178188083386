"""Data: labelled images from an LMDB."""

from __future__ import annotations

from contextlib import closing

from graphc.data.lmdb_source import LmdbRecords
from graphc.data.record_source import RecordSource
from graphc.data.transform import NO_TRANSFORM, Transformer, TransformParam
from graphc.errors import GraphError, fail
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops._source import FROM_FILES, SourceSpec, labelled, needs_source, unbuilt
from graphc.ops.spec import Limitation, Sample
from graphc.records import record


@record(frozen=True)
class DataAttrs:
    """`scale`, `mean_file`, `crop_size`, `mirror`: relics that Caffe reads and ignores here."""

    source: str = ""
    batch_size: int = 0
    rand_skip: int = 0
    backend: str = "LEVELDB"
    scale: float = 1.0
    mean_file: str = ""
    crop_size: int = 0
    mirror: bool = False
    force_encoded_color: bool = False
    prefetch: int = 4
    transform_param: TransformParam = NO_TRANSFORM


class Data(SourceSpec):
    """data[n,c,h,w], label[n] = transform(record), record = the next in key order, wrapping.

    data: (batch_size, C, H, W) as the first record states, H = W = crop_size where that is set.
    Records are Datum messages: bytes, floats, or an encoded image. LMDB only. Raises GC-U001 for
    LevelDB, GC-D001 and GC-F001 for the source, GC-D002 for records that do not fit.
    """

    type, param_field = "Data", "data_param"
    extra_fields = ("transform_param",)
    Attrs = DataAttrs
    tops = ("data", "label?")

    @staticmethod
    def infer(a: DataAttrs, s: Sig) -> dict[str, Type]:
        with closing(Data.open(a, unbuilt(s))) as source:
            return labelled(s, source.shape())

    @staticmethod
    def open(a: DataAttrs, s: Sig, seed: int = 0) -> RecordSource:
        needs_source(a.source, "data_param.source")
        if a.backend != "LMDB":
            fail(
                "GC-U001",
                f"source {a.source!r} has backend {a.backend} (the default is LEVELDB)",
                "convert it to LMDB and set backend: LMDB",
            )
        transform = Transformer(a.transform_param, s, seed)
        colour = "color" if a.force_encoded_color else transform.colour
        records = LmdbRecords(s.env.resolve(a.source), colour, s.env.limits)
        try:
            return RecordSource(records, transform, a.batch_size, a.rand_skip, a.prefetch)
        except GraphError:
            records.close()
            raise

    samples = (
        Sample((), DataAttrs("train_lmdb", 4, backend="LMDB"), tops=2),
        Sample((), DataAttrs("l", 2, 5, "LMDB", transform_param=TransformParam(mirror=True))),
    )
    limitations = (FROM_FILES, Limitation("LevelDB is not read; convert it to LMDB"))
