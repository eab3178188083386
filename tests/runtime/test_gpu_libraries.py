"""What cuDNN and cuBLASLt are told of a plan's operands, on stand-ins for both."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graphc.cuda import Spec, cublas, cudnn
from graphc.cuda.cublas import Blas, Matrix
from graphc.errors import GraphError
from graphc.runtime._gpu_libraries import Libraries, matrices

X, W, Y = (Spec("f32", s) for s in ((4, 3, 8, 8), (6, 3, 3, 3), (4, 6, 6, 6)))
TOLD = {"kernel": (3, 3), "stride": (1, 1), "pad": (0, 0), "dilation": (1, 1)}
TOLD |= {"group": 1, "axis": 1, "bias": False}


class Tensor(SimpleNamespace):
    """What a graph is made of; every setting returns it."""

    def __getattr__(self, name: str) -> Any:
        return lambda *told: self.settings.append((name, *told)) or self

    def __hash__(self) -> int:
        return id(self)


class PyGraph:
    """A cuDNN graph with two plans of its own and one of the frontend's."""

    def __init__(self, ran: list[Any], **told: Any) -> None:
        self.ran, self.built = ran, []
        self.validate = self.build_operation_graph = self.check_support = lambda: None
        self.create_execution_plans = self.deselect_numeric_notes = lambda told: None
        self.build_plan_at_index = self.built.append
        self.get_execution_plan_count = lambda: 3

    def tensor(self, **told: Any) -> Tensor:
        return Tensor(settings=[], **told)

    def conv_fprop(self, *told: Any, **how: Any) -> Tensor:
        return Tensor(settings=[], name="made")

    conv_dgrad = conv_wgrad = bias = conv_fprop

    def get_plan_name_at_index(self, place: int) -> str:
        return ("frontend", "eng5_k2=1", "eng6")[place]

    def execute_plan_at_index(self, pack: Any, space: int, place: int, handle: Any) -> None:
        told = {tensor.name: address for tensor, address in pack.items()}
        self.ran.append((told, space, place, handle))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What cuDNN ran, and the streams that its handle was given."""
    found: list[Any] = []
    one = SimpleNamespace(FLOAT=0, HALF=1, BFLOAT16=2)
    fake = SimpleNamespace(
        data_type=one,
        heur_mode=SimpleNamespace(A=0, FALLBACK=1),
        backend_version_string=lambda: "9.19.0",
        create_handle=lambda: "handle",
        set_stream=lambda handle, stream: found.append(stream),
        pygraph=lambda **told: PyGraph(found, **told),
    )
    monkeypatch.setitem(sys.modules, "cudnn", fake)
    cudnn.frontend.cache_clear()
    yield found
    cudnn.frontend.cache_clear()


@pytest.mark.parametrize(
    ("symbol", "reads", "write", "names"),
    [
        ("conv", (X, W), Y, ("x", "w")),
        ("deconv", (Y, W), X, ("dy", "w")),
        ("conv_dweight", (Y, X), W, ("dy", "x")),
    ],
)
def test_cudnn_gets_operands_by_their_roles(
    ran: list[Any], symbol: str, reads: Any, write: Spec, names: Any
) -> None:
    sides = [(reads[0], 256), (reads[1], 512)], [(write, 768)]
    queue = Libraries().kernel("cudnn eng5 TILE_SIZE=1", symbol, TOLD, *sides, 1024)
    queue(7)
    queue(7)
    operands = {names[0]: 256, names[1]: 512, "made": 768}
    assert ran == [7, (operands, 1024, 1, "handle"), (operands, 1024, 1, "handle")]


@pytest.mark.parametrize(
    ("key", "symbol", "told"),
    [
        ("cudnn eng9", "conv", "cuDNN 9.19.0 has no plan 'eng9'"),
        ("cudnn eng6", "pool", "no library has a kernel"),
        ("other eng6", "conv", "no library has a kernel"),
        ("cublaslt x", "conv", "no library has a kernel"),
    ],
)
def test_keys_that_no_library_knows(ran: list[Any], key: str, symbol: str, told: str) -> None:
    with pytest.raises(GraphError, match=told) as caught:
        Libraries().kernel(key, symbol, TOLD, [(X, 0), (W, 0)], [(Y, 0)], 0)
    assert caught.value.code == "GC-A001"


def test_a_frontend_without_cudnn_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library() -> str:
        raise RuntimeError("Unable to find symbol cudnnGetVersion")

    monkeypatch.setitem(sys.modules, "cudnn", SimpleNamespace(backend_version_string=no_library))
    cudnn.frontend.cache_clear()
    with pytest.raises(GraphError, match="frontend finds no cuDNN: Unable to find") as caught:
        cudnn.version()
    assert caught.value.exit_code == 6 and "graphc[gpu]" in caught.value.hint
    monkeypatch.setitem(sys.modules, "cudnn", None)
    with pytest.raises(GraphError, match="frontend cannot be imported"):
        cudnn.version()


def _used(matrix: Matrix, memory: dict[int, np.ndarray]) -> np.ndarray:
    held = memory[matrix.address].reshape(matrix.rows, matrix.columns)
    return held.T if matrix.transposed else held


@pytest.mark.parametrize("symbol", ["inner_product", "inner_product_dx", "inner_product_dweight"])
@pytest.mark.parametrize("transpose", [False, True])
def test_rows_of_products_are_matrices(symbol: str, transpose: bool) -> None:
    if transpose and symbol != "inner_product_dweight":
        return
    rng = np.random.default_rng(2)
    x, w, dy = (rng.random(s, np.float32) for s in ((5, 2, 3), (4, 6), (5, 4)))
    flat = x.reshape(5, 6)
    reads, wanted = {
        "inner_product": ((x, w), flat @ w.T),
        "inner_product_dx": ((dy, w), dy @ w),
        "inner_product_dweight": ((dy, x), flat.T @ dy if transpose else dy.T @ flat),
    }[symbol]
    shape = (5, 2, 3) if symbol == "inner_product_dx" else wanted.shape
    memory = dict(enumerate((*reads, wanted)))
    sides = [(Spec("f32", r.shape), at) for at, r in enumerate(reads)], [(Spec("f32", shape), 2)]
    a, b, c = matrices(symbol, {"axis": 1, "transpose": transpose}, *sides)
    assert not c.transposed and (c.address, c.rows, c.columns) == (2, *wanted.shape)
    np.testing.assert_allclose(_used(a, memory) @ _used(b, memory), wanted, rtol=1e-6)


class Lt:
    """The functions of cuBLASLt that are called, which note what they are told."""

    def __init__(self, fails: str = "", kernels: int = 1) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._fails, self._kernels, self._made = fails, kernels, 0

    def __getattr__(self, name: str) -> Any:
        short = name.removeprefix("cublasLt")

        def call(*told: Any) -> int:
            self.calls.append((short, told))
            if short.endswith("Create"):
                self._made += 1
                told[0]._obj.value = self._made
            if short == "MatmulAlgoGetHeuristic":
                told[-1]._obj.value = self._kernels
            return 15 if short == self._fails else 0

        return call

    def told(self, name: str) -> list[Any]:
        return [told for called, told in self.calls if called == name]


def product(library: Lt, monkeypatch: pytest.MonkeyPatch, **how: Any) -> Any:
    monkeypatch.setattr(cublas, "load", lambda stem: library)
    a, b, c = Matrix(256, 5, 6), Matrix(512, 4, 6, True), Matrix(768, 5, 4)
    return Blas().product("f32", a, b, c, **how)


def test_cublas_is_told_of_the_transposed_product(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Lt()
    queue = product(library, monkeypatch, bias=99, adds=True, workspace=(1024, 4096))
    layouts = [[n.value for n in told[2:]] for told in library.told("MatrixLayoutCreate")]
    assert layouts == [[6, 4, 6], [6, 5, 6], [4, 5, 4]], "b, a, c, column by column"
    settings = {told[1]: told[2]._obj.value for told in library.told("MatmulDescSetAttribute")}
    assert settings == {3: 1, 4: 0, 7: 4, 8: 99}
    (limit,) = library.told("MatmulPreferenceSetAttribute")
    assert limit[2]._obj.value == 4096
    assert library.told("MatmulDescCreate")[0][1:] == (68, 0)
    queue(11)
    (ran,) = library.told("Matmul")
    assert [ran[at].value for at in (3, 5, 8, 10)] == [512, 256, 768, 768]
    assert ran[2]._obj.value == 1 and ran[7]._obj.value == 1
    assert (ran[13].value, ran[14].value, ran[15].value) == (1024, 4096, 11)


def test_tf32_is_asked_of_cublas(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Lt()
    product(library, monkeypatch, tf32=True)
    assert library.told("MatmulDescCreate")[0][1:] == (77, 0)


@pytest.mark.parametrize(
    ("library", "told"),
    [
        (Lt(fails="Create"), "cuBLASLt: Create ends with status 15"),
        (Lt(kernels=0), "no kernel for a product within 0 B of workspace"),
        (None, "cuBLASLt is not installed"),
    ],
)
def test_cublas_that_cannot(library: Any, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GraphError, match=told) as caught:
        product(library, monkeypatch)
    assert (caught.value.code, caught.value.exit_code) == ("GC-X001", 6)


def test_a_heuristic_result_is_laid_out_as_the_header_says() -> None:
    assert ctypes.sizeof(cublas._Found) == 8 * 8 + 8 + 4 + 4 + 16
