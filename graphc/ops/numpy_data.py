"""NumpyData: rows of the arrays of a .npz or .npy file."""

from __future__ import annotations

from contextlib import closing

from graphc.data.numpy_source import NumpySource
from graphc.data.transform import NO_TRANSFORM, Transformer, TransformParam
from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.ops._source import FROM_FILES, SourceSpec, needs_source, unbuilt
from graphc.ops.spec import Limitation, Sample
from graphc.records import record


@record(frozen=True)
class NumpyDataAttrs:
    source: str = ""
    batch_size: int = 0
    array: tuple[str, ...] = ()
    shuffle: bool = False
    prefetch: int = 4
    transform_param: TransformParam = NO_TRANSFORM


class NumpyData(SourceSpec):
    """y_t[n,...] = array_t[r,...], r = the next rows, wrapping; images transformed as by Data.

    y_t: (batch_size, ...) as array_t is. The arrays are called like the tops, unless `array` names
    them; a .npy has one, for one top. Any numbers become float32. transform_param is for the first
    top, then (N, C, H, W). With shuffle each epoch has an order of its own. Raises GC-N008 for
    another number of arrays than of tops, GC-D001, GC-D002, GC-F001 and GC-L001 for the file.
    """

    type, param_field = "NumpyData", "numpy_data_param"
    extra_fields = ("transform_param",)
    Attrs = NumpyDataAttrs
    tops = ("y*",)
    traits = frozenset({Trait.EXTENSION})

    @staticmethod
    def infer(a: NumpyDataAttrs, s: Sig) -> dict[str, Type]:
        with closing(NumpyData.open(a, unbuilt(s))) as source:
            return {role: Type(shape) for role, shape in source.shapes().items()}

    @staticmethod
    def open(a: NumpyDataAttrs, s: Sig, seed: int = 0) -> NumpySource:
        needs_source(a.source, "numpy_data_param.source")
        if a.array and len(a.array) != len(s.tops):
            told = f"{len(a.array)} arrays for {len(s.tops)} tops"
            fail("GC-N008", told, "name one for each top, or none")
        names = a.array or s.top_names
        transform, path = Transformer(a.transform_param, s, seed), s.env.resolve(a.source)
        return NumpySource(
            path, names, transform, a.batch_size, shuffle=a.shuffle, ahead=a.prefetch
        )

    samples = (
        Sample((), NumpyDataAttrs("train.npz", 4, shuffle=True), tops=2),
        Sample((), NumpyDataAttrs("x.npy", 2, ("x",), transform_param=TransformParam(mirror=True))),
    )
    limitations = (FROM_FILES, Limitation("Caffe does not know this layer"))
