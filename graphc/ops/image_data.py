"""ImageData: labelled images from files named in a list."""

from __future__ import annotations

from contextlib import closing

from graphc.data.image_list import ImageListOptions, ImageListRecords
from graphc.data.record_source import RecordSource
from graphc.data.transform import NO_TRANSFORM, Transformer, TransformParam
from graphc.errors import fail
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops._source import FROM_FILES, SourceSpec, labelled, needs_source, unbuilt
from graphc.ops.spec import Limitation, Sample
from graphc.records import record


@record(frozen=True)
class ImageDataAttrs:
    """`scale`, `mean_file`, `crop_size`, `mirror`: relics that Caffe reads and ignores here."""

    source: str = ""
    batch_size: int = 1
    rand_skip: int = 0
    shuffle: bool = False
    new_height: int = 0
    new_width: int = 0
    is_color: bool = True
    scale: float = 1.0
    mean_file: str = ""
    crop_size: int = 0
    mirror: bool = False
    root_folder: str = ""
    transform_param: TransformParam = NO_TRANSFORM


class ImageData(SourceSpec):
    """data[n,c,h,w], label[n] = transform(image), image = the next line of the list, wrapping.

    data: (batch_size, 3 or 1, H, W), blue, green, red; H and W of the first image, or new_height
    and new_width (both or none), or crop_size. A line is a path, a space and a label. Raises
    GC-D001 and GC-F001 for list and images, GC-D002 for bad lines and sizes that differ.
    """

    type, param_field = "ImageData", "image_data_param"
    extra_fields = ("transform_param",)
    Attrs = ImageDataAttrs
    tops = ("data", "label?")

    @staticmethod
    def infer(a: ImageDataAttrs, s: Sig) -> dict[str, Type]:
        with closing(ImageData.open(a, unbuilt(s))) as source:
            return labelled(s, source.shape())

    @staticmethod
    def open(a: ImageDataAttrs, s: Sig, seed: int = 0) -> RecordSource:
        needs_source(a.source, "image_data_param.source")
        size = (a.new_height, a.new_width)
        if min(size) < 0 or (min(size) == 0) != (max(size) == 0):
            fail(
                "GC-N008",
                f"new_height is {size[0]} and new_width {size[1]}",
                "set both, or none to keep the images' own size",
            )
        options = ImageListOptions(
            a.source, a.root_folder, size if max(size) else None, not a.is_color, a.shuffle
        )
        transform = Transformer(a.transform_param, s, seed)
        records = ImageListRecords(options, s, seed)
        return RecordSource(records, transform, a.batch_size, a.rand_skip)

    samples = (
        Sample((), ImageDataAttrs("train.txt", 4, new_height=8, new_width=8), tops=2),
        Sample((), ImageDataAttrs("l", transform_param=TransformParam(mean_value=(1, 2, 3)))),
    )
    limitations = (
        FROM_FILES,
        Limitation("resized images may differ from OpenCV's by one grey level"),
        Limitation("the orientation tag of a JPEG is not applied"),
    )
