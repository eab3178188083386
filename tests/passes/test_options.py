"""Options of passes: converted from text and TOML, checked, refused by name."""
# ruff: noqa: UP007, UP045 (the older spellings are converted too)

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

from graphc.errors import GraphError
from graphc.passes.base import Pass
from graphc.passes.low_rank import LowRank
from graphc.passes.options import build, convert
from graphc.passes.quantize_weights import QuantizeWeights
from graphc.passes.registry import resolve
from graphc.passes.remove_filters import RemoveFilters


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


@pytest.mark.parametrize(
    ("each", "told"),
    [
        (LowRank(method="foo"), "method is 'foo', expected one of pca"),
        (LowRank(config={"a": 3}), "config is {'a': 3}, expected a text"),
        (QuantizeWeights(bits=2.5), "bits is 2.5, expected a whole number"),
        (RemoveFilters(ratio=0.5, criterion="l3"), "criterion is 'l3', expected one of l1"),
    ],
)
def test_options_of_objects_are_checked(each, told):
    with pytest.raises(GraphError, match="GC-T001") as caught:
        resolve([each])
    assert told in caught.value.message


def test_options_of_objects_are_converted():
    """One layer by name is a pattern, not as many as it has letters."""
    (made,) = resolve([LowRank(layers="conv1", rank=[2, 3])])
    assert (made.layers, made.rank) == (("conv1",), (2, 3))
    right = LowRank(layers=("conv1",), error=0)
    assert resolve([right])[0] is right
