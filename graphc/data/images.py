"""Image files as planes: decode with Pillow, grey and resize as Caffe's OpenCV does.

An image is (C, H, W) uint8; three channels are blue, green, red.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from graphc.errors import GraphError, fail
from graphc.limits import Limits

if TYPE_CHECKING:
    from types import ModuleType

Image: TypeAlias = npt.NDArray[np.uint8]
Planes: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Colour: TypeAlias = Literal["color", "gray", "native"]
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "TIFF", "GIF", "WEBP")  # none that starts other programs


def pillow() -> ModuleType:
    """PIL.Image. Raises GC-U002 where Pillow is not installed."""
    try:
        from PIL import Image as module
    except ImportError:
        fail("GC-U002", "images need the package Pillow", "pip install 'graphc[data]'")
    return module


def open_image(data: bytes | memoryview, limits: Limits) -> Any:
    """A Pillow image whose size has been checked and whose pixels are not decoded yet.

    Raises GC-D001 if it is none, GC-L001 above `image_pixels` (or what Pillow itself allows).
    """
    module = pillow()
    try:
        image = module.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
    except (module.DecompressionBombError, module.DecompressionBombWarning) as error:
        fail("GC-L001", f"image: {error}")
    except Exception as error:  # Pillow lets errors of many kinds through
        reason = "" if isinstance(error, module.UnidentifiedImageError) else f": {error}"
        fail("GC-D001", f"{len(data):,} bytes are no image ({', '.join(FORMATS)}){reason}")
    limits.check("image_pixels", width * height, f"an image of {width} x {height} pixels")
    return image


def decode_image(data: bytes | memoryview, colour: Colour, limits: Limits) -> Image:
    """Decode to (3, H, W) BGR for "color", (1, H, W) for "gray", what is there for "native".

    Alpha is dropped unless native. 16-bit samples keep their upper byte. A JPEG's orientation tag
    is not applied. Raises GC-D001, GC-L001, GC-U002.
    """
    image = open_image(data, limits)
    try:
        if colour == "gray" and image.format == "JPEG":
            image.draft("L", None)  # the luma the file stores, not one made from RGB
        return _planes(image, colour)
    except GraphError:
        raise
    except Exception as error:  # as above; also zlib.error, struct.error, MemoryError
        fail("GC-D001", f"broken image: {type(error).__name__}: {error}")


def _planes(image: Any, colour: Colour) -> Image:
    mode: str = image.mode
    if mode.startswith("I"):
        single = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
    elif mode in ("L", "1"):
        single = np.asarray(image.convert("L"), np.uint8)
    else:
        keep_alpha = colour == "native" and mode in ("RGBA", "LA", "PA")
        rgb = np.asarray(image.convert("RGBA" if keep_alpha else "RGB"), np.uint8)
        if colour == "gray":
            return _grey(rgb)[None]
        order = (2, 1, 0, 3) if keep_alpha else (2, 1, 0)
        return np.ascontiguousarray(rgb.transpose(2, 0, 1)[list(order)])
    return np.repeat(single[None], 3 if colour == "color" else 1, axis=0)


def _grey(rgb: Image) -> Image:
    """0.299 R + 0.587 G + 0.114 B in the 15-bit integers of libpng, rounded down."""
    wide = rgb.astype(np.int32)
    weighted = 9798 * wide[..., 0] + 19234 * wide[..., 1] + 3736 * wide[..., 2]
    return (weighted >> 15).astype(np.uint8)


def resize(image: Image, height: int, width: int) -> Image:
    """Bilinear without smoothing: output pixel i samples the input at (i + 0.5) * in / out - 0.5.

    OpenCV's INTER_LINEAR up to one grey level (it interpolates in 11-bit integers).
    """
    if image.shape[1:] == (height, width):
        return image
    rows, down, fy = _taps(image.shape[1], height)
    cols, right, fx = _taps(image.shape[2], width)
    top, bottom = image[:, rows].astype(np.float32), image[:, down].astype(np.float32)
    fy = fy[None, :, None]
    lines = top * (1 - fy) + bottom * fy
    mixed = lines[:, :, cols] * (1 - fx) + lines[:, :, right] * fx
    return np.floor(mixed + 0.5).astype(np.uint8)


def _taps(
    size: int, out: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """First and second source index of every output index, and the weight of the second."""
    at = ((np.arange(out) + 0.5) * (size / out) - 0.5).clip(0, size - 1)
    first = np.floor(at).astype(np.int64)
    return first, np.minimum(first + 1, size - 1), (at - first).astype(np.float32)
