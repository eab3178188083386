"""Transformer against Caffe's formula written out pixel by pixel, and its random choices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.makers import blob, pictures, sig

from graphc.data.draws import Span, permutation, spans
from graphc.data.transform import Transformer, TransformParam
from graphc.errors import GraphError
from graphc.ir.types import Phase

(IMAGE,) = pictures(1, 3, 9, 8)


def transformer(base: Path, phase: Phase = "TEST", seed: int = 1, **param: Any) -> Transformer:
    return Transformer(TransformParam(**param), sig(base, phase=phase), seed)


def written_out(mean: np.ndarray | None, values: tuple[float, ...], crop: int, scale: float) -> Any:
    channels, height, width = IMAGE.shape
    size = (crop, crop) if crop else (height, width)
    down, right = ((height - crop) // 2, (width - crop) // 2) if crop else (0, 0)
    out = np.zeros((channels, *size))
    for c in range(channels):
        for i in range(size[0]):
            for j in range(size[1]):
                x = float(IMAGE[c, down + i, right + j])
                if mean is not None:
                    x -= float(mean[0, c, down + i, right + j])
                elif values:
                    x -= values[c % len(values)]
                out[c, i, j] = x * scale
    return out


@pytest.mark.parametrize("crop", [0, 1, 5, 8])
@pytest.mark.parametrize("values", [(), (100.0,), (1.0, 2.5, 3.0), "file"])
def test_formula(tmp_path: Path, crop: int, values: Any) -> None:
    mean = np.random.default_rng(0).uniform(0, 255, (1, *IMAGE.shape)).astype(np.float32)
    (tmp_path / "mean").write_bytes(blob(mean, legacy=True))
    param = {"mean_file": "mean"} if values == "file" else {"mean_value": values}
    found = transformer(tmp_path, crop_size=crop, scale=0.25, **param)(IMAGE, 0, 0)
    is_file = values == "file"
    expected = written_out(mean if is_file else None, () if is_file else values, crop, 0.25)
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_float_images(tmp_path: Path) -> None:
    image = np.linspace(-2, 300, 12, dtype=np.float32).reshape(1, 3, 4)
    assert np.array_equal(transformer(tmp_path)(image, 0, 0), image)
    assert np.array_equal(image, np.linspace(-2, 300, 12, dtype=np.float32).reshape(1, 3, 4))


def test_crops_while_training(tmp_path: Path) -> None:
    numbered = np.arange(72, dtype=np.float32).reshape(1, 9, 8)
    transform = transformer(tmp_path, "TRAIN", crop_size=6)
    found = [transform(numbered, record, 0) for record in range(400)]
    places = {divmod(int(y[0, 0, 0]), 8) for y in found}
    assert places == {(i, j) for i in range(4) for j in range(3)}
    for y in found[:20]:
        assert np.array_equal(np.diff(y[0], axis=1), np.ones((6, 5)))
    again = transformer(tmp_path, "TRAIN", crop_size=6)
    for record in (300, 7, 7, 0):  # neither order nor repetition matters
        assert np.array_equal(again(numbered, record, 0), found[record])

    def firsts(other: Transformer, epoch: int) -> list[float]:
        return [float(other(numbered, r, epoch)[0, 0, 0]) for r in range(400)]

    mine = firsts(transform, 0)
    assert mine != firsts(transform, 1)
    assert mine != firsts(transformer(tmp_path, "TRAIN", seed=2, crop_size=6), 0)


@pytest.mark.parametrize("param", [{}, {"mean_value": (1.0, 2.0, 3.0)}, {"mean_file": "mean"}])
@pytest.mark.parametrize("choice", [{}, {"crop_size": 6}, {"crop_size": 5, "mirror": True}])
def test_a_batch_is_its_records(tmp_path: Path, param: Any, choice: Any) -> None:
    """Over the end of an epoch, too; every element the same float."""
    (tmp_path / "mean").write_bytes(blob(np.random.default_rng(1).random((3, 9, 8), np.float32)))
    images = np.stack(pictures(11, 3, 9, 8, seed=2))
    transform = transformer(tmp_path, "TRAIN", scale=0.3, **param, **choice)
    places = spans(5, 2, 11, 7)
    assert places == [Span(5, 2, 2), Span(0, 3, 7), Span(0, 4, 2)]
    at = [(s.first + i, s.epoch) for s in places for i in range(s.count)]
    for batch in (images, images.astype(np.float32)):
        found = transform.batch(batch, places)
        expected = [transform(image, *place) for image, place in zip(batch, at, strict=True)]
        assert np.array_equal(found, np.stack(expected))


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_mirror_is_a_coin_flip(tmp_path: Path, phase: Phase) -> None:
    transform = transformer(tmp_path, phase, mirror=True)
    plain, flipped = IMAGE.astype(np.float32), IMAGE[:, :, ::-1].astype(np.float32)
    found = [transform(IMAGE, record, 0) for record in range(200)]
    mirrored = [np.array_equal(y, flipped) for y in found]
    assert all(m or np.array_equal(y, plain) for m, y in zip(mirrored, found, strict=True))
    assert 70 < sum(mirrored) < 130


def test_mirror_comes_after_the_mean(tmp_path: Path) -> None:
    mean = np.arange(IMAGE.size, dtype=np.float32).reshape(IMAGE.shape)
    (tmp_path / "mean").write_bytes(blob(mean))
    transform = transformer(tmp_path, mean_file="mean", mirror=True)
    expected = IMAGE - mean
    kinds = set()
    for record in range(20):
        y = transform(IMAGE, record, 0)
        kinds.add(np.array_equal(y, expected))
        assert np.array_equal(y, expected) or np.array_equal(y, expected[:, :, ::-1])
    assert kinds == {True, False}


@pytest.mark.parametrize(
    ("param", "code"),
    [
        ({"mean_file": "mean", "mean_value": (1.0,)}, "GC-D002"),
        ({"force_color": True, "force_gray": True}, "GC-D002"),
        ({"crop_size": -1}, "GC-N008"),
        ({"crop_size": 9}, "GC-D002"),
        ({"mean_value": (1.0, 2.0)}, "GC-D002"),
        ({"mean_file": "none"}, "GC-F001"),
        ({"mean_file": "small"}, "GC-D002"),
        ({"mean_file": "broken"}, "GC-P002"),
    ],
)
def test_refusals(tmp_path: Path, param: dict[str, Any], code: str) -> None:
    (tmp_path / "small").write_bytes(blob(np.zeros((1, 3, 9, 7), np.float32), legacy=True))
    (tmp_path / "broken").write_bytes(b"\x2a\x05a")
    with pytest.raises(GraphError) as caught:
        transformer(tmp_path, **param)(IMAGE, 0, 0)
    assert caught.value.code == code


def test_huge_numbers_are_quiet(tmp_path: Path) -> None:
    y = transformer(tmp_path, scale=1e300, mean_value=(1e300,))(IMAGE, 0, 0)
    assert np.isneginf(y).all()


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_permutation(count: int) -> None:
    first, second = (
        permutation(count, seed=3, layer="t", purpose="shuffle", epoch=e) for e in (0, 1)
    )
    assert sorted(first) == sorted(second) == list(range(count))
    assert count < 1000 or not np.array_equal(first, second)
    other = permutation(count, seed=3, layer="t", purpose="rows", epoch=0)
    assert count < 1000 or not np.array_equal(first, other)
