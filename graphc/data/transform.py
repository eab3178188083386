"""Transformer: y = (crop(x) - mean) * scale, then perhaps mirrored; Caffe's order exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from graphc.data.blob import read_blob
from graphc.data.draws import Span, below, record_draws
from graphc.data.images import Colour, Planes
from graphc.errors import fail
from graphc.ir.op import Sig
from graphc.records import record


@record(frozen=True)
class TransformParam:
    """The fields of `transform_param`; names and defaults are Caffe's."""

    scale: float = 1.0
    mirror: bool = False
    crop_size: int = 0
    mean_file: str = ""
    mean_value: tuple[float, ...] = ()
    force_color: bool = False
    force_gray: bool = False


NO_TRANSFORM = TransformParam()


class Transformer:
    """Transforms records; the result depends on (seed, layer, record, epoch) alone.

    Crop: at random in TRAIN, else centred, rounded down. Mirror: a coin flip in both phases. The
    mean file is subtracted at the uncropped position and read on first use. Raises GC-D002 for
    contradicting options.
    """

    def __init__(self, param: TransformParam, s: Sig, seed: int) -> None:
        self.param, self.sig, self.seed = param, s, seed
        if param.mean_file and param.mean_value:
            fail("GC-D002", "transform_param has both mean_file and mean_value", "keep one of them")
        if param.force_color and param.force_gray:
            fail("GC-D002", "transform_param has both force_color and force_gray")
        if param.crop_size < 0:
            fail("GC-N008", f"crop_size is {param.crop_size}")
        self._mean: npt.NDArray[np.float32] | None = None

    @property
    def colour(self) -> Colour:
        """How an encoded image is to be decoded."""
        if self.param.force_color:
            return "color"
        return "gray" if self.param.force_gray else "native"

    def shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """(C, H, W) of the result for an image of `shape`. Raises GC-D002 if the crop is larger."""
        channels, height, width = shape
        crop = self.param.crop_size
        if not crop:
            return channels, height, width
        if crop > height or crop > width:
            fail("GC-D002", f"crop_size {crop} exceeds an image of {height} x {width} (H x W)")
        return channels, crop, crop

    def __call__(self, image: Planes, record: int, epoch: int) -> npt.NDArray[np.float32]:
        """Transform `image` (C, H, W): float32 of `shape`."""
        y: npt.NDArray[np.float32] = self.batch(image[None], [Span(record, epoch)])[0]
        return y

    def batch(self, images: Planes, records: Sequence[Span]) -> npt.NDArray[np.float32]:
        """Transform `images` (N, C, H, W), which are those `records`: float32 (N, *shape)."""
        count, *shape = images.shape
        channels, height, width = self.shape(tuple(shape))
        out = np.empty((count, channels, height, width), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = self._mean_for(images.shape[1:])
            if self._is_random:
                for at, (down, right, mirrored) in enumerate(self._choices(shape, records)):
                    window = np.s_[..., down : down + height, right : right + width]
                    target = out[at, :, :, ::-1] if mirrored else out[at]
                    _subtract(images[at][window], None if mean is None else mean[window], target)
            else:
                down, right = (
                    (s - e) // 2 for s, e in zip(shape[1:], (height, width), strict=True)
                )
                window = np.s_[..., down : down + height, right : right + width]
                _subtract(images[window], None if mean is None else mean[window], out)
            if self.param.scale != 1:
                out *= np.float32(self.param.scale)
        return out

    @property
    def _is_random(self) -> bool:
        return self.param.mirror or (self.param.crop_size > 0 and self.sig.train)

    def _choices(
        self, shape: Sequence[int], records: Sequence[Span]
    ) -> Iterator[tuple[int, int, bool]]:
        """Of each record the window's offsets (down, right), and whether to mirror."""
        crop = self.param.crop_size
        spare = (shape[1] - crop, shape[2] - crop) if crop else (0, 0)
        for span in records:
            drawn = record_draws(span, seed=self.seed, layer=self.sig.name, purpose="transform")
            if crop and self.sig.train:
                downs, rights = (below(spare[axis] + 1, drawn[:, axis]).tolist() for axis in (0, 1))
            else:
                downs, rights = ([spare[axis] // 2] * span.count for axis in (0, 1))
            coins = below(2, drawn[:, 2]) * self.param.mirror
            yield from zip(downs, rights, (coins == 1).tolist(), strict=True)

    def _mean_for(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32] | None:
        """The mean of an image before cropping, of its full height and width; None for none."""
        if self.param.mean_file:
            return self._mean_image(shape)
        if self.param.mean_value:
            return np.broadcast_to(self._mean_values(shape[0]), shape)
        return None

    def _mean_values(self, channels: int) -> npt.NDArray[np.float32]:
        values = self.param.mean_value
        if len(values) not in (1, channels):
            fail("GC-D002", f"{len(values)} mean_value for {channels} channels", "give 1 or all")
        return np.array(values, np.float64).astype(np.float32)[:, None, None]

    def _mean_image(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """The mean image; legacy (1, C, H, W) or (C, H, W), of the uncropped image's shape."""
        name = self.param.mean_file
        if self._mean is None:
            self._mean = read_blob(self.sig.env.resolve(name), self.sig.env.limits)
            if self._mean.ndim == 4 and self._mean.shape[0] == 1:
                self._mean = self._mean[0]
        if self._mean.shape != shape:
            fail(
                "GC-D002",
                f"mean_file {name!r} has shape {self._mean.shape}, the image {shape} before "
                "cropping",
                "make the mean from images of the same size",
            )
        return self._mean


def _subtract(
    images: Planes, mean: npt.NDArray[np.float32] | None, out: npt.NDArray[np.float32]
) -> None:
    """out = images - mean, in float32."""
    out[...] = images
    if mean is not None:
        out -= mean
