"""The wire format as written: every value reads back, and protobuf agrees."""

from __future__ import annotations

import pytest
from google.protobuf.internal import encoder
from hypothesis import given
from hypothesis import strategies as st

from graphc.data import wire_writer as wire
from graphc.data.wire import fields, signed, varints


@given(st.integers(0, 2**64 - 1))
def test_varint_is_protobufs(value: int) -> None:
    assert wire.varint(value) == encoder._VarintBytes(value)


@pytest.mark.parametrize("value", [-1, -(2**31), -(2**63)])
def test_negative_numbers(value: int) -> None:
    [(number, kind, found)] = fields(memoryview(wire.number_field(4, value)))
    assert (number, kind) == (4, wire.VARINT)
    assert isinstance(found, int) and signed(found, 64) == value


@given(st.lists(st.integers(0, 2**63)), st.text(), st.integers(1, 2**29 - 1))
def test_fields_read_back(values: list[int], text: str, number: int) -> None:
    message = wire.chunk(number, wire.packed(values)) + wire.text(7, text)
    first, second = fields(memoryview(message))
    assert first[0] == number and not isinstance(first[2], int)
    assert list(varints(first[2])) == values
    assert not isinstance(second[2], int)
    assert bytes(second[2]) == text.encode("utf-8", "backslashreplace")
