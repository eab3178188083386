"""cuBLASLt, by ctypes: matrix products with a workspace of ours, which CuPy's binding has not.

Numbers are those of cublasLt.h and cublas_api.h, CUDA 13.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from graphc.cuda.shared import load
from graphc.errors import fail
from graphc.records import record

KINDS = {"f32": 0, "f16": 2, "bf16": 14}
"""cudaDataType_t of an element type."""
FLOAT = 0
COMPUTE, COMPUTE_TF32 = 68, 77
TRANSPOSE_A, TRANSPOSE_B, EPILOGUE, BIAS_POINTER = 3, 4, 7, 8
"""cublasLtMatmulDescAttributes_t."""
WITH_BIAS = 4
MOST_WORKSPACE = 1
"""cublasLtMatmulPreferenceAttributes_t."""
WORKSPACE_ALIGN = 256


class _Found(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    )


@record(frozen=True, slots=True)
class Matrix:
    """Of `rows` x `columns`, row by row, at an address; `transposed`: it is used so."""

    address: int
    rows: int
    columns: int
    transposed: bool = False


def is_here() -> bool:
    return load("cublasLt") is not None


class Blas:
    """A handle, for the current device. Raises GC-X001 without the library or a driver."""

    def __init__(self) -> None:
        library = load("cublasLt")
        if library is None:
            fail("GC-X001", "cuBLASLt is not installed", "pip install 'graphc[gpu]'")
        self._library = library
        self._handle = ctypes.c_void_p()
        self._call("Create", ctypes.byref(self._handle))

    def product(
        self,
        dtype: str,
        a: Matrix,
        b: Matrix,
        c: Matrix,
        *,
        bias: int = 0,
        adds: bool = False,
        tf32: bool = False,
        workspace: tuple[int, int] = (0, 0),
    ) -> Callable[[int], None]:
        """What queues c = a b + bias on a stream, given by its address, or adds that to c; `bias`:
        address of a number for each column of c; `workspace`: address and bytes.

        A matrix that lies row by row is its transpose column by column, as the library has them:
        it is told of c' = b' a'. Raises GC-X001 where it has no kernel.
        """
        handles = _Handles(self, dtype, (b, a, c))
        description = handles.description(tf32, bias)
        found = self._fastest(description, handles.layouts, workspace[1])
        alpha, beta = ctypes.c_float(1), ctypes.c_float(adds)
        left, right, result = handles.layouts
        call = self._library.cublasLtMatmul
        fixed = (
            self._handle,
            description,
            ctypes.byref(alpha),
            ctypes.c_void_p(b.address),
            left,
            ctypes.c_void_p(a.address),
            right,
            ctypes.byref(beta),
            ctypes.c_void_p(c.address),
            result,
            ctypes.c_void_p(c.address),
            result,
            ctypes.byref(found.algorithm),
            ctypes.c_void_p(workspace[0]),
            ctypes.c_size_t(workspace[1]),
        )

        def queue(stream: int) -> None:
            _check("Matmul", call(*fixed, ctypes.c_void_p(stream)))

        return queue

    def _fastest(
        self, description: ctypes.c_void_p, layouts: tuple[ctypes.c_void_p, ...], room: int
    ) -> _Found:
        preference, number = ctypes.c_void_p(), ctypes.c_int()
        self._call("MatmulPreferenceCreate", ctypes.byref(preference))
        limit = ctypes.c_uint64(room)
        self.set("MatmulPreference", preference, MOST_WORKSPACE, limit)
        found, (left, right, result) = _Found(), layouts
        self._call(
            "MatmulAlgoGetHeuristic",
            self._handle,
            description,
            left,
            right,
            result,
            result,
            preference,
            1,
            ctypes.byref(found),
            ctypes.byref(number),
        )
        self._call("MatmulPreferenceDestroy", preference)
        if not number.value or found.state:
            fail("GC-X001", f"cuBLASLt has no kernel for a product within {room} B of workspace")
        return found

    def make(self, what: str, *told: object) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        self._call(f"{what}Create", ctypes.byref(made), *told)
        return made

    def set(self, what: str, of: ctypes.c_void_p, name: int, value: Any) -> None:
        """`value`: a number of ctypes."""
        size = ctypes.c_size_t(ctypes.sizeof(value))
        self._call(f"{what}SetAttribute", of, name, ctypes.byref(value), size)

    def _call(self, name: str, *told: object) -> None:
        _check(name, getattr(self._library, f"cublasLt{name}")(*told))


class _Handles:
    """A product's descriptions in the library, which live as long as what queues it."""

    def __init__(self, blas: Blas, dtype: str, matrices: tuple[Matrix, ...]) -> None:
        self._blas, self._matrices = blas, matrices
        self.layouts = tuple(
            blas.make(
                "MatrixLayout",
                KINDS[dtype],
                ctypes.c_uint64(m.columns),
                ctypes.c_uint64(m.rows),
                ctypes.c_int64(m.columns),
            )
            for m in matrices
        )

    def description(self, tf32: bool, bias: int) -> ctypes.c_void_p:
        blas = self._blas
        made = blas.make("MatmulDesc", COMPUTE_TF32 if tf32 else COMPUTE, FLOAT)
        for name, matrix in zip((TRANSPOSE_A, TRANSPOSE_B), self._matrices, strict=False):
            blas.set("MatmulDesc", made, name, ctypes.c_int32(matrix.transposed))
        if bias:
            blas.set("MatmulDesc", made, EPILOGUE, ctypes.c_int32(WITH_BIAS))
            blas.set("MatmulDesc", made, BIAS_POINTER, ctypes.c_uint64(bias))
        return made


def _check(name: str, status: int) -> None:
    if status:
        hint = "`graphc doctor` says what is missing"
        fail("GC-X001", f"cuBLASLt: {name} ends with status {status}", hint)


__all__ = ["Blas", "Matrix", "is_here"]
