"""Records are dataclasses in all that a caller can see."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import ClassVar

import pytest

from graphc.records import FEW, record


def _declare(make):
    """One class of each kind, as `make` declares it."""

    @make(frozen=True, slots=True)
    class Point:
        """A place."""

        kind: ClassVar[str] = "point"
        x: int
        y: float = 0.5
        tags: tuple[str, ...] = ()
        more: list[int] = field(default_factory=list)
        hidden: int = field(default=3, repr=False, compare=False)

    @make(eq=False, slots=True)
    class Thing:
        name: str

    @make
    class Total:
        amount: int = 0

        def __post_init__(self) -> None:
            self.amount += 1

    @make(frozen=True)
    class Empty:
        pass

    return Point, Thing, Total, Empty


RECORDS, STANDARD = _declare(record), _declare(dataclass)


@pytest.mark.parametrize("classes", [RECORDS, STANDARD], ids=["record", "dataclass"])
def test_records_do_what_dataclasses_do(classes):
    point_, thing_, total_, empty_ = classes
    point = point_(1, tags=("a",))
    assert (point.x, point.y, point.tags, point.more, point.hidden) == (1, 0.5, ("a",), [], 3)
    assert point == point_(1, 0.5, ("a",), [], 4) != point_(2)
    assert point != (1, 0.5, ("a",), [], 3)
    assert repr(point).endswith("Point(x=1, y=0.5, tags=('a',), more=[])")
    assert [f.name for f in fields(point)] == ["x", "y", "tags", "more", "hidden"]
    assert replace(point, x=5).x == 5
    assert asdict(point)["tags"] == ("a",)
    assert point_.__match_args__ == ("x", "y", "tags", "more", "hidden")
    assert point_.kind == "point" and point_.__doc__ == "A place."
    assert not hasattr(point, "__dict__")
    assert point_(1).more is not point_(1).more
    for act in (lambda: setattr(point, "x", 2), lambda: delattr(point, "x")):
        with pytest.raises(FrozenInstanceError):
            act()
    assert thing_("a") != thing_("a") and len({thing_("a"), thing_("a")}) == 2
    assert total_(4).amount == 5 and total_(4) == total_(4)
    with pytest.raises(TypeError, match="unhashable"):
        hash(total_())
    assert empty_() == empty_() and hash(empty_()) == hash(empty_()) and "Empty()" in repr(empty_())
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        point_()
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        point_(1, z=2)


@pytest.mark.parametrize("before", [0, FEW])
def test_wrong_arguments_are_refused_at_any_time(before):
    @record(frozen=True, slots=True)
    class Pair:
        a: int
        b: int = 2

    for _ in range(before):
        Pair(1)
    for args, given, words in (
        ((), {}, "missing 1 required positional argument: 'a'"),
        ((1,), {"a": 1}, "multiple values for argument 'a'"),
        ((1, 2, 3), {}, "takes from 2 to 3 positional arguments but 4 were given"),
        ((1,), {"c": 1}, "unexpected keyword argument 'c'"),
    ):
        with pytest.raises(TypeError, match=words):
            Pair(*args, **given)
    assert [Pair(i, b=3).a for i in range(2 * FEW)] == list(range(2 * FEW))


def test_equal_records_have_equal_hashes():
    point, *_ = RECORDS
    assert hash(replace(point(1), more=())) == hash(replace(point(1), more=(), hidden=9))


@record(frozen=True, slots=True)
class Place:
    row: int
    column: int = 1


def test_records_can_be_copied_and_pickled():
    place = Place(3)
    assert copy.deepcopy(place) == copy.copy(place) == pickle.loads(pickle.dumps(place)) == place


def test_dataclasses_and_records_inherit_from_records():
    @dataclass(frozen=True)
    class Further(Place):
        depth: int = 7

    @record(frozen=True, slots=True)
    class Deeper(Place):
        depth: int = 7

    for cls in (Further, Deeper):
        with pytest.raises(FrozenInstanceError):
            cls(1).depth = 2
        assert [f.name for f in fields(cls)] == ["row", "column", "depth"]
        assert (cls(1, 2).row, cls(1, 2, 3).depth) == (1, 3)
    with pytest.raises(TypeError, match="non-frozen"):

        @dataclass
        class _Loose(Place):
            pass


def test_records_that_hold_themselves_are_shown():
    _, _, total, _ = RECORDS
    one = total()
    one.amount = one
    assert repr(one).endswith("Total(amount=...)")
