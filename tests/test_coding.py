"""Coded tensors: bit by bit what they were, as small as they can be, and nothing else is taken."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fuzz.mutations import mutate_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.coding import (
    ALL,
    BITS,
    GAPS4,
    GAPS8,
    coded_block,
    decode,
    encode,
    parse_coded,
)
from graphc.errors import GraphError
from graphc.limits import Limits


def made(size=4000, zeros=0.0, values=0, seed=0):
    rng = np.random.default_rng(seed)
    array = rng.standard_normal(size).astype(np.float32)
    if values:
        array = rng.choice(array[:values], size)
    array[rng.random(size) < zeros] = 0
    return array


def same(a, b):
    return a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    ("array", "places", "bits"),
    [
        (made(zeros=0.5), BITS, 0),
        (made(zeros=0.92), GAPS4, 0),
        (made(zeros=0.998, size=100_000), GAPS8, 0),
        (made(values=200), ALL, 8),
        (made(values=9), ALL, 4),
        (made(values=1), ALL, 1),
        (made(values=200, zeros=0.67), BITS, 8),
        (made(values=16, zeros=0.95), GAPS4, 4),
        (np.zeros(5000, np.float32), GAPS8, 0),
    ],
)
def test_the_smallest_form_is_taken(array, places, bits):
    coded = encode(array)
    assert coded is not None and coded.bits == bits
    assert coded.places == places or (places == GAPS8 and not array.any())
    assert coded.nbytes < 0.9 * array.nbytes
    assert same(decode(coded), array)


@pytest.mark.parametrize(("count", "bits"), [(2, 1), (4, 2), (16, 4), (33, 6), (256, 8)])
def test_rate_of_codes(count, bits):
    """n floats of k values take n log2 k bits and k floats: n b / (n log2 k + k b) times less."""
    array = np.resize(np.arange(1, count + 1, dtype=np.float32), 8000)
    assert encode(array).nbytes == 8000 * bits // 8 + 4 * count


def test_places_are_near_the_entropy_of_zeros():
    for zeros in (0.5, 0.67, 0.9, 0.97, 0.995):
        array = made(size=200_000, zeros=zeros)
        share = np.count_nonzero(array) / array.size
        entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
        assert encode(array).parts["places"].nbytes <= 1.3 * entropy * array.size / 8


def test_dense_weights_are_left_as_they_are():
    assert encode(made()) is None
    assert encode(made(size=100, zeros=0.9)) is None  # not worth a table


def test_every_bit_pattern_comes_back():
    words = np.random.default_rng(1).integers(0, 1 << 32, 3000, np.uint32)
    words[::2] = 0
    words[1], words[3], words[5] = 0x80000000, 0x7FC01234, 0xFF800000  # -0, a NaN, -inf
    array = words.view(np.float32)
    assert same(decode(encode(array)), array)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(256, 3000),
    st.floats(0, 1),
    st.sampled_from([0, 1, 2, 3, 17, 128, 255, 256, 257]),
    st.integers(0, 9),
)
def test_round_trips(size, zeros, values, seed):
    array = made(size, zeros, min(values, size), seed)
    coded = encode(array.reshape(1, -1))
    if coded is not None:
        text, block = coded_block({"w": coded})
        found = parse_coded(text, memoryview(block), {"w": (1, size)}, Limits())
        assert same(found["w"], array.reshape(1, -1))


TENSORS = {"a": made(zeros=0.9).reshape(40, 100), "b": made(values=100), "c": made(zeros=0.5)}
WANTED = {name: array.shape for name, array in TENSORS.items()}


def block():
    text, data = coded_block({name: encode(array) for name, array in TENSORS.items()})
    return json.loads(text), data


def refused(told, data, wanted=WANTED, limits=None):
    with pytest.raises(GraphError) as caught:
        parse_coded(json.dumps(told), memoryview(data), wanted, limits or Limits())
    return caught.value.code


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(d=told["a"]),
        lambda told: told.pop("c"),
        lambda told: told["a"].__setitem__(0, [100, 40]),
        lambda told: told["a"].__setitem__(0, [1 << 31, 1 << 31]),
        lambda told: told["a"].__setitem__(0, [-1, 2]),
        lambda told: told["a"].__setitem__(0, "x"),
        lambda told: told["a"].__setitem__(1, told["a"][1] + 1),
        lambda told: told["a"].__setitem__(1, 1.5),
        lambda told: told["a"].__setitem__(2, BITS),
        lambda told: told["a"].__setitem__(2, "zip"),
        lambda told: told["a"].__setitem__(2, ALL),
        lambda told: told["b"].__setitem__(3, 5),
        lambda told: told["b"].__setitem__(3, 9),
        lambda told: told["b"].__setitem__(3, 0),
        lambda told: told["b"].__setitem__(4, ["table"]),
        lambda told: told["b"].__setitem__(4, [["table"], "codes"]),
        lambda told: told["b"].__setitem__(4, "tc"),
        lambda told: told.update(a=told["b"], b=told["a"]),
        lambda told: told.update(a=[]),
    ],
)
def test_what_contradicts_is_refused(change):
    told, data = block()
    change(told)
    assert refused(told, data) in ("GC-W003", "GC-U001", "GC-L001")


def test_nothing_is_made_that_nobody_declares():
    told, data = block()
    assert refused(told, data, {**WANTED, "a": (4000,)}) == "GC-W003"
    assert refused(told, data, {}) == "GC-W003"
    assert refused(told, data, limits=Limits(tensor_bytes=20_000)) == "GC-L001"
    for text in ("[]", "{", "null", "[" * 100_000):
        with pytest.raises(GraphError, match="coded tensor"):
            parse_coded(text, memoryview(data), WANTED, Limits())


def test_codes_beyond_the_table_are_refused():
    coded = encode(made(values=100))
    parts = {**coded.parts, "table": coded.parts["table"][:50]}
    broken = type(coded)(coded.shape, coded.stored, coded.places, coded.bits, parts)
    with pytest.raises(GraphError, match="codes that its table lacks"):
        decode(broken)


def test_mutated_blocks_end_in_an_error_or_in_tensors():
    told, data = block()
    rng = np.random.default_rng(7)
    survived = 0
    for turn in range(400):
        text, parts = json.dumps(told).encode(), data
        if turn % 2:
            text = mutate_bytes(text, rng)
        else:
            head = mutate_bytes(parts[: len(parts) // 9], rng)
            parts = head + parts[len(parts) // 9 :]
        try:
            readable = text.decode("utf-8", "replace")
            found = parse_coded(readable, memoryview(parts), WANTED, Limits())
        except GraphError:
            continue
        survived += 1
        assert {name: array.shape for name, array in found.items()}.items() <= WANTED.items()
    assert survived < 400
