"""CUDA kernels of every layer, run on the CPU in three orders, beside the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from core.rows import close
from cuda.bench import NO_FAULT, ORDERS, Bench, memory, turned
from cuda.jobs import Job, Sample, all_jobs, turned_jobs
from cuda.test_shapes import Larger

from graphc.cuda import CHANNELS_LAST
from graphc.cuda.on_cpu import unavailable
from graphc.cuda.products import TAKE_ANY_ORDER
from graphc.ops._loss import class_labels
from graphc.ops.accuracy import Accuracy
from graphc.ops.batch_norm_slices import BatchNormSlices
from graphc.ops.dropout import Dropout
from graphc.ops.spec import Sample as Use

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

JOBS, REFUSED = all_jobs()
ADDING = [job for job in JOBS if job.adds]
IMAGES = [
    (Accuracy, Use(((2, 5, 3, 2), (2, 3, 2)), draw={"label": class_labels(5)})),
    (BatchNormSlices, Use(((2, 3, 4, 5), (3, 3, 4, 5)), tops=2, phase="TRAIN")),
    (Dropout, Use(((2, 3, 5, 4),), phase="TRAIN")),
]
"""Layers none of whose samples is one, in training."""
OTHERS = [job for op, use in IMAGES for job in Sample(Larger(op, 9, use)).jobs()]
TURNED, UNTURNED = turned_jobs([*JOBS, *OTHERS])


@pytest.fixture(scope="module")
def bench() -> Bench:
    works = [*(job.work for job in JOBS), *(job.adding for job in ADDING)]
    return Bench([*works, *(job.turned for job in TURNED)])


def run(bench: Bench, job: Job, *, over: bool = False) -> dict[str, np.ndarray]:
    reads = {role: np.array(a) for role, a in job.reads.items()}
    results = job.results()
    if over:
        results |= {result: reads[role] for result, role in job.over if result in results}
    assert bench.run(job.work, [*reads.values(), *results.values()]) == NO_FAULT
    return results


@pytest.mark.parametrize("job", JOBS, ids=[job.id for job in JOBS])
def test_kernel_equals_reference(bench: Bench, job: Job) -> None:
    found = []
    for order in ORDERS:
        bench.module.order(order, seed=1)
        found.append(run(bench, job))
        found += [run(bench, job, over=True)] if job.over else []
    for role, wanted in job.wanted.items():
        close(found[0][role], wanted, f"{job.id}: {role}")
        for other in found[1:]:
            assert other[role].tobytes() == found[0][role].tobytes(), role


@pytest.mark.parametrize("job", ADDING, ids=[job.id for job in ADDING])
def test_kernel_adds_to_what_is_there(bench: Bench, job: Job) -> None:
    ((role, wanted),) = job.wanted.items()
    target = np.random.default_rng(1).standard_normal(wanted.shape).astype(np.float32)
    before = target.astype(np.float64)
    bench.run(job.adding, [*map(np.array, job.reads.values()), target, target])
    close(target, before + wanted, f"{job.id}: {role}")


@pytest.mark.parametrize("job", TURNED, ids=[job.id for job in TURNED])
def test_images_with_channels_last(bench: Bench, job: Job) -> None:
    bench.module.order("shuffled", seed=3)
    results = {role: turned(array) for role, array in job.results().items()}
    reads = (a if role == "label" else turned(a) for role, a in job.reads.items())
    assert bench.run(job.turned, [*map(memory, (*reads, *results.values()))]) == NO_FAULT
    for role, wanted in job.wanted.items():
        close(results[role], wanted, f"{job.id}: {role}")


def test_other_axes_than_channels_do_not_lie_last() -> None:
    assert {job.symbol for job in TURNED} == CHANNELS_LAST | TAKE_ANY_ORDER
    reasons = ("is not the last in memory", "is repeated inside", "is not the one that is kept")
    for job, reason in UNTURNED.items():
        assert reason.endswith(reasons) or "an operand of shape" in reason, job
