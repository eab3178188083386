"""Numbers of two bytes in memory: kernels of images, and how floats are rounded to them."""

from __future__ import annotations

import numpy as np
import pytest
from cuda.bench import Bench, spec
from cuda.jobs import Job, Sample

from graphc.check.case import Case
from graphc.cuda import Spec, Work, work
from graphc.cuda.on_cpu import unavailable
from graphc.ops._program import OPCODES
from graphc.ops.arg_max import ArgMax
from graphc.ops.batch_norm import BatchNorm
from graphc.ops.batch_reindex import BatchReindex
from graphc.ops.contrastive_loss import ContrastiveLoss
from graphc.ops.convolution import Convolution
from graphc.ops.crop import Crop
from graphc.ops.embed import Embed
from graphc.ops.euclidean_loss import EuclideanLoss
from graphc.ops.filter import Filter
from graphc.ops.hinge_loss import HingeLoss
from graphc.ops.im2col import Im2col
from graphc.ops.infogain_loss import InfogainLoss
from graphc.ops.lrn import LRN
from graphc.ops.lstm import LSTM
from graphc.ops.lstm_unit import LSTMUnit
from graphc.ops.multinomial_logistic_loss import MultinomialLogisticLoss
from graphc.ops.mvn import MVN
from graphc.ops.pooling import Pooling
from graphc.ops.reduction import Reduction
from graphc.ops.rnn import RNN
from graphc.ops.sigmoid_cross_entropy_loss import SigmoidCrossEntropyLoss
from graphc.ops.softmax import Softmax
from graphc.ops.softmax_with_loss import SoftmaxWithLoss
from graphc.ops.tile import Tile

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

NARROW = {"f16": 2e-3, "bf16": 2e-2}
STORED_NARROW = {BatchNorm, Convolution, LRN, Pooling, Softmax, SoftmaxWithLoss}
OTHERS = {BatchReindex, ContrastiveLoss, Crop, Embed, EuclideanLoss, Filter, HingeLoss, Im2col}
OTHERS |= {InfogainLoss, LSTM, LSTMUnit, MultinomialLogisticLoss, MVN, RNN, Reduction, Tile, ArgMax}
OTHERS |= {SigmoidCrossEntropyLoss}
"""Tried as halves alone."""
HALVES = [
    (dtype, job)
    for dtype in NARROW
    for op in sorted(STORED_NARROW | (OTHERS if dtype == "f16" else set()), key=lambda op: op.type)
    for job in Sample(Case(op, 0)).jobs()
]
WIDE = {"H", "deviation", "label", "similar"}
"""Roles of operands that are floats whatever images are, as are gradients of parameters."""


def narrowed(job: Job, dtype: str) -> dict[str, str]:
    """Element types with images narrow; numbers of channels, labels and losses stay as they are."""
    shapes = {r: a.shape for r, a in (*job.reads.items(), *job.wanted.items())}
    images = {r for r, shape in shapes.items() if len(shape) > 1 and r not in WIDE}
    images -= {r for r in shapes if r.startswith(("dW_", "dweight"))}
    biased = ("conv", "embed", "lstm", "rnn")
    images |= {"bias", "b_c", "b_h", "b_o"} if job.symbol.startswith(biased) else set()
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


@pytest.fixture(scope="module")
def bench() -> Bench:
    works = [narrow_work(job, dtype) for dtype, job in HALVES]
    return Bench([*works, *(make(d) for d in NARROW for make in (stored_as, loaded_from))])


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
