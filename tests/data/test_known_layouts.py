"""DatumReader: what it takes apart without parsing is what parsing finds."""

from __future__ import annotations

import numpy as np
import pytest
from data.makers import chunk, datum, encoded_datum, number, pictures, png

from graphc.data.datum import DatumReader, datum_bytes, encoded_datum_bytes, parse_datum
from graphc.errors import GraphError
from graphc.front.schema import union
from graphc.limits import Limits

(IMAGE,) = pictures(1, 3, 5, 4)


def outcome(read: object, message: bytes) -> object:
    """Image and label, or the code of what is raised."""
    try:
        image, label = read(memoryview(message))  # type: ignore[operator]
    except GraphError as error:
        return error.code
    return image.dtype, image.shape, image.tobytes(), label


def parsed(message: memoryview) -> object:
    found = parse_datum(message)
    return found.image("native", Limits()), found.label


def odd_messages() -> list[bytes]:
    """Messages that begin or end like the usual one."""
    plain = datum(IMAGE, 3)
    head, size = plain[: plain.index(IMAGE.tobytes())], IMAGE.size
    pixels = IMAGE.tobytes()
    return [
        plain,
        plain[:-2],  # no label
        plain[:-3],  # cut short
        plain[: len(head) + size - 1],
        head,
        plain + number(5, 4),  # of two labels the last counts
        plain + number(1, 1),  # channels once more
        plain + chunk(4, pixels[::-1]),  # pixels once more
        plain + number(7, 1),  # encoded after all
        plain + number(7, 0),
        plain + number(99, 7),
        plain + b"\x0b",
        number(5, 2) + head + pixels,
        head + pixels + number(5, -1),
        number(2, 5) + number(1, 3) + number(3, 4) + chunk(4, pixels) + number(5, 1),
        datum(IMAGE[:1], 1),
        datum(IMAGE / np.float32(7), 1),
        encoded_datum(png(IMAGE.transpose(1, 2, 0)), 1),
        b"",
    ]


def test_any_order_of_messages() -> None:
    messages = odd_messages()
    rng = np.random.default_rng(0)
    expected = [outcome(parsed, m) for m in messages]
    assert len({str(e) for e in expected}) > 8
    for _ in range(200):
        reader = DatumReader("native", Limits())
        for at in rng.integers(len(messages), size=12):
            assert outcome(reader, messages[at]) == expected[at], int(at)


def test_usual_records_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = DatumReader("native", Limits())
    for label in range(3):
        reader(memoryview(datum_bytes(IMAGE, label)))
    monkeypatch.setattr("graphc.data.datum.parse_datum", None)
    image, label = reader(memoryview(datum_bytes(IMAGE[::-1], 2)))
    assert np.array_equal(image, IMAGE[::-1]) and label == 2


@pytest.mark.parametrize("label", [0, 7, -1, 2**31 - 1])
def test_what_is_written_is_what_protobuf_writes(label: int) -> None:
    message = union().new("Datum")
    message.channels, message.height, message.width = IMAGE.shape
    message.data, message.label, message.encoded = IMAGE.tobytes(), label, False
    assert datum_bytes(IMAGE, label) == message.SerializeToString()
    floats = IMAGE / np.float32(3)
    again = union().new("Datum")
    again.ParseFromString(datum_bytes(floats, label))
    assert np.array_equal(np.float32(again.float_data), floats.ravel()) and again.label == label
    file = union().new("Datum")
    file.data, file.label, file.encoded = b"jpeg", label, True
    assert encoded_datum_bytes(b"jpeg", label) == file.SerializeToString()
