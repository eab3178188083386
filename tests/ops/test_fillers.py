"""Fillers: bounds and moments of real Caffe, repeatable draws, and what is refused."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden.caffe_cases import members

from graphc.errors import GraphError
from graphc.ir.op import Filler, Param
from graphc.ops.fillers import fill

CAFFE = json.loads(members()["extras/fillers.json"])


def parsed(text: str) -> Filler:
    """A filler of the golden file, such as `type: "uniform" min: -1 max: 3`."""
    words = text.replace('"', "").split()
    options: dict[str, Any] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        name = name.removesuffix(":")
        kind = type(getattr(Filler(), name))
        options[name] = kind(value)
    return Filler(**options)


def made(filler: Filler, *shape: int, seed: int = 1, layer: str = "conv", index: int = 0) -> Any:
    return fill(Param("weight", shape, filler), seed=seed, layer=layer, index=index)


@pytest.mark.parametrize("case", CAFFE, ids=lambda case: case["filler"])
def test_moments_of_caffe(case: dict[str, Any]) -> None:
    filler, count = parsed(case["filler"]), int(np.prod(case["shape"]))
    values = made(filler, *case["shape"])
    assert values.dtype == np.float32 and values.shape == tuple(case["shape"])
    assert values.flags.writeable
    values = values.astype(np.float64)
    spread = case["std"]
    assert abs(values.mean() - case["mean"]) <= 6 * spread / count**0.5 + 1e-7
    assert abs(values.std() - spread) <= 0.05 * spread + 1e-7
    if filler.type in ("uniform", "xavier", "constant"):
        edge = 2e-3 * (case["max"] - case["min"]) + 1e-7
        assert abs(values.min() - case["min"]) <= edge and abs(values.max() - case["max"]) <= edge
    assert abs((values == 0).mean() - case["zero_fraction"]) < 0.02
    if "row_sums_minmax" in case:
        assert np.allclose(values.reshape(len(values), -1).sum(1), 1, atol=1e-5)
        assert values.min() >= 0


def test_bilinear_of_caffe() -> None:
    with np.load(io.BytesIO(members()["extras/bilinear.npz"])) as caffe:
        for key in caffe.files:
            found = made(Filler("bilinear"), *caffe[key].shape)
            assert np.allclose(found, caffe[key], rtol=1e-6, atol=1e-7), key


def test_fans() -> None:
    """Bounds follow from the shape: fan in 20 * 3 * 5, fan out 48 * 3 * 5; a vector is its own."""
    shape = (48, 20, 3, 5)
    for norm, fan in (("FAN_IN", 300), ("FAN_OUT", 720), ("AVERAGE", 510)):
        bound = np.sqrt(3 / fan)
        values = made(Filler("xavier", variance_norm=norm), *shape)
        assert 0.99 * bound < np.abs(values).max() <= bound * (1 + 1e-6)
        values = made(Filler("msra", variance_norm=norm), *shape)
        assert abs(values.std() / np.sqrt(2 / fan) - 1) < 0.05
    bound = np.sqrt(3 / 40000)
    values = made(Filler("xavier", variance_norm="FAN_OUT"), 40000)
    assert 0.99 * bound < np.abs(values).max() <= bound * (1 + 1e-6)


RANDOM = [Filler("uniform"), Filler("gaussian"), Filler("positive_unitball"), Filler("xavier")]


@pytest.mark.parametrize("filler", [*RANDOM, Filler("msra"), Filler("gaussian", sparse=2)])
def test_draws_depend_on_their_key_alone(filler: Filler) -> None:
    first = made(filler, 4, 5)
    others = [
        made(filler, 4, 5, seed=2),
        made(filler, 4, 5, layer="fc"),
        made(filler, 4, 5, index=1),
        made(filler, 4, 5, seed=-1),
        made(filler, 4, 5, seed=1 << 70),
    ]
    assert np.array_equal(made(filler, 4, 5), first)
    assert not any(np.array_equal(other, first) for other in others)
    assert made(filler, 4, 5, layer="\udcff").shape == (4, 5)


@pytest.mark.parametrize(
    ("filler", "shape", "told"),
    [
        (Filler("gausian"), (2, 3), "'gausian'"),
        (Filler("uniform", min=2), (2, 3), "min 2 over max 1"),
        (Filler("uniform", min=float("nan")), (2, 3), "min nan"),
        (Filler("gaussian", std=-1), (2, 3), "std -1"),
        (Filler("gaussian", std=float("nan")), (2, 3), "std nan"),
        (Filler("gaussian", sparse=3), (2, 3), "2 outputs"),
        (Filler("gaussian", sparse=-2), (2, 3), "sparse: -2"),
        (Filler("gaussian", sparse=1), (), "shape is ()"),
        (Filler("xavier", sparse=1), (2, 3), "only gaussian"),
        (Filler("constant", sparse=1), (2, 3), "only gaussian"),
        (Filler("xavier"), (), "shape is ()"),
        (Filler("positive_unitball"), (), "shape is ()"),
        (Filler("xavier", variance_norm="FAN"), (2, 3), "'FAN'"),
        (Filler("bilinear"), (2, 3), "(2, 3)"),
        (Filler("bilinear"), (2, 3, 4, 5), "(2, 3, 4, 5)"),
    ],
    ids=str,
)
def test_misuse(filler: Filler, shape: tuple[int, ...], told: str) -> None:
    with pytest.raises(GraphError) as caught:
        made(filler, *shape)
    assert caught.value.code == "GC-N008"
    assert told in caught.value.message and "'weight'" in caught.value.message


def test_odd_but_legal() -> None:
    for filler in (*RANDOM, Filler("constant"), Filler("msra"), Filler("gaussian", sparse=0)):
        assert made(filler, 0, 3).shape == (0, 3)
        assert made(filler, 3, 0).shape == (3, 0)
    assert made(Filler("bilinear"), 1, 1, 1, 1).item() == 1
    assert np.isinf(made(Filler(value=1e300), 2)).all()
    assert made(Filler(value=0.5)).shape == ()
    same = made(replace(RANDOM[0], min=2.0, max=2.0), 3)
    assert same.tolist() == [2, 2, 2]


def test_a_blob_beyond_the_memory_is_refused() -> None:
    with pytest.raises(GraphError) as caught:
        made(Filler(), 1 << 24, 1 << 24)
    assert caught.value.code == "GC-L001"
