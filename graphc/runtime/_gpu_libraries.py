"""Libraries: kernels of cuDNN and cuBLASLt that a plan has chosen, on addresses of its arena."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc.config import Config
from graphc.cuda import Spec, cublas, cudnn
from graphc.cuda.cublas import Blas, Matrix
from graphc.cuda.dense import CUBLAS, CUDNN, PRODUCTS, product_of
from graphc.cuda.plans import Product
from graphc.cuda.variants import Use
from graphc.errors import fail

Sides = Sequence[tuple[Spec, int]]
"""Operands with their addresses."""
Queue = Callable[[int], None]
"""Queues a kernel on the stream at an address."""


class Libraries:
    """Handles and graphs of one GPU, made when a plan first asks for them."""

    def __init__(self) -> None:
        self._blas: Blas | None = None
        self._handle: Any = None
        self._stream = 0
        self._graphs: dict[tuple[Product, str], tuple[cudnn.Graph, int]] = {}

    def kernel(
        self,
        key: str,
        symbol: str,
        told: Mapping[str, Any],
        reads: Sides,
        writes: Sides,
        space: int,
    ) -> Queue:
        """What queues the offer `key` for a kernel row; `space`: address of its workspace. Raises
        GC-A001 for a key that the library here does not know, GC-X001 without the library."""
        library, _, name = key.partition(" ")
        if library == CUBLAS and symbol in PRODUCTS and name.isdigit():
            return self._product(symbol, told, reads, writes, (space, int(name)))
        use = Use(
            symbol, tuple(told.items()), *(tuple(s for s, _ in side) for side in (reads, writes))
        )
        product = product_of(use)
        if library != CUDNN or product is None:
            fail("GC-A001", f"no library has a kernel {key!r} for {symbol!r}", "compile it again")
        return self._convolution(
            product, name, [address for _, address in (*reads, *writes)], space
        )

    def _convolution(
        self, product: Product, key: str, addresses: Sequence[int], space: int
    ) -> Queue:
        graph, place = self._graph(product, key)
        pack = dict(zip(graph.operands, addresses, strict=True))
        handle, run = self._handle, graph.graph.execute_plan_at_index

        def queue(stream: int) -> None:
            if stream != self._stream:
                cudnn.frontend().set_stream(handle=handle, stream=stream)
                self._stream = stream
            run(pack, space, place, handle=handle)

        return queue

    def _graph(self, product: Product, key: str) -> tuple[cudnn.Graph, int]:
        if (product, key) not in self._graphs:
            if self._handle is None:
                self._handle = cudnn.frontend().create_handle()
            graph = cudnn.Graph(product, handle=self._handle)
            place = graph.built(key)
            if place is None:
                told = f"cuDNN {cudnn.version()} has no plan {key!r} for {product.key!r}"
                fail("GC-A001", told, "compile it again: plans hold for one version of cuDNN")
            self._graphs[product, key] = graph, place
        return self._graphs[product, key]

    def _product(
        self,
        symbol: str,
        told: Mapping[str, Any],
        reads: Sides,
        writes: Sides,
        workspace: tuple[int, int],
    ) -> Queue:
        if self._blas is None:
            self._blas = Blas()
        a, b, c = matrices(symbol, told, reads, writes)
        bias = reads[2][1] if symbol == "inner_product" and told.get("bias") else 0
        return self._blas.product(
            reads[0][0].dtype,
            a,
            b,
            c,
            bias=bias,
            adds=bool(told.get("accumulate")),
            tf32=Config.load().tf32,
            workspace=workspace,
        )


def matrices(
    symbol: str, told: Mapping[str, Any], reads: Sides, writes: Sides
) -> tuple[Matrix, Matrix, Matrix]:
    """a, b and c of c = a b, for a kernel row of matrix products; see graphc/cuda/products.py."""
    axis = told["axis"]
    (first, at), (second, behind), (result, to) = reads[0], reads[1], writes[0]
    rows, depth = math.prod(first.shape[:axis]), math.prod(first.shape[axis:])
    if symbol == "inner_product":
        outputs = math.prod(result.shape[axis:])
        weight = cublas.Matrix(behind, outputs, depth, True)
        return Matrix(at, rows, depth), weight, Matrix(to, rows, outputs)
    if symbol == "inner_product_dx":
        inputs = math.prod(result.shape[axis:])
        return Matrix(at, rows, depth), Matrix(behind, depth, inputs), Matrix(to, rows, inputs)
    others = math.prod(second.shape[axis:])
    dy, x = Matrix(at, rows, depth, True), Matrix(behind, rows, others)
    if not told.get("transpose"):
        return dy, x, Matrix(to, depth, others)
    return Matrix(behind, rows, others, True), Matrix(at, rows, depth), Matrix(to, others, depth)


__all__ = ["Libraries", "matrices"]
