"""tune --gpu: cuDNN's plans are timed, kept, and chosen by; on stand-ins for CuPy and cuDNN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_cupy
import pytest

from graphc.cuda import cudnn
from graphc.cuda.dense import offers_of, product_of
from graphc.cuda.library import library, time_key
from graphc.cuda.plans import fastest_first
from graphc.errors import GraphError
from graphc.gpu_tuning import _uses, tune_gpu
from graphc.memory import prepared
from graphc.runtime.cuda import CudaDevice

NET = Path(__file__).resolve().parents[1] / "models" / "alexnet" / "deploy.prototxt"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Keys of the kernels that ran."""
    found: list[str] = []

    def kernel(self: CudaDevice, key: str, *told: Any) -> Callable[[int], None]:
        return lambda stream: found.append(key)

    fake_cupy.install(monkeypatch)
    monkeypatch.setattr(fake_cupy.Runtime, "room", 1 << 40)
    monkeypatch.setattr(CudaDevice, "library", kernel)
    monkeypatch.setattr(cudnn, "installed", lambda: "9.19.0")
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path))
    return found


def test_every_plan_is_timed_once_and_chosen_by(ran: list[str], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = tune_gpu(NET, progress=lambda done, count, key: told.append((done, count)))
    assert len(first.times) == len(told) > 5 and first.known == 0 and first.file.parent == tmp_path
    assert len(ran) == 8 * len(first.times), "one run to warm up, seven that count"
    second = tune_gpu(NET)
    assert not second.times and second.known == len(first.times)
    assert tune_gpu(NET, again=True).times.keys() == first.times.keys()

    use = next(u for u in _uses(prepared(NET, False, None, ()), ()) if u.symbol == "conv")
    product = product_of(use)
    assert product is not None
    known = replace(library(runs=True), tf32=True)
    assert {offer.basis for offer in offers_of(known)(use)} == {"measured"}
    plans = known.plans(product)
    slow = {time_key(product, plan): 100.0 - at for at, plan in enumerate(plans)}
    offers = offers_of(replace(known, times=slow))(use)
    best = fastest_first(plans[::-1], True, False)
    assert [o.key for o in offers] == [f"cudnn {plan.key}" for plan in best]
    assert offers[0].us == 100.0 - (len(plans) - 1)
    few = dict([*slow.items()][:-1])
    assert "roofline" in offers_of(replace(known, times=few))(use)[0].basis


def test_without_cudnn_there_is_nothing_to_measure(
    ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cudnn, "installed", lambda: "")
    with pytest.raises(GraphError, match="there is no cuDNN") as caught:
        tune_gpu(NET)
    assert caught.value.exit_code == 6 and "graphc[gpu]" in caught.value.hint
