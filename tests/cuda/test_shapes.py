"""What the layers' own small samples do not reach: several blocks, tiles, halves, wrong labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.rows import close
from cuda.bench import NO_FAULT, ORDERS, Bench, spec
from cuda.jobs import Job, Sample

from graphc.check.case import Case
from graphc.cuda import Spec, Work, work
from graphc.cuda.moving import transposed
from graphc.cuda.on_cpu import unavailable
from graphc.errors import GraphError
from graphc.ops._loss import class_labels
from graphc.ops._program import OPCODES
from graphc.ops._recurrent import RecurrentAttrs, sequence_starts
from graphc.ops.accuracy import Accuracy, AccuracyAttrs
from graphc.ops.arg_max import ArgMax, ArgMaxAttrs
from graphc.ops.batch_norm import BatchNorm
from graphc.ops.batch_norm_slices import BatchNormSlices
from graphc.ops.batch_reindex import BatchReindex
from graphc.ops.concat import Concat
from graphc.ops.convolution import Convolution
from graphc.ops.dropout import Dropout
from graphc.ops.embed import Embed, EmbedAttrs
from graphc.ops.euclidean_loss import EuclideanLoss
from graphc.ops.filter import Filter
from graphc.ops.infogain_loss import InfogainLoss
from graphc.ops.inner_product import InnerProduct, InnerProductAttrs
from graphc.ops.lrn import LRN, WITHIN, LRNAttrs
from graphc.ops.lstm import LSTM
from graphc.ops.mvn import MVN, MVNAttrs
from graphc.ops.pooling import Pooling, PoolingAttrs
from graphc.ops.reduction import Reduction, ReductionAttrs
from graphc.ops.scale import Scale, ScaleAttrs
from graphc.ops.softmax import Softmax
from graphc.ops.softmax_with_loss import SoftmaxWithLoss
from graphc.ops.spec import Sample as Use
from graphc.ops.tile import Tile, TileAttrs
from graphc.records import record

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

LABELS = {"label": class_labels(40)}
USES: list[tuple[Any, Use]] = [
    (BatchNorm, Use(((9, 3, 40, 31),), phase="TRAIN")),
    (Dropout, Use(((5, 331),), phase="TRAIN")),
    (InnerProduct, Use(((19, 37),), InnerProductAttrs(num_output=21))),
    (LRN, Use(((2, 500, 3, 5),), LRNAttrs())),
    (LRN, Use(((2, 3, 9, 11),), LRNAttrs(norm_region=WITHIN))),
    (Pooling, Use(((2, 3, 23, 17),), PoolingAttrs(kernel_size=3, stride=2, pad=1), tops=2)),
    (Pooling, Use(((2, 3, 40, 37),), PoolingAttrs(kernel_h=20, kernel_w=17, stride=3))),
    (Pooling, Use(((2, 3, 23, 17),), PoolingAttrs(pool="AVE", kernel_size=3, stride=2, pad=1))),
    (Scale, Use(((7, 5, 60),), ScaleAttrs(bias_term=True))),
    (Softmax, Use(((2, 70, 9),))),
    (SoftmaxWithLoss, Use(((300, 40), (300,)), draw=LABELS)),
    (Accuracy, Use(((300, 40), (300,)), AccuracyAttrs(top_k=5), tops=2, draw=LABELS)),
    (ArgMax, Use(((3, 150, 4),), ArgMaxAttrs(axis=1, top_k=4))),
    (BatchNorm, Use(((290, 45),), phase="TRAIN")),
    (BatchNormSlices, Use(((2, 3, 40), (5, 3, 40)), tops=2, phase="TRAIN")),
    (BatchReindex, Use(((5, 270), (300,)), draw={"index": class_labels(5)})),
    (Concat, Use(((2, 3, 40), (2, 2, 40)))),
    (Embed, Use(((270,),), EmbedAttrs(num_output=20, input_dim=6), draw={"x": class_labels(6)})),
    (EuclideanLoss, Use(((9, 99), (9, 99)))),
    (Filter, Use(((600, 3), (600,)), draw={"selector": class_labels(3)})),
    (InfogainLoss, Use(((30, 40), (30,), (40, 40)), tops=2, draw=LABELS)),
    (LSTM, Use(((3, 9, 20), (3, 9)), RecurrentAttrs(18), draw={"cont": sequence_starts})),
    (MVN, Use(((2, 3, 9000),))),
    (MVN, Use(((2, 2, 4100),), MVNAttrs(normalize_variance=False, across_channels=True))),
    (Reduction, Use(((2, 9000),), ReductionAttrs("SUMSQ", 1))),
    (Tile, Use(((2, 3, 40),), TileAttrs(tiles=4))),
]


@record(frozen=True)
class Larger(Case):
    """A sample that the declaration does not have."""

    use: Use

    @property
    def sample(self) -> Use:
        return self.use


JOBS = [job for op, use in USES for job in Sample(Larger(op, len(op.samples), use)).jobs()]
NARROW = {"f16": 2e-3, "bf16": 2e-2}
STORED_NARROW = {BatchNorm, Convolution, LRN, Pooling, Softmax, SoftmaxWithLoss}
HALVES = [
    (dtype, job)
    for dtype in NARROW
    for op in sorted(STORED_NARROW, key=lambda op: op.type)
    for job in Sample(Case(op, 0)).jobs()
]


def narrowed(job: Job, dtype: str) -> dict[str, str]:
    """Element types with images narrow; numbers of channels, labels and losses stay as they are."""
    shapes = {r: a.shape for r, a in (*job.reads.items(), *job.wanted.items())}
    images = {r for r, shape in shapes.items() if len(shape) in (2, 4) and r != "dweight"}
    images |= {"bias"} if job.symbol.startswith("conv") else set()
    return {r: dtype if r in images and d == "f32" else d for r, d in job.dtypes.items()}


def bits(array: np.ndarray, dtype: str) -> np.ndarray:
    """Numbers as they are stored: float16, or the upper halves of float32s, nearest ones."""
    if dtype == "f16":
        return array.astype(np.float16)
    whole = array.astype(np.float32).view(np.uint32)
    return ((whole + 0x7FFF + (whole >> 16 & 1)) >> 16).astype(np.uint16)


def numbers(array: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bf16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)


def narrow_work(job: Job, dtype: str) -> Work:
    dtypes = narrowed(job, dtype)
    reads, writes = (
        [Spec(dtypes[r], a.shape) for r, a in group.items()] for group in (job.reads, job.wanted)
    )
    return work(job.symbol, job.told, reads, writes)


EDGES = [0x387FC000, 0x387FE000, 0x387FF000, 0x33000000, 0x33000001, 0x32FFFFFF, 0x33800000]
EDGES += [0x477FEFFF, 0x477FF000, 0x38801000, 0x38803000, 0x7F7FFFFF, 0x7F800000, 0x3F808000, 0]
PATTERNS = [*range(0, 1 << 31, 65537 * 3 + 7), *EDGES]
FLOATS = np.array([*PATTERNS, *(p | 1 << 31 for p in PATTERNS)], np.uint32).view(np.float32)
FLOATS = FLOATS[~np.isnan(FLOATS)]
COPY = {"code": (OPCODES["copy"], -1, 0), "constants": (), "starts": (-1,)}


def stored_as(dtype: str) -> Work:
    return work("expr", COPY, [spec(FLOATS)], [Spec(dtype, FLOATS.shape)])


def loaded_from(dtype: str) -> Work:
    return work("expr", COPY, [Spec(dtype, FLOATS.shape)], [spec(FLOATS)])


TURNED = [Spec("f32", (2, 70, 5, 9)), Spec("f16", (3, 33, 1, 40)), Spec("u8", (1, 3, 64, 33))]


@pytest.fixture(scope="module")
def bench() -> Bench:
    works = [job.work for job in JOBS]
    works += [narrow_work(job, dtype) for dtype, job in HALVES]
    works += [make(dtype) for dtype in NARROW for make in (stored_as, loaded_from)]
    works += [transposed(each, to_channels_last=True) for each in TURNED]
    return Bench(works)


@pytest.mark.parametrize("job", JOBS, ids=[f"{job.id}-{i}" for i, job in enumerate(JOBS)])
def test_larger_shapes(bench: Bench, job: Job) -> None:
    found = []
    for order in ORDERS:
        bench.module.order(order, seed=5)
        results = job.results()
        operands = [*map(np.array, job.reads.values()), *results.values()]
        assert bench.run(job.work, operands) == NO_FAULT
        found.append(results)
    for role, wanted in job.wanted.items():
        close(found[0][role], wanted, f"{job.id}: {role}", products=1000)
        assert all(each[role].tobytes() == found[0][role].tobytes() for each in found)


@pytest.mark.parametrize(
    ("dtype", "job"), HALVES, ids=[f"{dtype}-{job.id}" for dtype, job in HALVES]
)
def test_narrow_storage(bench: Bench, dtype: str, job: Job) -> None:
    dtypes = narrowed(job, dtype)

    def stored(role: str, array: np.ndarray) -> np.ndarray:
        return bits(array, dtype) if dtypes[role] == dtype else np.array(array)

    reads = [stored(r, a) for r, a in job.reads.items()]
    results = {r: stored(r, a) for r, a in job.results().items()}
    bench.run(narrow_work(job, dtype), [*reads, *results.values()])
    for role, wanted in job.wanted.items():
        made = results[role]
        made = numbers(made, dtype) if dtypes[role] == dtype else made
        most = max(1.0, float(np.abs(wanted).max()))
        assert np.abs(made - wanted).max() <= NARROW[dtype] * most * 4, role


@pytest.mark.parametrize("spec_", TURNED, ids=lambda each: each.dtype)
def test_transposes(bench: Bench, spec_: Spec) -> None:
    rng = np.random.default_rng(0)
    dtype = {"f32": np.float32, "f16": np.float16, "u8": np.uint8}[spec_.dtype]
    x = (rng.standard_normal(spec_.shape) * 50).astype(dtype)
    last = np.zeros(np.moveaxis(x, 1, -1).shape, dtype)
    bench.run(transposed(spec_, to_channels_last=True), [x, last])
    np.testing.assert_array_equal(last, np.moveaxis(x, 1, -1))
    back = np.zeros_like(x)
    bench.run(transposed(spec_, to_channels_last=False), [last, back])
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("label", [-1.0, 40.0, np.nan, np.inf])
@pytest.mark.parametrize("symbol", ["softmax_with_loss", "softmax_with_loss_gradient", "accuracy"])
def test_the_first_wrong_label_is_a_fault(bench: Bench, symbol: str, label: float) -> None:
    job = next(job for job in JOBS if job.symbol == symbol)
    for order in ORDERS:
        bench.module.order(order)
        reads = {r: np.array(a) for r, a in job.reads.items()}
        reads["label"][[17, 203]] = label
        assert bench.run(job.work, [*reads.values(), *job.results().values()]) == 17


@pytest.mark.parametrize("dtype", NARROW)
def test_floats_are_rounded_to_the_nearest(bench: Bench, dtype: str) -> None:
    job = stored_as(dtype)
    out = np.zeros(FLOATS.size, np.float16 if dtype == "f16" else np.uint16)
    bench.run(job, [FLOATS, out])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out.view(np.uint16), bits(FLOATS, dtype).view(np.uint16))
    back = np.zeros_like(FLOATS)
    bench.run(loaded_from(dtype), [out, back])
    np.testing.assert_array_equal(back, numbers(out, dtype))


@pytest.mark.parametrize(
    ("symbol", "told", "reads", "writes", "message"),
    [
        ("nothing", {}, (), (), "there is none"),
        (
            "lrn_across_gradient",
            {"radius": 2, "shift": 1, "share": 1, "beta": 1},
            ((1, 13000, 1, 1),) * 2,
            ((1, 13000, 1, 1),),
            "13000 channels are more than 12288",
        ),
        (
            "expr",
            {"code": (0, -1, 0), "constants": (), "starts": (0,)},
            ((2, 1, 3),),
            ((2, 4, 3),),
            r"operand 0 of shape \(2, 1, 3\) is repeated inside",
        ),
        (
            "conv",
            {"axis": 1, "group": 1, "bias": False},
            ((1, 1, 2, 2, 2, 2), (1, 1, 1, 1, 1, 1)),
            ((1, 1, 2, 2, 2, 2),),
            "4 spatial axes are more than 3",
        ),
        ("copy", {}, ((1,),), ((1,),), ""),
    ],
)
def test_what_no_kernel_is_for_is_refused(
    symbol: str, told: Any, reads: Any, writes: Any, message: str
) -> None:
    sides = [[Spec("f32", shape) for shape in side] for side in (reads, writes)]
    if not message:
        assert work(symbol, told, *sides).launches
        return
    with pytest.raises(GraphError, match=f"cuda kernel {symbol}: {message}"):
        work(symbol, told, *sides)
