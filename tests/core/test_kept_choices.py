"""Chosen kernels inside artefacts: taken where they fit, looked for anew where not, never obeyed
against what kernels say."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.costs import keep_times
from graphc.errors import GraphError
from graphc.lower import _select

NET = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 9 dim: 9 } } }
layer { name: "a" type: "Convolution" bottom: "data" top: "a" convolution_param {
        num_output: 32 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "r" type: "ReLU" bottom: "a" top: "a" }
layer { name: "b" type: "Convolution" bottom: "a" top: "b" convolution_param {
        num_output: 32 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "c" type: "Concat" bottom: "a" bottom: "b" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { pool: MAX kernel_size: 2 } }
layer { name: "d" type: "InnerProduct" bottom: "p" top: "d"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
"""
X = {"data": np.random.default_rng(0).standard_normal((1, 3, 9, 9)).astype(np.float32)}
Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "n.prototxt").write_text(NET)
    graphc.compile(tmp_path / "n.prototxt", target="cpu", threads=1).save(tmp_path / "n.gcz")
    return tmp_path / "n.gcz"


def _choices(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        told: dict[str, Any] = json.loads(archive.read("choices.json"))
    return told


def _edited(path: Path, edit: Edit) -> Path:
    """A copy of the artefact with other choices."""
    other = path.with_name("edited.gcz")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            if info.filename == "choices.json":
                data = json.dumps(edit(json.loads(data))).encode()
            target.writestr(info, data)
    return other


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is searched for from now on."""
    made: list[object] = []
    real = _select._searched
    monkeypatch.setattr(_select, "_searched", lambda *a: (made.append(a), real(*a))[1])
    return made


def _want(path: Path) -> np.ndarray:
    return graphc.open(path, target="reference").run(X)["d"]


def test_kept_choices_give_the_same_program(path: Path, searched: list[object]) -> None:
    there = graphc.compile(graphc.open(path).graph, passes=(), threads=1)
    assert searched
    searched.clear()
    here = graphc.open(path, threads=1)
    assert not searched
    assert here.program == there.program
    assert np.allclose(here.run(X)["d"], _want(path), atol=1e-5)
    here.save(path.with_name("again.gcz"))
    assert path.with_name("again.gcz").read_bytes() == path.read_bytes()


def test_choices_are_made_anew_for_what_is_another_question(
    path: Path, searched: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    graphc.open(path, threads=1)
    assert not searched
    graphc.open(path, batch=2, threads=1)
    assert len(searched) == 1
    graphc.open(path, threads=2)
    assert len(searched) == 2
    graphc.open(path, keep=("a",), threads=1)
    assert len(searched) == 3
    monkeypatch.setenv("GRAPHC_CACHE", str(path.parent))
    keep_times({"no such kernel": 1.0}, 1)
    graphc.open(path, threads=1)
    assert len(searched) == 4


def test_an_artefact_does_without_choices(path: Path, searched: list[object]) -> None:
    other = path.with_name("old.gcz")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for info in source.infolist():
            if info.filename != "choices.json":
                target.writestr(info, source.read(info))
    assert np.array_equal(graphc.open(other, threads=1).run(X)["d"], _want_cpu(path))
    assert searched


def _want_cpu(path: Path) -> np.ndarray:
    return graphc.open(path, threads=1).run(X)["d"]


def _each(told: dict[str, Any], edit: Callable[[list[Any]], None]) -> dict[str, Any]:
    for draft in told["drafts"]:
        edit(draft)
    return told


def _other_sides(draft: list[Any]) -> None:
    draft[0], draft[1] = draft[1], draft[0]


def _no_variants(draft: list[Any]) -> None:
    draft[2] = []


def _other_kernel(draft: list[Any]) -> None:
    for variant in draft[2]:
        variant[0] = "softmax"


def _no_workspace(draft: list[Any]) -> None:
    for variant in draft[2]:
        variant[1] = 0
    draft[3] = [[role, size, 0] for role, size, _ in draft[3]]


def _small_packs(draft: list[Any]) -> None:
    draft[3] = [[role, 16, 0] for role, *_ in draft[3]]


def _large_packs(draft: list[Any]) -> None:
    draft[3] = [[role, 1 << 40, 1 << 40] for role, *_ in draft[3]]


def _one_less(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"drafts": told["drafts"][1:]}


@pytest.mark.parametrize(
    "edit",
    [
        _one_less,
        lambda told: told | {"key": "0"},
        *(
            lambda told, edit=edit: _each(told, edit)
            for edit in (
                _other_sides,
                _no_variants,
                _other_kernel,
                _no_workspace,
                _small_packs,
                _large_packs,
            )
        ),
    ],
)
def test_choices_that_do_not_fit_change_nothing(path: Path, edit: Edit) -> None:
    exe = graphc.open(_edited(path, edit), threads=1)
    assert np.allclose(exe.run(X)["d"], _want(path), atol=1e-5)


@pytest.mark.parametrize(
    "told",
    [
        [],
        {},
        {"key": 1, "drafts": []},
        {"key": "", "drafts": {}},
        {"key": "", "drafts": [1]},
        {"key": "", "drafts": [["plain", "plain", []]]},
        {"key": "", "drafts": [["plain", "striped", [], []]]},
        {"key": "", "drafts": [[[], "plain", [], []]]},
        {"key": "", "drafts": [["plain", "plain", [["conv", -1, 1.0, "table"]], []]]},
        {"key": "", "drafts": [["plain", "plain", [["conv", True, 1.0, "table"]], []]]},
        {"key": "", "drafts": [["plain", "plain", [["conv", 0, "1", "table"]], []]]},
        {"key": "", "drafts": [["plain", "plain", [[3, 0, 1.0, "table"]], []]]},
        {"key": "", "drafts": [["plain", "plain", [], [["weight", 1 << 60, 0]]]]},
        {"key": "", "drafts": [["plain", "plain", [], [[["weight"], 1, 0]]]]},
    ],
)
def test_choices_that_graphc_does_not_write_are_refused(path: Path, told: object) -> None:
    with pytest.raises(GraphError, match=r"GC-A001.*chosen kernels"):
        graphc.open(_edited(path, lambda _: told), threads=1)


def test_choices_of_another_network_are_ignored(path: Path, searched: list[object]) -> None:
    other = path.with_name("o.gcz")
    (path.parent / "o.prototxt").write_text(NET.replace("num_output: 32", "num_output: 16"))
    graphc.compile(path.parent / "o.prototxt", target="cpu", threads=1).save(other)
    searched.clear()
    exe = graphc.open(_edited(path, lambda _: _choices(other)), threads=1)
    assert searched
    assert np.allclose(exe.run(X)["d"], _want(path), atol=1e-5)
