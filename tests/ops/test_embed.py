"""Embed: ids, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from ops.calls import inferred, refused, signature

from graphc.errors import GraphError
from graphc.ops.embed import Embed, EmbedAttrs
from graphc.ops.spec import Ctx

ATTRS = EmbedAttrs(num_output=2, input_dim=3, bias_term=False)
WEIGHT = np.arange(6.0).reshape(3, 2)


def test_ids_are_truncated_and_repeated_ids_add_up() -> None:
    x = np.array([2.9, 0.0, -0.9, 2.0])
    sig = signature(Embed, ATTRS, x.shape)
    y = Embed.reference(ATTRS, {"x": x, "weight": WEIGHT}, Ctx(sig))["y"]
    assert y.tolist() == [[4, 5], [0, 1], [0, 1], [4, 5]]
    dy = np.array([[1.0, 2], [3, 4], [5, 6], [7, 8]])
    dweight = Embed.vjp(ATTRS, "dweight", {"dy": dy, "x": x}, Ctx(sig))
    assert dweight.tolist() == [[8, 10], [0, 0], [8, 10]]


@pytest.mark.parametrize("bad", [3.0, -1.0, 1e300, float("nan"), float("-inf")])
def test_an_id_out_of_range_is_named(bad: float) -> None:
    x = np.array([[0.0, 1.0], [bad, 2.0]])
    sig = signature(Embed, ATTRS, x.shape)
    for run in (
        lambda: Embed.reference(ATTRS, {"x": x, "weight": WEIGHT}, Ctx(sig)),
        lambda: Embed.vjp(ATTRS, "dweight", {"dy": np.ones((2, 2, 2)), "x": x}, Ctx(sig)),
    ):
        with pytest.raises(GraphError) as caught:
            run()
        assert caught.value.code == "GC-D003"
        assert f"{bad:g} at (1, 0)" in caught.value.message and "0..2" in caught.value.message


def test_shapes_and_refusals() -> None:
    assert inferred(Embed, ATTRS, (2, 3, 1)) == {"y": (2, 3, 1, 2)}
    assert inferred(Embed, ATTRS, ()) == {"y": (2,)}
    assert "input_dim" in refused("GC-N008", Embed, EmbedAttrs(num_output=2), (2,))
    assert "num_output" in refused("GC-N008", Embed, EmbedAttrs(input_dim=2), (2,))
