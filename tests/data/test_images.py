"""Image decoding: planes, grey, depth, refusals; resizing."""

from __future__ import annotations

import io
import sys
import zlib

import numpy as np
import pytest
from data.makers import pictures, png
from PIL import Image

from graphc.data.images import decode_image, resize
from graphc.errors import GraphError
from graphc.limits import Limits

(RGB,) = pictures(1, 5, 7, 3)
BGR = RGB[..., ::-1].transpose(2, 0, 1)


def decode(data: bytes, colour: str = "native") -> np.ndarray:
    return decode_image(data, colour, Limits())  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["PNG", "BMP", "PPM", "TIFF"])
@pytest.mark.parametrize("colour", ["color", "native"])
def test_colour_planes(form: str, colour: str) -> None:
    found = decode(png(RGB, form), colour)
    assert found.dtype == np.uint8 and np.array_equal(found, BGR)


def test_grey() -> None:
    found = decode(png(RGB), "gray")
    exact = RGB @ np.array([0.299, 0.587, 0.114])
    assert found.shape == (1, 5, 7)
    assert np.abs(found[0] - (exact - 0.5)).max() < 0.52  # rounded down
    plain = RGB[..., 0]
    assert np.array_equal(decode(png(plain))[0], plain)
    assert np.array_equal(decode(png(plain), "color"), np.stack([plain] * 3))


def test_grey_jpeg_is_its_luma() -> None:
    data = png(np.repeat(np.repeat(RGB, 8, 0), 8, 1), "JPEG")
    luma = Image.open(io.BytesIO(data))
    luma.draft("L", None)
    assert np.array_equal(decode(data, "gray")[0], np.asarray(luma))
    assert decode(data, "color").shape == (3, 40, 56)


def test_alpha_and_palette() -> None:
    alpha = np.concatenate([RGB, np.full((5, 7, 1), 9, np.uint8)], axis=2)
    assert np.array_equal(decode(png(alpha), "color"), BGR)
    assert np.array_equal(decode(png(alpha)), np.concatenate([BGR, np.full((1, 5, 7), 9)]))
    out = io.BytesIO()
    few = Image.fromarray(RGB // 100 * 100).quantize(256)
    few.save(out, "PNG")
    assert np.array_equal(decode(out.getvalue(), "color"), BGR // 100 * 100)


def test_sixteen_bits_keep_the_upper_byte() -> None:
    wide = np.array([[0, 255, 256, 65535]], np.uint16)
    assert decode(png(wide), "gray").tolist() == [[[0, 0, 1, 255]]]


@pytest.mark.parametrize("data", [b"", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG\r\n"])
def test_not_an_image(data: bytes) -> None:
    with pytest.raises(GraphError) as caught:
        decode(data)
    assert caught.value.code == "GC-D001" and "0x" not in caught.value.message


def test_disturbed_images_decode_or_raise() -> None:
    rng = np.random.default_rng(0)
    for form in ("PNG", "JPEG", "BMP", "TIFF", "GIF", "PPM", "WEBP"):
        whole = png(np.repeat(np.repeat(RGB, 4, 0), 4, 1), form)
        for _ in range(40):
            data = bytearray(whole)
            for _ in range(3):
                data[rng.integers(len(data))] = rng.integers(256)
            try:
                decode(bytes(data[: rng.integers(len(data) // 2, len(data) + 1)]), "color")
            except GraphError as error:
                assert error.code in ("GC-D001", "GC-L001")


def test_pixels_are_bounded_before_decoding() -> None:
    with pytest.raises(GraphError, match="GC-L001"):
        decode_image(png(RGB), "color", Limits(image_pixels=34))
    header = png(np.zeros((1, 1), np.uint8))
    huge = header[:16] + (60000).to_bytes(4, "big") * 2 + header[24:]
    huge = huge[:29] + zlib.crc32(huge[12:29]).to_bytes(4, "big") + huge[33:]
    with pytest.raises(GraphError, match="GC-L001"):
        decode(huge)


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(GraphError, match=r"graphc\[data\]") as caught:
        decode(b"")
    assert caught.value.code == "GC-U002"


@pytest.mark.parametrize("size", [(5, 7), (10, 14), (3, 3), (1, 1), (9, 4), (40, 2)])
def test_resize_samples_at_pixel_centres(size: tuple[int, int]) -> None:
    found = resize(BGR, *size)
    assert found.shape == (3, *size) and found.dtype == np.uint8
    for i in range(size[0]):
        for j in range(size[1]):
            y = min(max((i + 0.5) * 5 / size[0] - 0.5, 0), 4)
            x = min(max((j + 0.5) * 7 / size[1] - 0.5, 0), 6)
            top, left = int(y), int(x)
            below, right = min(top + 1, 4), min(left + 1, 6)
            square = BGR[:, [top, top, below, below], [left, right, left, right]].astype(float)
            fy, fx = y - top, x - left
            weights = [(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx]
            assert np.abs(square @ weights - found[:, i, j]).max() <= 0.5 + 1e-4


def test_halving_averages() -> None:
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4) * 4
    assert resize(image, 2, 2).tolist() == [[[10, 18], [42, 50]]]
