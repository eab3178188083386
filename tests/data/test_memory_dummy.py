"""MemoryData and DummyData: sources without files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.makers import sig

from graphc.errors import GraphError
from graphc.ir.op import Filler
from graphc.ir.types import Type
from graphc.ops._blob_shape import BlobShape
from graphc.ops.dummy_data import DummyData, DummyDataAttrs
from graphc.ops.memory_data import MemoryData, MemoryDataAttrs
from graphc.ops.spec import Ctx

HERE = Path()
ATTRS = MemoryDataAttrs(2, 1, 2, 3)
DATA = np.arange(36.0).reshape(6, 1, 2, 3)
LABEL = np.arange(6)


def memory() -> Any:
    source = MemoryData.open(ATTRS, sig(HERE))
    source.set_arrays(DATA, LABEL)
    return source


def test_memory_walks_and_wraps() -> None:
    source = memory()
    for step in (0, 1, 2, 0, 1):
        batch = source.next()
        assert np.array_equal(batch["data"], DATA[2 * step : 2 * step + 2])
        assert batch["label"].shape == (2, 1, 1, 1)
        assert batch["label"].ravel().tolist() == [2 * step, 2 * step + 1]
        batch["data"][:] = -1  # the caller's, not the source's
    assert source.state() == {"row": 4}
    source.reset()
    assert source.next()["label"].ravel().tolist() == [0, 1]
    source.restore({"row": 4})
    assert source.next()["label"].ravel().tolist() == [4, 5]
    for bad in ({"row": 6}, {"row": 3}, {}):
        with pytest.raises(GraphError, match="GC-D002"):
            source.restore(bad)
    source.set_arrays(DATA[:2] + 1, LABEL[:2].reshape(2, 1, 1, 1))
    assert source.next()["data"][0, 0, 0, 0] == 1
    source.close()


@pytest.mark.parametrize(
    ("data", "label"),
    [
        (DATA[:5], LABEL[:5]),
        (DATA[:0], LABEL[:0]),
        (DATA, LABEL[:4]),
        (DATA, np.zeros((6, 2))),
        (DATA, np.zeros(())),
        (DATA[:, :, :1], LABEL),
        (DATA[0], LABEL[:1]),
        (np.zeros(()), LABEL),
        (DATA.astype(str), LABEL),
        (DATA, LABEL.astype(complex)),
    ],
)
def test_memory_refuses(data: Any, label: Any) -> None:
    source = memory()
    source.next()
    with pytest.raises(GraphError) as caught:
        source.set_arrays(data, label)
    assert caught.value.code == "GC-R001"
    assert source.next()["label"].ravel().tolist() == [2, 3]  # the old arrays go on


def test_memory_without_arrays() -> None:
    source = MemoryData.open(ATTRS, sig(HERE))
    with pytest.raises(GraphError, match="set_arrays") as caught:
        source.next()
    assert caught.value.code == "GC-R001"


def test_memory_types() -> None:
    types = MemoryData.infer(ATTRS, sig(HERE))
    assert types == {"data": Type((2, 1, 2, 3)), "label": Type((2, 1, 1, 1))}
    assert MemoryData.rebatch(ATTRS, 6).batch_size == 6
    source = MemoryData.open(ATTRS, sig(HERE, data=Type((3, 1, 2, 3)), label=Type((3, 1, 1, 1))))
    source.set_arrays(DATA, LABEL)
    assert source.next()["data"].shape == (3, 1, 2, 3)
    for field in range(4):
        values = [2, 1, 2, 3]
        values[field] = 0
        with pytest.raises(GraphError, match="GC-N008"):
            MemoryData.infer(MemoryDataAttrs(*values), sig(HERE))


def dummy(attrs: DummyDataAttrs, *roles: str, seed: int = 1) -> Any:
    return DummyData.open(attrs, sig(HERE, roles), seed)


RANDOM = DummyDataAttrs(
    data_filler=(Filler("gaussian"), Filler(value=3)), shape=(BlobShape((4, 5)),)
)


def test_dummy_draws_anew_but_keeps_constants() -> None:
    source = dummy(RANDOM, "y0", "y1")
    steps = [source.next() for _ in range(3)]
    assert all((b["y1"] == 3).all() and b["y1"].shape == (4, 5) for b in steps)
    assert not np.array_equal(steps[0]["y0"], steps[1]["y0"])
    source.restore({"step": 1})
    assert np.array_equal(source.next()["y0"], steps[1]["y0"])
    source.reset()
    assert np.array_equal(source.next()["y0"], steps[0]["y0"])
    assert source.state() == {"step": 1}
    assert not np.array_equal(dummy(RANDOM, "y0", "y1", seed=2).next()["y0"], steps[0]["y0"])
    steps[0]["y1"][:] = 0
    assert (source.next()["y1"] == 3).all()


def test_dummy_tops_differ() -> None:
    both = DummyDataAttrs(data_filler=(Filler("uniform"),), shape=(BlobShape((9,)),))
    batch = dummy(both, "y0", "y1").next()
    assert not np.array_equal(batch["y0"], batch["y1"])


def test_dummy_shapes() -> None:
    old = DummyDataAttrs(num=(2,), channels=(3,), height=(4, 5), width=(6,))
    types = DummyData.infer(old, sig(HERE, ("y0", "y1")))
    assert types == {"y0": Type((2, 3, 4, 6)), "y1": Type((2, 3, 5, 6))}
    batched = DummyData.rebatch(old, 7)
    assert DummyData.infer(batched, sig(HERE, ("y0", "y1")))["y1"] == Type((7, 3, 5, 6))
    new = DummyData.rebatch(DummyDataAttrs(shape=(BlobShape((2, 3)), BlobShape(()))), 7)
    assert new.shape == (BlobShape((7, 3)), BlobShape(()))
    s = sig(HERE, ("y0", "y1"), y0=Type((1, 2)), y1=Type((3,)))
    built = DummyData.open(RANDOM, s)
    found = DummyData.reference(RANDOM, {}, Ctx(s, source=built))
    assert found["y0"].shape == (1, 2) and found["y1"].shape == (3,)


SHAPE = BlobShape((2,))


@pytest.mark.parametrize(
    "attrs",
    [
        DummyDataAttrs(),
        DummyDataAttrs(shape=(SHAPE, SHAPE)),
        DummyDataAttrs(shape=(SHAPE,), data_filler=(Filler(), Filler())),
        DummyDataAttrs(shape=(SHAPE,), num=(2,)),
        DummyDataAttrs(num=(2,), channels=(3,), height=(4,)),
        DummyDataAttrs(num=(2, 3), channels=(3,), height=(4,), width=(4,)),
    ],
)
def test_dummy_refuses(attrs: DummyDataAttrs) -> None:
    roles = ("y0", "y1", "y2")
    with pytest.raises(GraphError, match="GC-N008"):
        DummyData.infer(attrs, sig(HERE, roles))


def test_dummy_with_an_unknown_filler() -> None:
    attrs = DummyDataAttrs(data_filler=(Filler("nonsense"),), shape=(SHAPE,))
    with pytest.raises(GraphError, match="nonsense"):
        dummy(attrs, "y0").next()
