"""A layer type is found in the module of its name, and finding it imports no other layer."""

from __future__ import annotations

import subprocess
import sys

import pytest

from graphc.errors import GraphError
from graphc.ops import registry
from graphc.ops.registry import all_ops, find, load_file
from graphc.ops.spec import OpSpec

OURS = {name: op for name, op in all_ops().items() if op.__module__.startswith("graphc.ops.")}


@pytest.mark.parametrize("name", OURS)
def test_the_home_of_a_type(name: str) -> None:
    home = registry._homes()[name.lower()]
    assert OURS[name].__module__ == f"graphc.ops.{home}"


def test_what_is_elsewhere_is_needed() -> None:
    plain = {op.__module__.rpartition(".")[2].replace("_", "") for op in OURS.values()}
    assert not plain & registry._ELSEWHERE.keys()


def _modules(code: str) -> list[str]:
    code = f"import sys\n{code}\nprint(*sorted(m for m in sys.modules if 'graphc.ops.' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [name.removeprefix("graphc.ops.") for name in done.stdout.split()]


def test_finding_imports_one_layer() -> None:
    loaded = _modules("from graphc.ops.registry import find; find('InnerProduct')")
    assert "inner_product" in loaded
    assert not {"convolution", "relu", "lstm", "eltwise"} & set(loaded)


def test_listing_imports_all() -> None:
    loaded = _modules("from graphc.ops.registry import all_ops; all_ops()")
    assert {op.__module__.rpartition(".")[2] for op in OURS.values()} <= set(loaded)


@pytest.mark.parametrize("name", ["innerproduct", "Inner_Product", "spec", "registry", "_conv", ""])
def test_names_of_modules_are_no_types(name: str) -> None:
    with pytest.raises(GraphError, match="GC-N001"):
        find(name)


def test_a_type_of_ours_cannot_be_declared_before_it_is_loaded() -> None:
    code = """
from graphc.errors import GraphError
from graphc.ops.spec import OpSpec
try:
    class Mine(OpSpec):
        'y = x'
        type = "TanH"
except GraphError as error:
    print(error.code, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}"], capture_output=True, text=True, check=True
    )
    assert done.stderr == "GC-O001\n"


def test_a_file_of_the_users(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TABLE", dict(registry._TABLE))
    file = tmp_path / "own.py"
    file.write_text(
        "from graphc.ops.spec import OpSpec\n"
        "class Own(OpSpec):\n    'y = x'\n    type = 'OwnLayerOfATest'\n"
    )
    assert load_file(file) == ["OwnLayerOfATest"]
    assert issubclass(find("OwnLayerOfATest"), OpSpec)
