"""What the GPU probe computes: workloads, statistics, differences of plans and devices."""

from __future__ import annotations

import numpy as np
import pytest
from bench.probe import devices, kernels, stats, workload
from bench.probe.cudnn_graphs import Plan, channels_last, reasons
from bench.probe.stages import plans
from bench.probe.torch_steps import cells


def test_workloads() -> None:
    work = {name: make() for name, make in workload.WORKLOADS.items()}
    gflop = {name: round(2 * entry.macs / 1e9, 2) for name, entry in work.items()}
    assert gflop == {"resnet50": 8.18, "alexnet": 1.45, "vgg16": 30.94}
    weights = {name: entry.weights for name, entry in work.items()}
    assert weights == {"resnet50": 25502912, "alexnet": 60954656, "vgg16": 138344128}
    kinds = {name: len(workload.distinct(entry.convs)) for name, entry in work.items()}
    assert kinds == {"resnet50": 23, "alexnet": 5, "vgg16": 9}
    assert len(work["resnet50"].convs) == 53
    for entry in work.values():
        labels = {conv.label for conv in entry.convs}
        assert len(labels) == len(workload.distinct(entry.convs))
    assert [conv.out for conv in work["alexnet"].convs] == [55, 27, 13, 13, 13]
    assert work["resnet50"].convs[-1].out == 7
    assert workload.train_flops(work["vgg16"], 2) == 12 * work["vgg16"].macs


def test_every_product_but_the_images_gradient() -> None:
    found = plans.keys()
    assert len(found) == 3 * 23 - 1
    assert all(kind != "dgrad" for conv, kind in found if conv.channels == 3)


def test_statistics() -> None:
    assert stats.summary([3, 1, 2]) == {"median": 2, "min": 1, "max": 3, "n": 3}
    assert stats.ranks([10, 20, 10, 5]) == [2.5, 4, 2.5, 1]
    assert stats.rank_correlation([1, 2, 3], [10, 20, 40]) == pytest.approx(1)
    assert stats.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert stats.rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    assert stats.rank_correlation([1, 2], [5, 5]) is None
    assert stats.rank_correlation([], []) is None


def test_device_differences() -> None:
    real = devices.H200 | {"driverVer": 13010, "new": 1}
    del real["warpSize"]
    assert devices.differences(devices.H200, real) == {
        "warpSize": [32, None],
        "driverVer": [13000, 13010],
        "new": [None, 1],
    }
    assert devices.version(devices.H200) == 90


def test_agreement_of_plans() -> None:
    told = [Plan(0, "a", 0, 0.0), Plan(1, "b", 16, 0.0)]
    real = [Plan(0, "b", 16, 9.0), Plan(1, "a", 8, 9.0), Plan(2, "c", 0, 9.0)]
    assert plans.agreement(told, told) == {
        "same_order": True,
        "same_names": True,
        "same_first": True,
        "in_both": 2,
        "same_workspace": 2,
    }
    found = plans.agreement(told, real)
    assert list(found.values()) == [False, False, False, 2, 1]
    assert plans.brief(told)["hash"] != plans.brief(told[::-1])["hash"]


def test_reasons_of_a_refusal() -> None:
    engine = '{"engineId":%d,"knobChoices":{"A":-1}}\nWarning: CUDNN_STATUS_%s; Reason: %s\n'
    text = "declined: __\n" + engine % (9, "NOT_SUPPORTED", "libcuda == nullptr")
    text += "Warning: CUDNN_STATUS_LATER; Reason: finalize()\n\n" + engine % (12, "ARCH", "old")
    assert reasons(text) == ["eng9 NOT_SUPPORTED: libcuda == nullptr", "eng12 ARCH: old"]
    assert reasons("plain\n words") == ["plain words"]


def test_channels_last() -> None:
    view = np.zeros((2, 4, 5, 3), np.int8).transpose(0, 3, 1, 2)
    assert channels_last(view.shape) == list(view.strides)


def test_cells_cover_everything_once() -> None:
    assert len(cells()) == len(set(cells())) == 6
    assert cells()[0] == ("resnet50", "bf16")


def test_kernels_are_all_named() -> None:
    assert kernels.SOURCE.count("__global__") == len(kernels.NAMES)
    assert all(f"void {name}(" in kernels.SOURCE for name in kernels.NAMES)
