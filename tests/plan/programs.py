"""Programs made by hand and by chance: no graph, no layers; what calls compute is in machine.py."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from graphc.ir.op import Effect
from graphc.ir.types import ITEM_BYTES
from graphc.program import Buffer, BufferKind, Call, Operand, Program, Variant

Pairs = tuple[tuple[str, str], ...]


def dense_strides(dims: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(dims[i + 1 :]) for i in range(len(dims)))


class Maker:
    """Collects buffers and calls. Versions are counted on sets of byte numbers, element by element,
    which is slow, plain, and nobody else's way."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self.calls: list[Call] = []
        self.entries: dict[str, list[int]] = {"forward": []}
        self.entry = "forward"
        self.inputs: dict[str, int] = {}
        self.seeds: dict[str, int] = {}
        self.kept: set[int] = set()
        self.written: list[int] = []
        self._bytes: list[frozenset[int]] = []

    def buffer(
        self,
        *dims: int,
        kind: BufferKind = BufferKind.ACT,
        dtype: Any = "f32",
        align: int = 64,
        name: str = "",
    ) -> int:
        nbytes = -(-math.prod(dims) * ITEM_BYTES[dtype] // align) * align
        return self._add(dims, dense_strides(dims), nbytes, kind, dtype, align, None, name)

    def view(self, root: int, dims: Sequence[int], strides: Sequence[int], offset: int = 0) -> int:
        """A view of a buffer that is none itself; `strides` and `offset` in elements."""
        base = self.buffers[root]
        assert base.view_of is None
        item = ITEM_BYTES[base.dtype]
        reach = sum((d - 1) * s for d, s in zip(dims, strides, strict=True)) + 1
        nbytes = reach * item if math.prod(dims) else 0
        place = (root, offset * item)
        return self._add(
            tuple(dims), tuple(strides), nbytes, base.kind, base.dtype, base.align, place, ""
        )

    def channels(self, root: int, start: int, stop: int) -> int:
        """The view root[:, start:stop]."""
        dims, strides = self.buffers[root].dims, self.buffers[root].strides
        return self.view(root, (dims[0], stop - start, *dims[2:]), strides, start * strides[1])

    def input(self, *dims: int) -> int:
        made = self.buffer(*dims, kind=BufferKind.IO)
        self.inputs[f"in{made}"] = made
        return made

    def seed(self, *dims: int) -> int:
        made = self.buffer(*dims, kind=BufferKind.IO)
        self.seeds[f"of{made}"] = made
        return made

    def call(
        self,
        reads: Sequence[int],
        writes: Sequence[int],
        over: Sequence[tuple[int, int]] = (),
        workspace: int = 0,
        effects: frozenset[Effect] = frozenset(),
    ) -> int:
        """A call with roles r0, r1, .. and w0, w1, ..; `over`: pairs (write, read) of positions."""
        index = len(self.calls)
        read = tuple(Operand(f"r{i}", b, self.written[b]) for i, b in enumerate(reads))
        for buffer in writes:
            for other, touched in enumerate(self._bytes):
                if other == buffer or touched & self._bytes[buffer]:
                    self.written[other] += 1
        write = tuple(Operand(f"w{i}", b, self.written[b]) for i, b in enumerate(writes))
        pairs = tuple((f"w{w}", f"r{r}") for w, r in over)
        variants = (Variant("made up", workspace, 1.0 + index),)
        made = Call(
            index, f"call{index}", index, "part", variants, read, write, pairs, effects=effects
        )
        self.calls.append(made)
        self.entries.setdefault(self.entry, []).append(index)
        return index

    def done(self) -> Program:
        return Program(
            "test",
            tuple(self.buffers),
            tuple(self.calls),
            {name: tuple(calls) for name, calls in self.entries.items()},
            inputs=self.inputs,
            kept=frozenset(self.kept),
            seeds=self.seeds,
        )

    def _add(
        self,
        dims: tuple[int, ...],
        strides: tuple[int, ...],
        nbytes: int,
        kind: BufferKind,
        dtype: Any,
        align: int,
        view_of: tuple[int, int] | None,
        name: str,
    ) -> int:
        index = len(self.buffers)
        self.buffers.append(
            Buffer(index, name or f"b{index}", kind, dtype, dims, strides, nbytes, align, view_of)
        )
        starts = [0 if view_of is None else view_of[1]]
        item = ITEM_BYTES[dtype]
        for dim, stride in zip(dims, strides, strict=True):
            starts = [s + i * stride * item for s in starts for i in range(dim)]
        root = index if view_of is None else view_of[0]
        touched = frozenset((root << 32) + s + k for s in starts for k in range(item))
        self._bytes.append(touched)
        self.written.append(
            max((self.written[b] for b in range(index) if self._bytes[b] & touched), default=0)
        )
        return index


class Chance:
    """A random program: chains and branches, slices, joins, in-place pairs, sums, workspaces."""

    def __init__(self, seed: int, calls: int) -> None:
        self.rng = random.Random(seed)
        self.m = Maker()
        self.length = calls
        self.ready: list[int] = []  # buffers whose content may be read

    def run(self) -> Program:
        m, rng = self.m, self.rng
        self.ready += [m.input(*self._dims()) for _ in range(rng.randint(1, 2))]
        self.ready += [
            m.buffer(*self._dims(), kind=BufferKind.PARAM) for _ in range(rng.randint(0, 2))
        ]
        turn = rng.randint(1, self.length) if rng.random() < 0.5 else self.length
        steps = (self._plain,) * 8 + (
            self._join,
            self._slice,
            self._add,
            self._state,
            self._reshape,
        )
        while len(m.calls) < self.length:
            if len(m.calls) >= turn and m.entry == "forward":
                self._keep()
                m.entry = "backward"
                self.ready.append(m.seed(*self._dims()))
            rng.choice(steps)()
        self._keep()
        return m.done()

    def _dims(self) -> tuple[int, ...]:
        rng = self.rng
        size = 0 if rng.random() < 0.02 else rng.choice((1, 2, 3, 8, 20))
        return rng.randint(1, 3), rng.randint(1, 4), size

    def _pick(self, count: int) -> list[int]:
        """Likely recent ones; the same one perhaps twice."""
        recent = self.ready[-4:]
        return [
            self.rng.choice(recent if self.rng.random() < 0.7 else self.ready) for _ in range(count)
        ]

    def _plain(self) -> None:
        m, rng = self.m, self.rng
        reads = self._pick(rng.randint(1, 3))
        same = rng.random() < 0.7
        dims = m.buffers[reads[0]].dims if same else self._dims()
        writes = [m.buffer(*dims, align=rng.choice((64, 64, 256)))]
        if rng.random() < 0.2:
            writes.append(m.buffer(*self._dims(), dtype=rng.choice(("u8", "i32"))))
        over = [(0, i) for i, b in enumerate(reads) if same and m.buffers[b].dims == dims]
        space = rng.choice((0, 0, 0, 64, 100, 1000))
        m.call(reads, writes, over if rng.random() < 0.7 else (), space)
        self.ready += writes

    def _join(self) -> None:
        """Several calls write the slices of one root."""
        m, rng = self.m, self.rng
        parts = [rng.randint(1, 3) for _ in range(rng.randint(2, 3))]
        samples, _, width = self._dims()
        root = m.buffer(samples, sum(parts), width)
        start = 0
        for count in parts:
            part = m.channels(root, start, start + count)
            start += count
            m.call(self._pick(rng.randint(1, 2)), [part])
            if rng.random() < 0.5:
                self.ready.append(part)
        self.ready.append(root)

    def _slice(self) -> None:
        """A view; perhaps one that is then overwritten, with all that shares its bytes."""
        m, rng = self.m, self.rng
        roots = [
            b for b in self.ready if m.buffers[b].view_of is None and len(m.buffers[b].dims) == 3
        ]
        roots = [b for b in roots if m.buffers[b].dims[1] > 1]
        if not roots:
            return
        root = rng.choice(roots)
        count = m.buffers[root].dims[1]
        start = rng.randrange(count - 1)
        part = m.channels(root, start, rng.randint(start + 1, count))
        owned = m.buffers[root].kind is BufferKind.ACT and root not in m.kept
        if owned and not self._is_kept(part) and rng.random() < 0.4:
            over = m.channels(root, start, start + m.buffers[part].dims[1])
            m.call([part], [over], [(0, 0)])
            self.ready = [b for b in self.ready if not m._bytes[b] & m._bytes[part]]
            self.ready.append(over)
        else:
            self.ready.append(part)

    def _is_kept(self, buffer: int) -> bool:
        return any(self.m._bytes[b] & self.m._bytes[buffer] for b in self.m.kept)

    def _add(self) -> None:
        """A call that adds to what is there: what shared the bytes is gone."""
        m = self.m
        found = [b for b in self.ready if m.buffers[b].kind is BufferKind.ACT]
        found = [b for b in found if not self._is_kept(b)]
        if not found:
            return
        total = self.rng.choice(found)
        others = [b for b in self._pick(2) if not m._bytes[b] & m._bytes[total]]
        m.call([*others, total], [total], [(0, len(others))])
        self.ready = [b for b in self.ready if b == total or not m._bytes[b] & m._bytes[total]]

    def _state(self) -> None:
        m = self.m
        states = [b.id for b in m.buffers if b.kind is BufferKind.STATE and b.view_of is None]
        if not states:
            states = [m.buffer(4, kind=BufferKind.STATE)]
        state = self.rng.choice(states)
        m.call([*self._pick(1), state], [state], [(0, 1)], effects=frozenset({Effect.STATE}))

    def _reshape(self) -> None:
        m = self.m
        roots = [b for b in self.ready if m.buffers[b].view_of is None]
        root = self.rng.choice(roots) if roots else None
        if root is not None:
            count = math.prod(m.buffers[root].dims)
            self.ready.append(m.view(root, (count,), (1,)))

    def _keep(self) -> None:
        m, rng = self.m, self.rng
        made = [b for b in self.ready if m.buffers[b].kind is BufferKind.ACT]
        m.kept.update(rng.sample(made, min(len(made), rng.randint(0, 3))))
        if not m.kept and made:
            m.kept.add(made[-1])


def random_program(seed: int, calls: int | None = None) -> Program:
    return Chance(seed, calls or 3 + seed * 7 % 28).run()


def long_chain(length: int) -> Program:
    """y_k = f(y_{k-1}) forward, and backward d_{k-1} = g(d_k, y_{k-1}) in place."""
    rng = random.Random(0)
    buffers = [Buffer(0, "x", BufferKind.IO, "f32", (4,), (1,), 64)]
    calls: list[Call] = []

    def add(size: int, reads: Sequence[int], over: Pairs = ()) -> None:
        made = len(buffers)
        buffers.append(Buffer(made, f"y{made}", BufferKind.ACT, "f32", (4,), (1,), size))
        operands = tuple(Operand(f"r{i}", b, int(b > 0)) for i, b in enumerate(reads))
        write = (Operand("w", made, 1),)
        index = len(calls)
        variants = (Variant("made up"),)
        calls.append(Call(index, f"call{index}", -1, "part", variants, operands, write, over))

    for k in range(length):
        add(64 * rng.randint(1, 50), [k])
    for k in reversed(range(length)):
        add(64 * rng.randint(1, 50), [len(buffers) - 1, k], (("w", "r0"),))
    entries = {"forward": tuple(range(length)), "backward": tuple(range(length, 2 * length))}
    last = frozenset({len(buffers) - 1})
    return Program("test", tuple(buffers), tuple(calls), entries, {"x": 0}, kept=last)
