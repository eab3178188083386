"""Layers that move elements about: shapes by hand, views, errors with facts, hostile options."""

from __future__ import annotations

import numpy as np
import pytest
from ops.calls import Call, inferred, refused, signature

from graphc.errors import GraphError
from graphc.ir.types import Type
from graphc.ops._blob_shape import BlobShape
from graphc.ops.batch_reindex import BatchReindex
from graphc.ops.concat import Concat, ConcatAttrs
from graphc.ops.crop import Crop, CropAttrs
from graphc.ops.filter import Filter
from graphc.ops.input import Input, InputAttrs
from graphc.ops.parameter import Parameter, ParameterAttrs
from graphc.ops.reduction import Reduction, ReductionAttrs
from graphc.ops.silence import Silence
from graphc.ops.slice import Slice, SliceAttrs
from graphc.ops.softmax import Softmax, SoftmaxAttrs
from graphc.ops.spec import View
from graphc.ops.split import Split
from graphc.ops.ties import Tie
from graphc.ops.tile import Tile, TileAttrs


def test_concat_and_slice_are_views_of_each_other() -> None:
    joined = signature(Concat, ConcatAttrs(), (2, 3, 4), (2, 1, 4))
    assert Concat.views(ConcatAttrs(), joined) == {
        "x0": View("y", 1, 0, 3),
        "x1": View("y", 1, 3, 4),
    }
    assert [g.view for g in Concat.grads(ConcatAttrs(), joined)] == [
        View("dy", 1, 0, 3),
        View("dy", 1, 3, 4),
    ]
    attrs = SliceAttrs(slice_point=(3,))
    assert Slice.views(attrs, signature(Slice, attrs, (2, 4, 4), tops=2)) == {
        "y0": View("x", 1, 0, 3),
        "y1": View("x", 1, 3, 4),
    }
    assert Concat.views(ConcatAttrs(), signature(Concat, ConcatAttrs(), (2, 3))) == {
        "y": View("x0")
    }
    assert Slice.views(SliceAttrs(), signature(Slice, SliceAttrs(), (2, 3))) == {"y0": View("x")}


def test_concat_ties_channels_at_their_offset() -> None:
    ties = Concat.ties(ConcatAttrs(), signature(Concat, ConcatAttrs(), (2, 3, 4), (2, 1, 4)))
    assert Tie("x1.1", "y.1", at=3) in ties and Tie("x1.2", "y.2") in ties


def test_concat_refuses() -> None:
    told = refused("GC-S003", Concat, None, (2, 3, 4), (2, 3, 5))
    assert "(2, 3, 4)" in told and "x1 (2, 3, 5)" in told and "axis 1" in told
    refused("GC-S003", Concat, None, (2, 3), (2, 3, 1))
    refused("GC-S002", Concat, ConcatAttrs(axis=2**31 - 1), (2, 3))
    refused("GC-S002", Concat, ConcatAttrs(concat_dim=2), (2, 3))
    told = refused("GC-N008", Concat, ConcatAttrs(concat_dim=0, axis=1), (2, 3))
    assert "axis is 1 and concat_dim is 0" in told
    refused("GC-S001", Concat, ConcatAttrs(axis=0), (2**31 - 1, 0), (2, 0))


def test_slice_refuses() -> None:
    refused("GC-N008", Slice, SliceAttrs(slice_point=(3, 1)), (2, 6), tops=3)
    refused("GC-N008", Slice, SliceAttrs(slice_point=(0, 1)), (2, 6), tops=3)
    refused("GC-N008", Slice, SliceAttrs(slice_point=(2, 2)), (2, 6), tops=3)
    refused("GC-N008", Slice, SliceAttrs(slice_point=(2, 2**31)), (2, 6), tops=3)
    told = refused("GC-N008", Slice, SliceAttrs(slice_point=(2,)), (2, 6), tops=3)
    assert "1 slice points for 3 tops" in told
    refused("GC-N008", Slice, SliceAttrs(slice_point=(2,)), (2, 6))
    told = refused("GC-S002", Slice, None, (2, 5), tops=3)
    assert "(2, 5)" in told and "3 equal parts" in told
    refused("GC-S002", Slice, SliceAttrs(axis=-3), (2, 6), tops=2)
    refused("GC-N008", Slice, SliceAttrs(slice_dim=1, axis=1), (2, 6), tops=2)


def test_split_adds_its_gradients() -> None:
    call = Call(Split, None, [1.0, 2.0], tops=3)
    assert call.grad("x", dy0=[1, 2], dy1=[10, 20], dy2=[100, 200]).tolist() == [111, 222]
    assert len({g.part for g in Split.grads(None, call.sig)}) == 3


def test_batch_reindex_adds_up_and_checks() -> None:
    x = np.arange(6.0).reshape(3, 2)
    call = Call(BatchReindex, None, x, [2, 0.9, 2])
    assert call.out["y"].tolist() == [[4, 5], [0, 1], [4, 5]]
    dx = call.grad("x", dy=[[1, 2], [3, 4], [5, 6]])
    assert dx.tolist() == [[3, 4], [0, 0], [6, 8]]
    for bad in (3, -1, np.nan):
        with pytest.raises(GraphError) as caught:
            Call(BatchReindex, None, x, [0, bad])
        assert caught.value.code == "GC-D003"
        assert f"index {bad:g} at [1]" in caught.value.message
    refused("GC-S002", BatchReindex, None, (3, 2), (2, 1))


def test_filter_keeps_the_named_rows() -> None:
    x, z = np.arange(8.0).reshape(4, 2), np.arange(4.0)
    call = Call(Filter, None, x, z, [0, 1, np.nan, 0], tops=2)
    assert call.out["y0"].tolist() == [[2, 3], [4, 5]]
    assert call.out["y1"].tolist() == [1, 2]
    assert call.grad("x1", dy1=[7, 8]).tolist() == [0, 7, 8, 0]
    # a gradient at its planned extent: only the first rows live
    assert call.grad("x1", dy1=[7, 8, 9, 9]).tolist() == [0, 7, 8, 0]
    assert inferred(Filter, None, (4, 2), (4,)) == {"y0": (4, 2)}


def test_filter_of_nothing() -> None:
    call = Call(Filter, None, np.ones((3, 2)), np.zeros(3))
    assert call.out["y0"].shape == (0, 2)
    assert not call.grad("x0", dy0=np.zeros((0, 2))).any()


def test_filter_refuses() -> None:
    refused("GC-N004", Filter, None, (4, 2), (4,), tops=2)
    refused("GC-S003", Filter, None, (4, 2), (3,))
    refused("GC-S002", Filter, None, (4, 2), (4, 2))
    refused("GC-S002", Filter, None, (4, 2), ())


def test_silence_reads_nothing() -> None:
    s = signature(Silence, None, (2, 3), (4,), tops=0)
    assert [f.reads for f in Silence.forwards(None, s)] == [()]
    assert Call(Silence, None, np.ones((2, 3)), tops=0).grad("x0").tolist() == [[0] * 3] * 2


def test_crop_reads_no_reference_and_is_a_view_where_one_axis_is_cut() -> None:
    s = signature(Crop, CropAttrs(axis=3, offset=(1,)), (2, 3, 4, 5), (1, 1, 4, 2))
    assert Crop.views(CropAttrs(axis=3, offset=(1,)), s) == {"y": View("x", 3, 1, 3)}
    s = signature(Crop, CropAttrs(offset=(1,)), (2, 3, 4, 5), (1, 1, 3, 2))
    assert Crop.views(CropAttrs(offset=(1,)), s) == {}
    assert [f.reads for f in Crop.forwards(CropAttrs(), s)] == [("x",)]


def test_crop_refuses() -> None:
    told = refused("GC-S002", Crop, CropAttrs(offset=(2,)), (1, 1, 4, 4), (1, 1, 3, 3))
    assert "axis 2 of x of shape (1, 1, 4, 4) cannot be cut to 2..5" in told
    refused("GC-S002", Crop, CropAttrs(offset=(2**32 - 1,)), (1, 1, 4, 4), (1, 1, 1, 1))
    refused("GC-N008", Crop, CropAttrs(offset=(1, 1, 1)), (1, 1, 4, 4), (1, 1, 3, 3))
    refused("GC-S003", Crop, CropAttrs(), (1, 1, 4, 4), (1, 3))
    refused("GC-S002", Crop, CropAttrs(axis=2**31 - 1), (1, 1, 4, 4), (1, 1, 3, 3))


def test_tile_refuses() -> None:
    refused("GC-N008", Tile, TileAttrs(), (2, 3))
    refused("GC-S001", Tile, TileAttrs(tiles=2**31 - 1), (2, 3))
    refused("GC-S002", Tile, TileAttrs(axis=2**31 - 1, tiles=2), (2, 3))


def test_tile_of_nothing_is_cheap() -> None:
    call = Call(Tile, TileAttrs(tiles=2**31 - 1), np.zeros((2, 0)))
    assert call.out["y"].shape == (2, 0)


def test_reduction_by_hand() -> None:
    x = [[1.0, -2.0, 0.0], [3.0, 4.0, np.nan]]
    asum = Call(Reduction, ReductionAttrs("ASUM", axis=1, coeff=2), x)
    assert asum.out["y"][0] == 6 and np.isnan(asum.out["y"][1])
    # the sign of 0, and of NaN as in Caffe, is 0
    assert asum.grad("x", dy=[1, 1]).tolist() == [[2, -2, 0], [2, 2, 0]]
    mean = Call(Reduction, ReductionAttrs("MEAN"), [[1.0, 2.0], [3.0, 6.0]])
    assert mean.out["y"] == 3 and mean.out["y"].shape == ()
    assert mean.grad("x", dy=4).tolist() == [[1, 1], [1, 1]]
    assert np.isnan(Call(Reduction, ReductionAttrs("MEAN", axis=1), np.zeros((1, 0))).out["y"][0])


def test_reduction_refuses() -> None:
    refused("GC-N008", Reduction, ReductionAttrs(operation="MAX"), (2, 3))
    refused("GC-S002", Reduction, ReductionAttrs(axis=2**31 - 1), (2, 3))
    refused("GC-S002", Reduction, None, ())


def test_softmax_of_extremes() -> None:
    assert Call(Softmax, None, [[1e30, 0.0]]).out["y"].tolist() == [[1, 0]]
    assert np.isnan(Call(Softmax, None, [[np.nan, 0.0]]).out["y"]).all()
    assert Call(Softmax, None, np.zeros((2, 0))).out["y"].shape == (2, 0)
    refused("GC-S002", Softmax, SoftmaxAttrs(axis=2**31 - 1), (2, 3))


def shaped(*shapes: tuple[int, ...]) -> InputAttrs:
    return InputAttrs(tuple(BlobShape(s) for s in shapes))


def test_input_shapes() -> None:
    assert inferred(Input, shaped((2, 3)), tops=2) == {"y0": (2, 3), "y1": (2, 3)}
    assert inferred(Input, shaped((2, 3), (2,)), tops=2) == {"y0": (2, 3), "y1": (2,)}
    assert Input.rebatch(shaped((2, 3), (2,), ()), 7) == shaped((7, 3), (7,), ())
    assert "y1" in refused("GC-S004", Input, InputAttrs(), tops=2)
    assert "3 shapes for 2 tops" in refused("GC-N008", Input, shaped((1,), (1,), (1,)), tops=2)
    for bad in (-1, 2**31, 2**62):
        refused("GC-S001", Input, shaped((bad, 3)))


def test_parameter_is_a_view_of_its_weight() -> None:
    attrs = ParameterAttrs(BlobShape((2, 3)))
    s = signature(Parameter, attrs)
    assert s.params == {"weight": Type((2, 3))}
    assert Parameter.views(attrs, s) == {"y": View("weight")}
    refused("GC-S001", Parameter, ParameterAttrs(BlobShape((-1,))))
