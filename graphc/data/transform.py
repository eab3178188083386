"""Transformer: y = (crop(x) - mean) * scale, then perhaps mirrored; Caffe's order exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from graphc.data.blob import read_blob
from graphc.data.draws import below, record_draws
from graphc.data.images import Colour
from graphc.errors import fail
from graphc.ir.op import Sig
from graphc.records import record

Planes = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


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
    """Transforms one record at a time; the result depends on (seed, layer, record, epoch) alone.

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
        channels, height, width = self.shape(image.shape)
        down, right, mirrored = self._choose(image.shape, record, epoch)
        window = (slice(None), slice(down, down + height), slice(right, right + width))
        y = image[window].astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.param.mean_file:
                y -= self._mean_image(image.shape)[window]
            elif self.param.mean_value:
                y -= self._mean_values(channels)
            if self.param.scale != 1:
                y *= np.float32(self.param.scale)
        return y[:, :, ::-1] if mirrored else y

    def _choose(self, shape: tuple[int, ...], record: int, epoch: int) -> tuple[int, int, bool]:
        """Offsets of the window (down, right), and whether to mirror."""
        crop = self.param.crop_size
        spare = (shape[1] - crop, shape[2] - crop) if crop else (0, 0)
        at_random = crop > 0 and self.sig.train
        if not at_random and not self.param.mirror:
            return spare[0] // 2, spare[1] // 2, False
        drawn = record_draws(
            seed=self.seed, layer=self.sig.name, purpose="transform", record=record, epoch=epoch
        )
        down, right = (
            (below(spare[0] + 1, drawn[0]), below(spare[1] + 1, drawn[1]))
            if at_random
            else (spare[0] // 2, spare[1] // 2)
        )
        return down, right, self.param.mirror and below(2, drawn[2]) == 1

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
