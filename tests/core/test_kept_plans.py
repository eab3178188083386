"""Plans inside artefacts: used as they are, made anew for other Programs, refused when edited."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core.gemm_cases import ISAS

import graphc
from graphc import _core
from graphc.errors import GraphError
from graphc.runtime import _plans

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 6 } } }
layer { name: "a" type: "InnerProduct" bottom: "data" top: "a"
        inner_product_param { num_output: 40 weight_filler { type: "xavier" } } }
layer { name: "b" type: "TanH" bottom: "a" top: "b" }
layer { name: "c" type: "Eltwise" bottom: "a" bottom: "b" top: "c"
        eltwise_param { operation: MAX } }
layer { name: "d" type: "Softmax" bottom: "c" top: "d" }
"""
X = {"data": np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "n.prototxt").write_text(NET)
    graphc.compile(tmp_path / "n.prototxt", target="cpu", threads=1).save(tmp_path / "n.gcz")
    return tmp_path / "n.gcz"


def _edited(path: Path, edit: Callable[[Any], Any]) -> Path:
    """A copy of the artefact with another plan."""
    other = path.with_name("edited.gcz")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            if info.filename == "plan.json":
                told = edit(json.loads(data))
                data = told if isinstance(told, bytes) else json.dumps(told).encode()
            target.writestr(info, data)
    return other


def _planned(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is planned from now on."""
    made: list[object] = []
    real = _plans.plan_program
    monkeypatch.setattr(_plans, "plan_program", lambda p, *how: (made.append(p), real(p, *how))[1])
    return made


def test_a_kept_plan_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _planned(monkeypatch)
    exe = graphc.open(path, threads=1)
    assert not made
    want = graphc.open(path, target="reference").run(X)["d"]
    assert np.allclose(exe.run(X)["d"], want, atol=1e-6)
    exe.save(path.with_name("again.gcz"))
    assert path.with_name("again.gcz").read_bytes() == path.read_bytes()


def test_other_programs_are_planned_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _planned(monkeypatch)
    assert graphc.open(path, batch=3, threads=1).outputs["d"] == (3, 40)
    graphc.open(path, keep=("a",), threads=1).run(X)
    graphc.open(path, target="reference").run(X)
    assert len(made) == 2


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("isa", ISAS)
def test_built_for_another_instruction_set_or_number_of_threads(
    isa: str, threads: int, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is opened is what would be compiled here."""
    net, path = graphc.load(root / "models/lenet/deploy.prototxt"), tmp_path / "n.gcz"
    monkeypatch.setenv("GRAPHC_ISA", "portable")
    there = graphc.compile(net, target="cpu", threads=1)
    there.save(path)
    monkeypatch.setenv("GRAPHC_ISA", isa)
    here = graphc.compile(net, target="cpu", threads=threads)
    made = _planned(monkeypatch)
    opened = graphc.open(path, threads=threads)
    assert opened.plan == here.plan
    is_other = _digest(here) != _digest(there)
    assert len(made) == is_other and is_other >= (threads > 1)
    x = {"data": np.random.default_rng(0).standard_normal((64, 1, 28, 28))}
    assert opened.run(x)["prob"].tobytes() == here.run(x)["prob"].tobytes()


def test_built_by_a_library_with_other_kernels(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, want = _planned(monkeypatch), graphc.open(path, threads=1).run(X)["d"]
    fewer = [symbol for symbol in _core.kernel_symbols() if symbol != "expr"]
    monkeypatch.setattr(_core, "kernel_symbols", lambda: fewer)
    exe = graphc.open(path, threads=1)
    assert len(made) == 1
    assert "host" in {c.variants[0].symbol for c in exe._executor.prepared.program.calls}
    assert np.allclose(exe.run(X)["d"], want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("field", ["symbol", "workspace_bytes"])
def test_a_kernel_of_another_name_or_need_is_another_program(path: Path, field: str) -> None:
    program = graphc.open(path, threads=1)._executor.prepared.program
    (variant,) = program.calls[0].variants
    other = {"symbol": "other", "workspace_bytes": variant.workspace_bytes + 64}[field]
    changed = replace(program.calls[0], variants=(replace(variant, **{field: other}),))
    calls = (changed, *program.calls[1:])
    assert _plans.fingerprint(replace(program, calls=calls)) != _plans.fingerprint(program)


def _digest(exe: graphc.Executable) -> str:
    return _plans.fingerprint(exe._executor.prepared.program)


def _set(*keys: Any) -> Callable[[Any], Any]:
    """An edit that puts the last of `keys` where the others lead."""

    def edit(told: Any) -> Any:
        at = told["plan"]
        for key in keys[:-2]:
            at = at[key]
        at[keys[-2]] = keys[-1]
        return told

    return edit


def _swap(told: Any) -> Any:
    steps = told["plan"]["steps"]
    steps[-1], steps[-2] = steps[-2], steps[-1]
    return told


def _overlap(told: Any) -> Any:
    text = json.dumps(told["plan"]["steps"])
    assert text
    for step in told["plan"]["steps"]:
        step["operands"] = [
            [b, v, arena, 0 if arena else at] for b, v, arena, at in step["operands"]
        ]
    return told


@pytest.mark.parametrize(
    "edit",
    [
        _swap,
        _overlap,
        lambda told: b"{",
        lambda told: [],
        lambda told: {"program": told["program"]},
        lambda told: told | {"plan": None},
        lambda told: told | {"plan": {}},
        lambda told: told | {"more": 1},
        _set("steps", []),
        _set("arenas", 1, 1, 64),
        _set("steps", 0, "call", 10**9),
        _set("steps", 0, "call", -5),
        _set("steps", -1, "waits", [7]),
        _set("entries", {}),
    ],
)
def test_edited_plans_are_refused(path: Path, edit: Callable[[Any], Any]) -> None:
    other = _edited(path, edit)
    with pytest.raises(GraphError) as caught:
        graphc.open(other, threads=1)
    assert caught.value.code == "GC-A001" and str(caught.value.loc) == str(other)


def test_an_artefact_without_a_plan_is_planned(path: Path) -> None:
    other = path.with_name("bare.gcz")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for info in source.infolist():
            if info.filename != "plan.json":
                target.writestr(info, source.read(info))
    assert np.array_equal(graphc.open(other).run(X)["d"], graphc.open(path).run(X)["d"])
