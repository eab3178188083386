"""What the layers' own small samples do not reach: several blocks, tiles, wrong labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.rows import close
from cuda.bench import NO_FAULT, ORDERS, Bench
from cuda.jobs import Job, Sample

from graphc.check.case import Case
from graphc.cuda import Spec, work
from graphc.cuda.moving import transposed
from graphc.cuda.on_cpu import unavailable
from graphc.errors import GraphError
from graphc.ops._loss import class_labels
from graphc.ops._recurrent import RecurrentAttrs, sequence_starts
from graphc.ops.accuracy import Accuracy, AccuracyAttrs
from graphc.ops.arg_max import ArgMax, ArgMaxAttrs
from graphc.ops.batch_norm import BatchNorm
from graphc.ops.batch_norm_slices import BatchNormSlices
from graphc.ops.batch_reindex import BatchReindex
from graphc.ops.concat import Concat
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
TURNED = [Spec("f32", (2, 70, 5, 9)), Spec("f16", (3, 33, 1, 40)), Spec("u8", (1, 3, 64, 33))]


@pytest.fixture(scope="module")
def bench() -> Bench:
    works = [job.work for job in JOBS]
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
