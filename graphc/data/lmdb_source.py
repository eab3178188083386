"""LmdbRecords: the Datum records of an LMDB, for Data layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from graphc.data.datum import DatumReader, parse_datum
from graphc.data.decoding import Pool
from graphc.data.images import Colour, Planes
from graphc.data.lmdb_blocks import LmdbBlocks
from graphc.data.lmdb_file import LmdbFile
from graphc.errors import GraphError, fail
from graphc.limits import Limits


class LmdbRecords:
    """Records in key order. Reading the next one is fast, going back starts a new walk.

    `colour`: how encoded records are decoded. Raises GC-D001 for an empty or broken LMDB.
    """

    def __init__(self, path: Path, colour: Colour, limits: Limits) -> None:
        self.path, self.limits, self._colour = path, limits, colour
        self._pool = Pool()
        self.file = LmdbFile(path)
        self.count = len(self.file)
        if self.count < 1:
            self.file.close()
            fail("GC-D001", f"LMDB {str(path)!r} has no records")
        self._parse = DatumReader(colour, limits)
        self._blocks: LmdbBlocks | None = LmdbBlocks(self.file, 0)
        self._blocks_next = 0  # number of the record that _blocks takes next
        self._walk: Iterator[tuple[bytes, memoryview]] = iter(())
        self._next = -1  # number of the record that _walk yields next
        self._last: tuple[int, bytes, memoryview] = (-1, b"", memoryview(b""))

    def read(self, record: int, epoch: int) -> tuple[Planes, int]:
        """Image and label of a record. Raises GC-D00x, GC-P002, GC-L001."""
        return self._parse(self._fetch(record)[2])

    def read_many(
        self, record: int, epoch: int, count: int
    ) -> tuple[Sequence[Planes] | Planes, list[int]] | None:
        if self._blocks is None:
            return self._decoded(record, count)
        if self._blocks_next != record:
            self._blocks = LmdbBlocks(self.file, record)
        self._blocks_next = record + count
        blocks = self._blocks.take(count)
        found = None if blocks is None else self._parse.many(blocks)
        if found is None:
            self._blocks = None  # it will not get better, and trying takes a while
        return found

    def _decoded(self, record: int, count: int) -> tuple[Sequence[Planes], list[int]] | None:
        """Images and labels, if they are image files, which several threads decode."""
        with suppress(GraphError):
            first = parse_datum(self.raw(record)[1])
            if first.encoded is None:
                return None
            values = [self.raw(record + i)[1] for i in range(count)]
            found = self._pool.map(self._image, values)
            if found is not None:
                return [x for x, _ in found], [y for _, y in found]
        return None

    def _image(self, value: memoryview) -> tuple[Planes, int]:
        datum = parse_datum(value)
        return datum.image(self._colour, self.limits), datum.label

    def raw(self, record: int) -> tuple[bytes, memoryview]:
        """Key and value of a record. Raises GC-D001, GC-U001."""
        _, key, value = self._fetch(record)
        return key, value

    def describe(self, record: int, epoch: int) -> str:
        number, key, _ = self._last
        if number != record:
            with suppress(GraphError):  # where it cannot be read, its number has to do
                key = next(self.file.records(record))[0]
                number = record
        named = f" (key {key.decode('utf-8', 'backslashreplace')!r})" if number == record else ""
        return f"{str(self.path)!r}, record {record}{named}"

    def close(self) -> None:
        self._pool.close()
        self.file.close()

    def _fetch(self, record: int) -> tuple[int, bytes, memoryview]:
        if self._last[0] == record:
            return self._last  # read already, to learn the shape
        if self._next != record:
            self._walk = self.file.records(record)
        self._next = -1  # a walk that fails is over
        found = next(self._walk, None)
        if found is None:
            fail("GC-D001", f"{str(self.path)!r} states {self.count:,} records, but has fewer")
        self._last, self._next = (record, *found), record + 1
        return self._last
