"""Correlation: the sum behind convolution and deconvolution, and its two transposes."""

from __future__ import annotations

import math

from graphc.numpy_later import np
from graphc.ops._contract import contract
from graphc.ops._windows import Rows, Windows, blocks, fold, kernel_count, unfold
from graphc.ops.spec import F64
from graphc.records import record

Ints = tuple[int, ...]


@record(frozen=True, slots=True)
class Correlation:
    """y[n,o,p] = sum_c,k weight[o,c,k] * x[n,c,window p, element k], within each group.

    x: (batch..., C, size...), channels at `axis`; y: (batch..., O, windows...). Linear in x and
    weight; the other two methods are its transposes. Works in blocks of bounded memory.
    """

    axis: int
    windows: Windows
    groups: int

    def apply(self, x: F64, weight: F64) -> F64:
        """y of x (batch..., C, size...) and weight (O, C / groups, kernel...)."""
        n, c, image = self._image(x)
        y = np.empty((n, weight.shape[0], *self._grid()))
        for ns, rows in blocks(n, c, self.windows):
            columns = self._columns(image, c, ns, rows)
            part = contract("gock,ngckp->ngop", self._weight(weight), columns)
            y[ns, :, slice(*rows)] = part.reshape(y[ns, :, slice(*rows)].shape)
        outs = (w.out for w in self.windows)
        return y.reshape(*x.shape[: self.axis], weight.shape[0], *outs)

    def transpose(self, y: F64, weight: F64) -> F64:
        """x that y (batch..., O, windows...) makes: the gradient of `apply` in x."""
        n, rest = math.prod(y.shape[: self.axis]), self._grid()
        grid = y.reshape(n, weight.shape[0], *rest)
        c = weight.shape[1] * self.groups
        sizes = tuple(w.size for w in self.windows)
        image = np.zeros((n * c, *sizes))
        for ns, rows in blocks(n, c, self.windows):
            columns = contract("gock,ngop->ngckp", self._weight(weight), self._rows(grid, ns, rows))
            columns = columns.reshape(-1, columns.shape[-2], columns.shape[-1])
            fold(columns, self.windows, image[ns.start * c : ns.stop * c], rows)
        return image.reshape(*y.shape[: self.axis], c, *sizes)

    def weight(self, y: F64, x: F64) -> F64:
        """The gradient of `apply` in the weight, for y as its top's gradient."""
        n, c, image = self._image(x)
        o = y.shape[self.axis]
        grid = y.reshape(n, o, *self._grid())
        total = np.zeros((self.groups, o // self.groups, c // self.groups, *self._flat_kernel()))
        for ns, rows in blocks(n, c, self.windows):
            columns = self._columns(image, c, ns, rows)
            with np.errstate(all="ignore"):
                total += contract("ngop,ngckp->gock", self._rows(grid, ns, rows), columns)
        return total.reshape(o, c // self.groups, *(w.kernel for w in self.windows))

    def _image(self, x: F64) -> tuple[int, int, F64]:
        n, c = math.prod(x.shape[: self.axis]), x.shape[self.axis]
        return n, c, x.reshape(n * c, *x.shape[self.axis + 1 :])

    def _grid(self) -> Ints:
        """Windows as rows along the first axis, and the rest."""
        return (
            self.windows[0].out if self.windows else 1,
            math.prod(w.out for w in self.windows[1:]),
        )

    def _flat_kernel(self) -> Ints:
        return (kernel_count(self.windows),)

    def _weight(self, weight: F64) -> F64:
        o, c = weight.shape[:2]
        return weight.reshape(self.groups, o // self.groups, c, *self._flat_kernel())

    def _columns(self, image: F64, c: int, ns: slice, rows: Rows) -> F64:
        columns = unfold(image[ns.start * c : ns.stop * c], self.windows, rows)
        k, p = columns.shape[1:]
        return columns.reshape(ns.stop - ns.start, self.groups, c // self.groups, k, p)

    def _rows(self, grid: F64, ns: slice, rows: Rows) -> F64:
        part = grid[ns, :, slice(*rows)]
        o, p = part.shape[1], part.shape[2] * part.shape[3]
        return part.reshape(part.shape[0], self.groups, o // self.groups, p)


def add_bias(y: F64, bias: F64, axis: int) -> F64:
    """y plus bias along the channel axis."""
    with np.errstate(all="ignore"):
        return y + bias.reshape(-1, *(1,) * (y.ndim - axis - 1))


def sum_to_bias(dy: F64, axis: int) -> F64:
    """Sum over all axes but the channel axis."""
    with np.errstate(all="ignore"):
        return np.asarray(dy.sum(tuple(i for i in range(dy.ndim) if i != axis)))
