"""Dense products of libraries: what tables offer to the planner, and what other versions do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cudnn_tables
import pytest
from bench.probe.devices import H200

from graphc.cuda import cudnn
from graphc.cuda import library as libraries
from graphc.cuda.cudnn import description, key_of
from graphc.cuda.dense import DIRECTIONS, offers_of, product_of
from graphc.cuda.launch import Spec
from graphc.cuda.library import GPU, Library, library
from graphc.cuda.plans import LAYOUTS, Plan, Product, fastest_first, read_table, table, tables_of
from graphc.cuda.variants import Use
from graphc.errors import GraphError

CUDNN = "9.19.0"
TABLES = Library(version=CUDNN, tf32=True)
WINDOW = {"pad": (2, 2), "stride": (1, 1), "dilation": (1, 1), "kernel": (5, 5), "group": 2}
TOLD = {**WINDOW, "axis": 1, "bias": False}
X, W, Y = (Spec("f32", s) for s in ((256, 96, 27, 27), (256, 48, 5, 5), (256, 256, 27, 27)))
B = Spec("f32", (256,))


def use(symbol: str, dtype: str = "f32", **changed: object) -> Use:
    """One of AlexNet's second convolution, whose forward has a bias."""
    sides = {
        "conv": ((X, W, B), (Y,)),
        "deconv": ((Y, W), (X,)),
        "conv_dweight": ((Y, X), (W,)),
    }[symbol]
    told = {**TOLD, "bias": symbol == "conv", **changed}
    reads, writes = (tuple(replace(each, dtype=dtype) for each in side) for side in sides)
    return Use(symbol, tuple(told.items()), reads, writes)


THREE = ("conv", "deconv", "conv_dweight")


def test_tables_have_every_convolution_in_all_directions() -> None:
    """Of ResNet-50 and VGG-16 as they are trained: tests/plan/test_library_kernels.py."""
    wanted = cudnn_tables.products({"alexnet": [256]}, "bf16").keys()
    for dtype in LAYOUTS:
        known = table(GPU, CUDNN, dtype)
        assert known is not None and (known.gpu, known.cudnn, known.dtype) == (GPU, CUDNN, dtype)
        assert {key.split()[0] for key in known.products} == {*DIRECTIONS.values()}
        assert wanted <= known.products.keys() and all(known.products.values())
        single = table(GPU, CUDNN, "f32")
        assert single is not None and known.products.keys() == single.products.keys()


@pytest.mark.parametrize("symbol", THREE)
def test_offers_need_less_the_slower_they_are(symbol: str) -> None:
    found = offers_of(TABLES)(use(symbol))
    assert len(found) >= 2
    spaces, times = [o.workspace for o in found], [o.us for o in found]
    assert spaces == sorted(spaces, reverse=True) and len({*spaces}) == len(spaces)
    assert times == sorted(times) and times[0] > 0
    assert all(o.key.startswith("cudnn eng") and "roofline" in o.basis for o in found)


def test_what_is_nondeterministic_is_offered_only_if_it_may() -> None:
    known = table(GPU, CUDNN, "f32")
    assert known is not None
    random = {key for key, plans in known.products.items() if not all(_fixed(plans))}
    assert random and not any(key.startswith("fprop") for key in random)
    offers = offers_of(replace(TABLES, tf32=False))(use("conv_dweight"))
    fixed = offers_of(replace(TABLES, tf32=False, deterministic=True))(use("conv_dweight"))
    assert not all(o.deterministic for o in offers)
    assert fixed and all(o.deterministic for o in fixed)


def _fixed(plans: tuple[Plan, ...]) -> list[bool]:
    return [plan.is_deterministic for plan in plans]


def test_tf32_is_taken_only_if_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = offers_of(replace(TABLES, tf32=False))(use("conv"))
    fast = offers_of(TABLES)(use("conv"))
    assert {o.key for o in exact} != {o.key for o in fast} and exact[0].us > fast[0].us
    monkeypatch.delenv("GRAPHC_TF32", raising=False)
    assert not library(runs=False).tf32
    monkeypatch.setenv("GRAPHC_TF32", "1")
    assert library(runs=False).tf32


@pytest.mark.parametrize(
    "changed",
    [{"accumulate": True}, {"axis": 2}, {"relu": True}, {"residual": True}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_cudnn_does_not_do_is_not_offered(changed: dict[str, object]) -> None:
    assert product_of(use("conv")) is not None
    assert product_of(use("conv", **changed)) is None and not offers_of(TABLES)(
        use("conv", **changed)
    )


def test_shapes_that_no_table_has_are_not_guessed() -> None:
    odd = use("conv")
    odd = replace(odd, reads=(Spec("f32", (255, 96, 27, 27)), *odd.reads[1:]))
    odd = replace(odd, writes=(Spec("f32", (255, 256, 27, 27)),))
    assert product_of(odd) is not None and not offers_of(TABLES)(odd)


@pytest.mark.parametrize("symbol", ["inner_product", "inner_product_dx", "inner_product_dweight"])
def test_matrix_products_are_offered_with_three_workspaces(symbol: str) -> None:
    x, w, y = (Spec("f32", s) for s in ((64, 9216), (4096, 9216), (64, 4096)))
    sides = {"inner_product": ((x, w), (y,)), "inner_product_dx": ((y, w), (x,))}
    reads, writes = sides.get(symbol, ((y, x), (w,)))
    one = Use(symbol, (("axis", 1), ("bias", False)), reads, writes)
    found = offers_of(replace(TABLES, has_cublas=True))(one)
    assert [o.workspace for o in found] == [32 << 20, 4 << 20, 0]
    flops = 2 * 64 * 9216 * 4096
    assert found[0].us == pytest.approx(
        3 + max(flops / 300e6, 4 * _sizes(x, w, y) / 4.3e6), rel=0.01
    )
    assert not offers_of(TABLES)(one)


def _sizes(*specs: Spec) -> int:
    return sum(spec.size for spec in specs)


def test_tables_of_another_version_do_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Product] = []

    def listed(product: Product, gpu: str) -> tuple[Plan, ...]:
        asked.append(product)
        return Plan("eng7", 900), Plan("eng8", 1000), Plan("eng9", 0)

    monkeypatch.setattr(cudnn, "installed", lambda: "9.20.1")
    monkeypatch.setattr(cudnn, "listed", listed)
    libraries._listed.cache_clear()
    found = library(runs=False)
    assert "cuDNN 9.20.1 is installed" in found.remark and f"of {CUDNN}" in found.remark
    assert "do not hold" in found.remark
    keys = [o.key for o in offers_of(found)(use("deconv"))]
    assert keys == ["cudnn eng7", "cudnn eng9"] and len(asked) == 1
    libraries._listed.cache_clear()


def test_without_cudnn_tables_plan_and_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cudnn, "installed", lambda: "")
    monkeypatch.setattr(libraries.cublas, "is_here", lambda: False)
    planned, runs = library(runs=False), library(runs=True)
    assert planned.version == tables_of(GPU)[0] and planned.has_cublas and not planned.remark
    assert offers_of(planned)(use("conv"))
    assert "there is no cuDNN" in runs.remark and not runs.has_cublas
    assert not offers_of(runs)(use("conv"))


def test_the_faster_is_kept_only_if_the_slower_needs_less() -> None:
    plans = [Plan("a", 10, is_tf32=True), Plan("b", 20), Plan("c", 10), Plan("d", 5, False)]

    def names(*choice: bool) -> list[str]:
        return [plan.key for plan in fastest_first(plans, *choice)]

    assert names(True, False) == ["a", "d"] and names(True, True) == ["a"]
    assert names(False, False) == ["b", "c", "d"] and names(False, True) == ["b", "c"]


def test_knobs_have_their_names() -> None:
    assert key_of("eng68_k2=5_k13=0_k99=1") == "eng68 TILE_SIZE=5 TILEK=0 KNOB99=1"
    assert key_of("eng0") == "eng0"


def test_the_described_gpu_is_that_of_the_probe() -> None:
    assert description(GPU) == H200


def test_a_table_says_what_was_written(tmp_path: Path) -> None:
    known = table(GPU, CUDNN, "f32")
    assert known is not None
    few = replace(known, products=dict([*known.products.items()][:5]))
    path = tmp_path / "cudnn-1.2.3-f32.json"
    path.write_text(few.text("1.28.0"))
    assert read_table(path) == few
    for text in ("", "[]", "{}", json.dumps({"plans": [1], "products": {"a": [[0, -1, 0]]}})):
        path.write_text(text)
        with pytest.raises(GraphError, match="is no table of cuDNN's plans") as caught:
            read_table(path)
        assert caught.value.code == "GC-A001"


@pytest.mark.skipif(cudnn.installed() != CUDNN, reason=f"cuDNN {CUDNN} is not installed")
@pytest.mark.parametrize("dtype", LAYOUTS)
@pytest.mark.parametrize("symbol", THREE)
def test_cudnn_lists_what_the_table_says_and_makes_it_again(symbol: str, dtype: str) -> None:
    product, known = product_of(use(symbol, dtype)), table(GPU, CUDNN, dtype)
    assert product is not None and known is not None
    plans = known.products[product.key]
    assert cudnn_tables.kept(cudnn.listed(product, GPU)) == plans
    for plan in plans:
        graph = cudnn.Graph(product, GPU)
        place = graph.built(plan.key)
        assert place is not None
        assert graph.graph.get_workspace_size_plan_at_index(place) == plan.workspace
    assert cudnn.Graph(product, GPU).built("eng999") is None
