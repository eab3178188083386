"""Options of passes: converted from text and TOML, checked, refused by name."""
# ruff: noqa: UP007, UP045 (the older spellings are converted too)

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

from graphc.errors import GraphError
from graphc.passes.base import Pass
from graphc.passes.options import build, convert


@pytest.mark.parametrize(
    ("hint", "given", "made"),
    [
        (bool, "true", True),
        (bool, "0", False),
        (bool, True, True),
        (int, "12", 12),
        (int, 12, 12),
        (int, "-3", -3),
        (float, "1e-6", 1e-6),
        (float, 2, 2.0),
        (float, "inf", float("inf")),
        (str, "12", "12"),
        (Path, "a/b", Path("a/b")),
        (Literal["a", "b"], "b", "b"),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[str, ...], "conv1", ("conv1",)),
        (tuple[float, ...], ["1", 2], (1.0, 2.0)),
        (list[int], [1], [1]),
        (Optional[int], "none", None),
        (Optional[int], "3", 3),
        (int | None, None, None),
        (Union[float, str], "x", "x"),
        (Any, [1], [1]),
        (dict[str, int], {"a": 1}, {"a": 1}),
    ],
)
def test_convert(hint, given, made):
    found = convert(hint, given)
    assert found == made and type(found) is type(made)


@pytest.mark.parametrize(
    ("hint", "given"),
    [
        (bool, "maybe"),
        (bool, 1),
        (int, "1.5"),
        (int, 1.5),
        (int, True),
        (float, "x"),
        (float, True),
        (float, [1.0]),
        (str, 5),
        (Literal["a"], "c"),
        (tuple[int, ...], "x"),
        (tuple[int, ...], [1, "x"]),
        (Optional[int], "x"),
        (int | None, [1]),
    ],
)
def test_refused_values(hint, given):
    with pytest.raises((ValueError, TypeError)):
        convert(hint, given)


@dataclass(frozen=True)
class Rank(Pass):
    name = "rank"
    share: float
    layers: tuple[str, ...] = ()
    mode: Literal["fast", "exact"] = "fast"
    extra: list[int] = field(default_factory=list)
    count: int = field(init=False, default=0)

    def __post_init__(self):
        if self.share < 0:
            raise ValueError("share is negative")


def test_build():
    made = build(Rank, {"share": "0.5", "layers": ["a", "b"], "mode": "exact"})
    assert made == Rank(0.5, ("a", "b"), "exact")
    assert made.options() == {"share": 0.5, "layers": ("a", "b"), "mode": "exact"}
    assert "count" not in Rank.defaults() and Rank.defaults()["extra"] == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "'rank' needs share"),
        ({"shar": 1}, "has no option 'shar'"),
        ({"share": 1, "count": 3}, "has no option 'count'"),
        ({"share": "x"}, "share is 'x', expected a number"),
        ({"share": 1, "mode": "slow"}, "mode is 'slow', expected one of fast, exact"),
        ({"share": -1}, "cannot be made: ValueError: share is negative"),
    ],
)
def test_refused_options(options, told):
    with pytest.raises(GraphError, match="GC-T001") as caught:
        build(Rank, options)
    assert told in caught.value.message
    if "'shar'" in told:
        assert "share" in caught.value.hint


def test_a_class_without_name_or_with_a_constructor_of_its_own():
    class Nameless(Pass):
        pass

    class Own(Pass):
        name = "own"

        def __init__(self, x):
            self.x = x

    with pytest.raises(GraphError, match="has no name"):
        build(Nameless, {})
    with pytest.raises(GraphError, match="cannot be made: TypeError"):
        build(Own, {})


@dataclass(frozen=True)
class Unknown(Pass):
    name = "unknown"
    x: "NoSuchType" = None  # noqa: F821


def test_a_hint_that_means_nothing():
    assert build(Unknown, {}).x is None
    with pytest.raises(GraphError, match="NameError"):
        build(Unknown, {"x": "1"})
