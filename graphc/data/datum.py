"""Datum: one record of an LMDB, image planes or an encoded image, and its label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from graphc.data.images import Colour, decode_image
from graphc.data.wire import BYTES, VARINT, Numbers, fields, signed
from graphc.errors import fail
from graphc.limits import Limits
from graphc.records import record

_CHANNELS, _HEIGHT, _WIDTH, _DATA, _LABEL, _FLOATS, _ENCODED = 1, 2, 3, 4, 5, 6, 7


@record(frozen=True, slots=True)
class Datum:
    """`planes`: (channels, height, width), uint8 or float32; None if `encoded` holds an image."""

    planes: npt.NDArray[np.uint8] | npt.NDArray[np.float32] | None
    encoded: memoryview | None
    label: int

    def image(
        self, colour: Colour, limits: Limits
    ) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
        """The planes; an encoded image is decoded to BGR or grey. Raises GC-D001, GC-L001."""
        if self.planes is not None:
            return self.planes  # colour applies to encoded images alone, as in Caffe
        assert self.encoded is not None
        return decode_image(self.encoded, colour, limits)


def parse_datum(message: memoryview) -> Datum:
    """Read a Datum message. Raises GC-P002, and GC-D002 if its data do not fill its shape."""
    dims = [0, 0, 0]
    data: memoryview = memoryview(b"")
    floats = Numbers("<f4")
    label, encoded = 0, False
    for number, kind, value in fields(message):
        if number == _FLOATS:
            floats.add(number, kind, value)
        elif number == _DATA and kind == BYTES and not isinstance(value, int):
            data = value
        elif kind == VARINT and isinstance(value, int):
            if number in (_CHANNELS, _HEIGHT, _WIDTH):
                dims[number - 1] = signed(value)
            elif number == _LABEL:
                label = signed(value)
            elif number == _ENCODED:
                encoded = value != 0
    if encoded:
        return Datum(None, data, label)
    values = np.frombuffer(data, np.uint8) if len(data) else floats.array()
    channels, height, width = dims
    if min(dims) < 1 or channels * height * width != values.size:
        fail(
            "GC-D002",
            f"the record states {channels} x {height} x {width}, but holds {values.size:,} values",
        )
    return Datum(values.reshape(dims), None, label)
