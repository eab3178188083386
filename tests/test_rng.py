"""graphc.rng: known answers of Philox, the C++ core against numpy, and what streams must obey."""

from __future__ import annotations

import ast
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphc
from graphc import _core, rng
from graphc.errors import GraphError

U32 = st.integers(0, 2**32 - 1)

# (counter, key, words): the three published answers of Random123's kat_vectors for philox4x32 10.
KNOWN = [
    ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    assert _core.philox(counter, key) == words
    column = np.array(counter, np.uint32)[:, None]
    assert tuple(rng.philox(column, key)[:, 0].tolist()) == words


@given(
    count=st.integers(0, 40),
    first=st.integers(0, 1 << 33),
    seed=st.integers(0, 2**64 - 1),
    step=U32,
    layer=st.text(max_size=8),
    tag=U32,
)
def test_core_equals_numpy_bit_for_bit(count, first, seed, step, layer, tag):
    use = {"seed": seed, "step": step, "layer": layer, "tag": tag, "first": first}
    np.testing.assert_array_equal(
        rng.uniform((count,), **use), rng.uniform_numpy((count,), **use), strict=True
    )


def test_mapping_is_the_documented_one():
    """Element 6 is word 2 of block 1; its upper 24 bits make the fraction."""
    words = _core.philox((1, 7, zlib.crc32(b"drop"), 3), (0x55667788, 0x11223344))
    drawn = rng.uniform((8,), seed=0x1122334455667788, step=7, layer="drop", tag=3)
    assert drawn[6] == (words[2] >> 8) / 2**24


def test_values_are_float32_exact_and_below_one():
    drawn = rng.uniform((64, 1000), seed=1, step=0, layer="drop")
    assert drawn.dtype == np.float64 and drawn.shape == (64, 1000)
    np.testing.assert_array_equal(drawn, drawn.astype(np.float32))
    assert drawn.min() >= 0 and drawn.max() <= 1 - 2**-24
    assert abs(drawn.mean() - 0.5) < 0.005 and abs(drawn.var() - 1 / 12) < 0.002


@pytest.mark.parametrize("size", [1, 3, 4, 5])
def test_micro_batches_make_up_the_full_batch(size):
    whole = rng.uniform((5, 3), seed=9, step=2, layer="drop").reshape(-1)
    parts = [
        rng.uniform((min(size, 15 - i),), seed=9, step=2, layer="drop", first=i)
        for i in range(0, 15, size)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_every_key_part_changes_the_stream():
    base = {"seed": 1, "step": 1, "layer": "a", "tag": 0, "first": 0}
    drawn = [
        rng.uniform((16,), **(base | change)).tolist()
        for change in (
            {},
            {"seed": 2},
            {"seed": 1 + 2**32},
            {"step": 2},
            {"layer": "b"},
            {"tag": 1},
        )
    ]
    assert len({tuple(d) for d in drawn}) == len(drawn)


def test_scalar_and_empty_shapes():
    assert rng.uniform((), seed=0, step=0, layer="").shape == ()
    assert rng.uniform((0, 4), seed=0, step=0, layer="").shape == (0, 4)


@pytest.mark.parametrize("draw", [rng.uniform, rng.uniform_numpy])
@pytest.mark.parametrize(
    ("shape", "first"), [((1 << 35,), 0), ((4,), (1 << 34) - 3), ((4,), -1), ((-1,), 0)]
)
def test_elements_out_of_range_are_refused(draw, shape, first):
    with pytest.raises(GraphError, match="GC-L001"):
        draw(shape, seed=0, step=0, layer="", first=first)


def test_the_last_elements_can_be_drawn():
    rng.uniform((4,), seed=0, step=0, layer="", first=(1 << 34) - 4)


@pytest.mark.parametrize(("count", "first"), [(-1, 0), (1, 1 << 34), (1 << 62, 1 << 62), (0, -4)])
def test_errors_of_the_core_arrive_as_graph_errors(count, first):
    with pytest.raises(GraphError) as caught:
        _core.uniform(count=count, seed=0, step=0, layer=0, tag=0, first=first)
    assert caught.value.code == "GC-L001" and caught.value.hint


def test_stub_names_what_the_core_has():
    stub = ast.parse((Path(graphc.__file__).parent / "_core.pyi").read_text())
    kinds = (ast.FunctionDef, ast.ClassDef)
    stated = {n.name for n in stub.body if isinstance(n, kinds)}
    assert stated == {n for n in dir(_core) if not n.startswith("_")}
