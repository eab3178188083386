"""CUDA kernels of every layer, run on the CPU in three orders, beside the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from core.rows import close
from cuda.bench import NO_FAULT, ORDERS, Bench
from cuda.jobs import Job, all_jobs

from graphc.cuda.on_cpu import unavailable

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

JOBS, REFUSED = all_jobs()
ADDING = [job for job in JOBS if job.adds]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench([*(job.work for job in JOBS), *(job.adding for job in ADDING)])


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
