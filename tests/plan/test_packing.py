"""Packing: offsets that no two live buffers share, near the largest need, always the same."""

from __future__ import annotations

import itertools
import os
import random

import numpy as np
import pytest

from graphc import _core
from graphc.errors import GraphError
from graphc.plan.packing import Item, live_bytes, pack_items

MANY = int(os.environ.get("GRAPHC_FUZZ_PLANS", "2000"))


def steps_of(items: list[Item]) -> int:
    return 1 + max((i.last for i in items), default=0)


def check(items: list[Item], arena: int, offsets: list[int]) -> None:
    assert len(offsets) == len(items)
    assert arena == max((o + i.nbytes for o, i in zip(offsets, items, strict=True)), default=0)
    assert arena >= max(live_bytes(items, steps_of(items)))
    placed = list(zip(items, offsets, strict=True))
    for item, offset in placed:
        assert offset >= 0 and offset % item.align == 0
    for (a, at), (b, other) in itertools.combinations(placed, 2):
        if a.first <= b.last and b.first <= a.last:
            assert at + a.nbytes <= other or other + b.nbytes <= at


def random_items(seed: int) -> list[Item]:
    rng = random.Random(seed)
    steps = rng.randint(1, 40)
    items = []
    for _ in range(rng.randint(1, 30)):
        first = rng.randrange(steps)
        last = min(steps - 1, first + int(rng.expovariate(0.2)))
        size = rng.choice((0, 1, 4, 64, 100, 1000, 5000))
        items.append(Item(first, last, size, rng.choice((1, 4, 64)), rng.random() < 0.2))
    return items


@pytest.mark.parametrize("part", range(10))
def test_random_lifetimes(part: int) -> None:
    for seed in range(part, MANY // 5, 10):
        items = random_items(seed)
        check(items, *pack_items(items))


def test_nothing_to_pack() -> None:
    assert pack_items([]) == (0, [])


def test_the_same_items_are_packed_alike() -> None:
    items = random_items(3)
    assert pack_items(items) == pack_items(list(items))


@pytest.mark.parametrize("seed", range(40))
def test_few_items_are_packed_as_well_as_can_be(seed: int) -> None:
    """Some order of placing at the lowest free place is optimal; so all orders are tried."""
    rng = random.Random(seed)
    items = []
    for _ in range(6):
        first = rng.randrange(8)
        items.append(Item(first, min(7, first + rng.randint(0, 4)), 64 * rng.randint(1, 6), 64))

    def lowest(order: tuple[int, ...]) -> int:
        placed: list[tuple[int, Item]] = []
        for item in (items[i] for i in order):
            offset = 0
            for at, other in sorted(placed, key=lambda each: each[0]):
                if other.first <= item.last and item.first <= other.last:
                    if at - offset >= item.nbytes:
                        break
                    offset = max(offset, at + other.nbytes)
            placed.append((offset, item))
        return max(at + item.nbytes for at, item in placed)

    best = min(map(lowest, itertools.permutations(range(6))))
    assert pack_items(items)[0] == best


def test_nested_lives_need_no_more_than_is_alive() -> None:
    """What a chain keeps for its backward, and what it keeps at the end."""
    n = 300
    rng = random.Random(0)
    items = [Item(k, 2 * n - k, 64 * rng.randint(1, 99), 64) for k in range(n)]
    items += [Item(n + k, 2 * n, 64 * rng.randint(1, 20), 64, hangs=True) for k in range(n)]
    arena, offsets = pack_items(items)
    check(items, arena, offsets)
    assert arena == max(live_bytes(items, 2 * n + 1))


def test_ten_thousand_buffers_are_packed_tightly() -> None:
    rng = random.Random(1)
    items = [
        Item(k, 20_000 - k - rng.randint(0, 9), 64 * rng.randint(1, 99), 64) for k in range(9_000)
    ]
    items += [Item(t, t + 2, 64 * rng.randint(1, 50), 64) for t in range(0, 18_000, 18)]
    arena, _ = pack_items(items)
    assert arena <= 1.002 * max(live_bytes(items, steps_of(items)))


def one_by_one(items: list[Item], order: list[int], hangs: list[int], top: int) -> list[int]:
    """Offsets as `Recipe` tells, from looking at every other item."""
    offsets = [0] * len(items)
    for at, index in enumerate(order):
        item, free, floor = items[index], list[tuple[int, int]](), 0
        alive = [i for i in order[:at] if items[i].nbytes]
        alive = [i for i in alive if items[i].first <= item.last and item.first <= items[i].last]
        for i in sorted(alive, key=lambda i: offsets[i]):
            free.append((floor, offsets[i]))
            floor = max(floor, offsets[i] + items[i].nbytes)

        def up(offset: int, align: int = item.align) -> int:
            return -(-offset // align) * align

        low = [(end - start, up(start)) for start, end in free if up(start) + item.nbytes <= end]
        found = min(low, default=(0, up(floor)))[1]
        if hangs[index]:
            high = [
                (start, (min(end, top) - item.nbytes) // item.align * item.align)
                for start, end in [*free, (floor, top)]
            ]
            found = max((offset for start, offset in high if offset >= start), default=found)
        offsets[index] = found if item.nbytes else 0
    return offsets


@pytest.mark.parametrize("part", range(4))
def test_each_item_goes_into_the_smallest_gap_or_hangs(part: int) -> None:
    for seed in range(part, 200, 4):
        items, rng = random_items(seed), random.Random(seed)
        order = rng.sample(range(len(items)), len(items))
        hangs = [int(item.hangs) for item in items]
        top = max(live_bytes(items))
        table = np.array([(i.first, i.last, i.nbytes, i.align) for i in items], np.int64)
        _, found = _core.Packer(table, top).place(np.array(order), np.array(hangs))
        assert found.tolist() == one_by_one(items, order, hangs, top)


def test_a_hundred_thousand_nested_lives_are_packed() -> None:
    """Each is alive with half of the others; that many comparisons would take minutes."""
    n = 50_000
    items = [Item(k, 2 * n - k, 64 * (1 + k % 99), 64) for k in range(n)]
    items += [Item(t, t + 1, 64, 64) for t in range(0, 2 * n, 2)]
    assert pack_items(items)[0] == max(live_bytes(items))


def test_too_much_memory_is_said() -> None:
    with pytest.raises(GraphError, match="GC-M002"):
        pack_items([Item(0, 0, 1 << 60, 64)] * 4)


TABLE = np.array([[0, 1, 64, 64], [1, 2, 64, 64]], np.int64)
ORDER, LOW = np.array([0, 1], np.int64), np.zeros(2, np.int64)


@pytest.mark.parametrize(
    ("table", "order", "hangs"),
    [
        (TABLE[:, :3], ORDER, LOW),
        (TABLE[0], ORDER, LOW),
        (TABLE * [-1, -1, 1, 1], ORDER, LOW),
        (TABLE * [1, 1, -1, 1], ORDER, LOW),
        (TABLE * [1, 1, 1, 0], ORDER, LOW),
        (TABLE, ORDER[:1], LOW),
        (TABLE, ORDER * 0, LOW),
        (TABLE, ORDER + 1, LOW),
        (TABLE, ORDER, LOW[:1]),
    ],
)
def test_the_core_refuses_tables_it_cannot_read(table, order, hangs) -> None:
    with pytest.raises(GraphError, match="GC-C002"):
        _core.Packer(table, 128).place(order, hangs)


def test_the_core_refuses_a_part_that_is_not_there() -> None:
    with pytest.raises(GraphError, match="GC-C002"):
        _core.Packer(TABLE, 128).improve(ORDER, LOW, 0, 3, 10)
