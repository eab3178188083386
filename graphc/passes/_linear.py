"""Linear: convolutions and inner products as y = W x + b, into which affine maps are folded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from graphc.ir.graph import Array, Graph, Node, typed
from graphc.ir.op import Op
from graphc.ops._conv import conv_windows, deconv_windows
from graphc.ops.convolution import Convolution
from graphc.ops.deconvolution import Deconvolution
from graphc.ops.inner_product import InnerProduct
from graphc.ops.spec import F64
from graphc.passes._affine import Affine
from graphc.records import record

LINEARS: frozenset[type[Op]] = frozenset({Convolution, Deconvolution, InnerProduct})
RANGE = 1e-18, 1e18
"""Where folded weights must lie, so that float32 holds them with all their bits."""
_ROWS = 1 << 22  # elements that are made float64 at a time


@record(frozen=True)
class Linear:
    """A layer and the maps folded into it so far, `before` it and `after` it.

    Its weights stay as they are until `weights` gives those of the whole: after.scale * W *
    before.scale, and after.scale * (b + W before.shift) + after.shift; in float64, rounded once.
    """

    graph: Graph
    node: Node
    before: Affine | None = None
    after: Affine | None = None

    @property
    def data(self) -> str:
        """The role of its one data bottom."""
        return next(iter(self.node.ins))

    @property
    def top(self) -> str:
        return self.node.tops[0]

    def followed_by(self, map_: Affine) -> Linear | str:
        """With `map_` applied to its top; else why that cannot be."""
        y = typed(self.node.outs[self.top])
        each = map_.along(y, self._axis)
        if each is None:
            return f"its coefficients do not lie along the outputs of {self.node.name!r}"
        found = replace(self, after=each if self.after is None else self.after.then(each))
        return found._checked()

    def preceded_by(self, map_: Affine) -> Linear | str:
        """With `map_` applied to its bottom; else why that cannot be."""
        x = typed(self.node.ins[self.data])
        per_element = self.node.op is InnerProduct
        each = map_.over(x, self._axis) if per_element else map_.along(x, self._axis)
        if each is None:
            return f"its coefficients do not lie along the inputs of {self.node.name!r}"
        whole = each if self.before is None else each.then(self.before)
        assert whole is not None  # both lie along the layer's inputs
        if whole.moves and not self._sees_all:
            return f"its shift cannot pass the padding of {self.node.name!r}"
        return replace(self, before=whole)._checked()

    def _checked(self) -> Linear | str:
        """Itself, unless float32 cannot hold its weights."""
        weight = self.view(self._weight)
        for map_, axes, extent in ((self.after, (2, 3), (0, 1)), (self.before, (1, 3), (0, 2))):
            if map_ is None:
                continue
            shape = tuple(weight.shape[i] for i in extent)
            peak = np.maximum(weight.max(axes, initial=0), -weight.min(axes, initial=0))
            with np.errstate(all="ignore"):
                sizes = np.abs(map_.scale.reshape(shape) * peak.astype(np.float64))
            if not np.all((sizes == 0) | ((sizes > RANGE[0]) & (sizes < RANGE[1]))):
                return f"the weights of {self.node.name!r} would leave the range of float32"
        bias = self._folded_bias()
        if bias is not None and not np.all(np.abs(bias) < RANGE[1]):
            return f"the bias of {self.node.name!r} would leave the range of float32"
        return self

    def weights(self) -> dict[str, Array]:
        """The folded weight, and bias if there is one, by role."""
        made = np.empty_like(self._weight)
        old, new = self.view(self._weight), self.view(made)
        groups, outputs, inputs, _ = old.shape
        left = np.ones(groups * outputs) if self.after is None else self.after.scale
        right = np.ones(groups * inputs) if self.before is None else self.before.scale
        left, right = left.reshape(groups, outputs, 1, 1), right.reshape(groups, 1, inputs, 1)
        for rows in _blocks(old):
            np.multiply(old[:, rows] * left[:, rows], right, out=new[:, rows], casting="same_kind")
        bias = self._folded_bias()
        return {"weight": made} | ({} if bias is None else {"bias": bias.astype(np.float32)})

    def _folded_bias(self) -> F64 | None:
        held = self.node.params.get("bias")
        bias = None if held is None else self.graph.weight(held).reshape(-1).astype(np.float64)
        with np.errstate(all="ignore"):
            if self.before is not None and self.before.shift is not None:
                moved = self._applied(self.before.shift)
                bias = moved if bias is None else bias + moved
            if self.after is not None:
                bias = None if bias is None else bias * self.after.scale
                if self.after.shift is not None:
                    bias = self.after.shift if bias is None else bias + self.after.shift
        return bias

    def _applied(self, shift: F64) -> F64:
        """W shift, of a bottom that is the same at every place."""
        weight = self.view(self._weight)
        groups, outputs, inputs, _ = weight.shape
        by_group = shift.reshape(groups, inputs)
        made = np.empty((groups, outputs))
        for rows in _blocks(weight):
            sums = weight[:, rows].sum(3, dtype=np.float64)
            made[:, rows] = np.einsum("goi,gi->go", sums, by_group)
        return made.reshape(-1)

    def view(self, array: Array) -> Array:
        """A weight array as (group, outputs per group, inputs per group, kernel), a view."""
        if self.node.op is InnerProduct:
            return (array.T if self.node.attrs.transpose else array)[None, :, :, None]
        group = self.node.attrs.group
        first, second = array.shape[:2]
        blocks = array.reshape(group, first // group, second, -1)
        return blocks.swapaxes(1, 2) if self.node.op is Deconvolution else blocks

    @property
    def _weight(self) -> Array:
        value = self.node.params["weight"]
        return self.graph.weight(value).reshape(typed(value).shape)

    @property
    def _axis(self) -> int:
        """The axis of channels, in bottom and top."""
        return typed(self.node.ins[self.data]).axis(self.node.attrs.axis)

    @property
    def _sees_all(self) -> bool:
        """Does every output sum over all inputs of its window, so that none is padding?"""
        a, x = self.node.attrs, typed(self.node.ins[self.data])
        if self.node.op is InnerProduct:
            return True
        if self.node.op is Deconvolution:
            windows = deconv_windows(a, x)
            return all(w.kernel == w.stride == 1 and w.pad == 0 for w in windows)
        return all(w.pad == 0 for w in conv_windows(a, x))


def _blocks(weight: npt.NDArray[np.float32]) -> list[slice]:
    """Slices of axis 1, each small enough to be held in float64."""
    size = max(1, weight.size // max(1, weight.shape[1]))
    step = max(1, _ROWS // size)
    return [slice(at, at + step) for at in range(0, weight.shape[1], step)]
