"""graphc ops, passes, explain, doctor: everything that is listed, as text and as JSON."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from graphc import _core
from graphc.codes import CODES
from graphc.cuda.on_cpu import unavailable
from graphc.ops.registry import all_ops
from graphc.passes.registry import all_passes


def test_ops_lists_every_type(cli):
    done = cli("ops")
    lines = done.out.splitlines()
    assert done.code == 0 and done.err == ""
    assert lines[0].split() == ["type", "runs", "on", "what", "it", "computes"]
    listed = [line.split()[0] for line in lines[1 : 1 + len(all_ops())]]
    assert listed == list(all_ops())
    assert all("reference" in line for line in lines[1 : 1 + len(listed)])
    told = cli("ops", "--json").json["ops"]
    assert [entry["type"] for entry in told] == listed
    runs = {entry["type"]: entry["runs_on"] for entry in told}
    assert runs["Convolution"] == ["reference", "cpu", "cuda"] and runs["Data"] == ["reference"]
    assert all(entry["formula"] and entry["runs_on"][0] == "reference" for entry in told)


@pytest.mark.parametrize("name", all_ops())
def test_each_type_can_be_described(cli, name):
    done = cli("ops", name)
    assert done.code == 0 and done.out.startswith(f"{name}: ")
    assert "object at 0x" not in done.out and "(type=" not in done.out


def test_one_type(cli):
    out = cli("ops", "Convolution").out
    for line in (
        "bottoms:  x...",
        "params:   weight, bias",
        "backward: dx0 reads dy0, weight; dweight0 reads dy0, x0; dbias0 reads dy0",
        "options (convolution_param):",
        "  bias_term        true",
        "  pad              -",
        "  engine           DEFAULT",
        "  weight_filler    { type value min max mean std sparse variance_norm }",
    ):
        assert line in out.splitlines()
    assert "mean (state), variance (state)" in cli("ops", "BatchNorm").out
    assert "limitation: " in cli("ops", "Pooling").out


def test_one_type_as_json(cli):
    told = cli("ops", "BatchNorm", "--json").json
    assert told["params"]["mean"] == "state" and told["backward"]["dx"]
    assert told["options"]["use_global_stats"] is None and told["options"]["eps"] == 1e-5
    filler = cli("ops", "InnerProduct", "--json").json["options"]["weight_filler"]
    assert filler["type"] == "constant" and filler["value"] == 0.0


def test_unknown_type(cli):
    done = cli("ops", "Convolutoin")
    assert done.code == 3 and "did you mean 'Convolution'" in done.err


def test_passes(cli):
    out = cli("passes").out
    for name, runs in {"expand": "always", "remove_dropout": "default"}.items():
        row = next(line for line in out.splitlines() if line.startswith(name))
        assert row.split()[:3] == [name, "exact", runs]
    told = cli("passes", "--json").json["passes"]
    assert [entry["name"] for entry in told] == list(all_passes())
    assert all(entry["what"] for entry in told)


OWN = '''from dataclasses import dataclass, field
from graphc.passes.base import Pass


@dataclass(frozen=True)
class Mine(Pass):
    """Do as I say."""

    name = "mine"
    exact = False
    much: float = 0.5
    where: str = "here"


class Other(Pass):
    name = "other"
'''


def test_a_pass_of_the_users(cli, tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    args = ("--passes", "mine.py:Mine", "--passes", "mine.py:other")
    out = cli("passes", *args).out
    row = next(line for line in out.splitlines() if line.startswith("mine "))
    assert row.split(maxsplit=5) == [
        "mine",
        "lossy",
        "asked",
        "much=0.5",
        "where=here",
        "Do as I say.",
    ]
    assert out.splitlines()[-1].split()[:4] == ["other", "exact", "asked", "-"]
    told = cli("passes", *args, "--json").json["passes"][-2]
    assert told["options"] == {"much": 0.5, "where": "here"} and told["file"] == "mine.py:Mine"


@pytest.mark.parametrize("code", CODES)
def test_explain(cli, code):
    out = cli("explain", code).out
    assert out.startswith(f"{code}: ") and CODES[code].cause in out and CODES[code].cure in out
    told = cli("explain", code.lower(), "--json").json
    assert told == {
        "code": code,
        "exit": CODES[code].exit_code,
        "title": CODES[code].title,
        "cause": CODES[code].cause,
        "cure": CODES[code].cure,
    }


def test_explain_all_and_short_names(cli):
    lines = cli("explain").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(CODES)
    assert set(cli("explain", "--json").json) == set(CODES)
    assert cli("explain", "s003").out == cli("explain", "GC-S003").out
    done = cli("explain", "GC-S3")
    assert done.code == 2 and "GC-R002: no error code 'GC-S3'" in done.err and "hint: " in done.err


def test_doctor(cli, monkeypatch):
    monkeypatch.setenv("GRAPHC_CACHE", "/somewhere")
    done = cli("doctor")
    assert done.code == 0 and done.err == ""
    for text in ("graphc  ", "C++ extension", "target reference", "target cuda", "NVIDIA driver"):
        assert text in done.out
    assert "GRAPHC_CACHE  /somewhere" in done.out
    told = cli("doctor", "--json").json
    states = {check["name"]: check["state"] for check in told["checks"]}
    assert told["healthy"] is True and states["numpy"] == states["target cpu"] == "ok"
    assert states["target fake"] == ("missing" if unavailable() else "ok")
    monkeypatch.setenv("PATH", "")
    (row,) = [c for c in cli("doctor", "--json").json["checks"] if c["name"] == "target fake"]
    assert row["state"] == "missing" and row["remark"].endswith("no g++")
    assert {"cupy", "NVRTC", "nvidia-cudnn-frontend", "cuDNN", "cuBLASLt"} <= states.keys()
    assert told["settings"]["GRAPHC_CACHE"] == "/somewhere"


def test_doctor_knows_what_onednn_does(cli, monkeypatch):
    def row() -> dict[str, str]:
        return next(c for c in cli("doctor", "--json").json["checks"] if c["name"] == "oneDNN")

    version, block = _core.onednn_version(), _core.channel_block()
    assert row()["version"] == version
    assert row()["state"] == ("not built" if not version else "ok" if block else "unused")
    assert block == 0 or row()["remark"].endswith({16: "AVX-512", 8: "AVX2"}[block])
    monkeypatch.setenv("GRAPHC_ISA", "portable")
    assert row()["state"] == ("unused" if version else "not built")
    monkeypatch.setattr(_core, "onednn_version", lambda: "")
    assert row()["state"] == "not built"


def test_doctor_finds_what_is_missing(cli, monkeypatch):
    real = importlib.import_module

    def missing(*names: str) -> None:
        def find(name: str, package: str | None = None) -> Any:
            if name in names:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return real(name, package)

        monkeypatch.setattr(importlib, "import_module", find)

    missing("h5py")
    done = cli("doctor")
    assert done.code == 0 and "pip install 'graphc[data]'" in done.out
    missing("sklearn")
    assert "for `graphc demo`: pip install 'graphc[demo]'" in cli("doctor").out
    missing("numpy")
    told = cli("doctor", "--json")
    assert told.code == 1 and told.json["healthy"] is False
    states = {check["name"]: check["state"] for check in told.json["checks"]}
    assert states["numpy"] == "missing"
