"""Inputs: every kind of array a caller may hand over."""

from types import MappingProxyType

import numpy as np
import pytest
from texts import feed, graph, layer

import graphc
from graphc.errors import GraphError

X = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def exe():
    return graphc.compile(graph(feed(data=(2, 3)), layer("Power", "data", "y")))


class Arraylike:
    def __array__(self, dtype=None, copy=None):
        return X.astype(np.float32)


class Broken:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("gone")


def read_only():
    array = X.astype(np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "given",
    [
        X,
        X.tolist(),
        X.astype(np.float16),
        X.astype(np.longdouble),
        X.astype(np.int8),
        X.astype(np.uint64),
        X.astype(">f8"),
        np.asfortranarray(X),
        np.repeat(X, 2, axis=1)[:, ::2],
        X[::-1][::-1],
        np.ma.masked_array(X),
        np.asmatrix(X) if False else X.view(np.ndarray),
        Arraylike(),
        read_only(),
        memoryview(X.astype(np.float32)),
    ],
)
def test_what_is_an_array(exe, given):
    np.testing.assert_array_equal(exe.run({"data": given})["y"], X)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (X > 2, (X > 2).astype(np.float32)),
        (np.full((2, 3), 1e300), np.full((2, 3), np.inf)),
        (np.full((2, 3), 1 << 62), np.full((2, 3), 2.0**62)),
        (np.full((2, 3), -np.inf), np.full((2, 3), -np.inf)),
        (np.full((2, 3), np.nan), np.full((2, 3), np.nan)),
        (np.full((2, 3), 1e-50), np.zeros((2, 3))),
        (np.full((2, 3), 16777217), np.full((2, 3), 16777216.0)),
    ],
)
def test_odd_numbers_become_float32(exe, given, kept):
    np.testing.assert_array_equal(exe.run({"data": given})["y"], kept)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "text",
        b"bytes",
        X + 1j,
        X.astype(str),
        X.astype(object),
        np.full((2, 3), 1 << 70, dtype=object),
        [[10**400] * 3] * 2,
        X.astype("datetime64[s]"),
        np.zeros((2, 3), dtype=[("a", "f4")]),
        [[1, 2], [3]],
        [[1, "a", 2], [3, 4, 5]],
        {"a": 1},
        object(),
        Broken(),
        5,
        X[0],
        X[None],
        np.zeros(()),
    ],
)
def test_what_is_no_such_array(exe, given):
    with pytest.raises(GraphError, match="GC-R001") as caught:
        exe.run({"data": given})
    assert "'data'" in caught.value.message
    np.testing.assert_array_equal(exe.run({"data": X})["y"], X)


@pytest.mark.parametrize(
    ("feeds", "told"),
    [
        ({}, "inputs are missing: 'data' (2, 3)"),
        (None, "inputs are missing"),
        ({"dat": X}, "did you mean 'data'"),
        ({"data": X, "more": X}, "the inputs: data"),
        ({5: X}, "5 is no input"),
        ({None: X}, "None is no input"),
        (X, "the inputs are a ndarray"),
        ([X], "the inputs are a list"),
        ("data", "the inputs are a str"),
        (5, "the inputs are a int"),
    ],
)
def test_wrong_names(exe, feeds, told):
    with pytest.raises(GraphError, match="GC-R001") as caught:
        exe.run(feeds)
    assert told in str(caught.value)


def test_any_mapping_serves(exe):
    assert exe.run(MappingProxyType({"data": X}))["y"].shape == (2, 3)


def test_a_net_without_inputs_takes_none():
    dummy = layer("DummyData", "", "d", "dummy_data_param { shape { dim: 2 } }")
    exe = graphc.compile(graph(dummy))
    assert exe.run({}) and exe.run()
    with pytest.raises(GraphError, match="the inputs: none"):
        exe.run({"d": [1, 2]})
