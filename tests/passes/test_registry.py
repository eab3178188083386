"""Passes by name, by class, from a file, and from other packages' entry points."""

import sys
from importlib.metadata import EntryPoint

import pytest

from graphc.errors import GraphError
from graphc.passes import registry
from graphc.passes.base import Pass, Report
from graphc.passes.registry import all_passes, load_user_pass, make_pass, resolve
from graphc.passes.remove_dropout import RemoveDropout

FILE = '''
from __future__ import annotations
from dataclasses import dataclass
from graphc.passes.base import Pass, Report
from graphc.passes.remove_dropout import RemoveDropout

@dataclass(frozen=True)
class Mine(Pass):
    """Does nothing."""
    name = "mine"
    tag: Tag = "{tag}"
    def run(self, graph, ctx):
        return Report(self.name, False, (self.tag,))

class Nameless(Pass):
    pass

Tag = str
'''


class Theirs(Pass):
    """A pass of another package."""

    name = "theirs"

    def run(self, graph, ctx):
        return Report(self.name)


class Plain:
    name = "plain"


@pytest.fixture
def entries(monkeypatch):
    """Sets what other packages offer."""

    def offer(*named):
        found = [EntryPoint(name, value, registry.GROUP) for name, value in named]
        monkeypatch.setattr(registry, "entry_points", lambda group: found)

    return offer


def told(call):
    with pytest.raises(GraphError) as caught:
        call()
    assert caught.value.code == "GC-T001"
    return str(caught.value)


def test_built_in():
    found = all_passes()
    assert {"expand", "remove_dead_code", "remove_dropout"} <= set(found)
    assert list(found) == sorted(found) and "" not in found
    assert make_pass("remove_dropout") == RemoveDropout()
    assert all((cls.__doc__ or "").strip() for cls in found.values())


def test_unknown_names_get_near_ones():
    assert "did you mean 'remove_dropout'" in told(lambda: make_pass("remove_droput"))
    assert "`graphc passes` lists them" in told(lambda: make_pass("xyzzy"))


def test_resolve():
    mine = RemoveDropout()
    assert [type(p).name for p in resolve("default")] == list(registry.DEFAULT)
    assert resolve([mine, RemoveDropout, "remove_dropout"]) == [mine] * 3
    assert resolve(()) == [] and resolve(iter(["remove_dropout"])) == [mine]


@pytest.mark.parametrize("given", ["remove_dropout", RemoveDropout(), RemoveDropout, None, 5])
def test_passes_must_be_a_list(given):
    assert 'give "default" or a list of passes' in told(lambda: resolve(given))


@pytest.mark.parametrize("each", [5, None, Plain, Plain()])
def test_what_is_no_pass(each):
    assert "is no pass" in told(lambda: resolve([each]))


def test_another_package_offers_a_pass(entries):
    entries(("theirs", f"{__name__}:Theirs"))
    assert make_pass("theirs").name == "theirs" and "theirs" in all_passes()
    assert "did you mean 'theirs'" in told(lambda: make_pass("their"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("broken", "no.such.module:X", "cannot be loaded: ModuleNotFoundError"),
        ("broken", f"{__name__}:NoClass", "cannot be loaded: AttributeError"),
        ("plain", f"{__name__}:Plain", "is no pass class"),
        ("other", f"{__name__}:Theirs", "holds a pass called 'theirs'"),
    ],
)
def test_a_broken_package_hurts_only_who_asks(entries, name, value, message):
    entries((name, value))
    assert message in told(lambda: make_pass(name))
    assert message in told(all_passes)
    assert make_pass("remove_dropout")
    assert [p.name for p in resolve("default")] == list(registry.DEFAULT)


def test_nobody_replaces_a_pass_of_ours(entries):
    entries(("remove_dropout", f"{__name__}:Theirs"))
    assert isinstance(make_pass("remove_dropout"), RemoveDropout)
    assert "two passes are called 'remove_dropout'" in told(all_passes)
    entries(("theirs", f"{__name__}:Theirs"), ("theirs", "elsewhere:Theirs"))
    assert "two passes are called 'theirs'" in told(lambda: make_pass("theirs"))
    entries(("theirs", f"{__name__}:Theirs"), ("theirs", f"{__name__}:Theirs"))
    assert make_pass("theirs")


def test_a_pass_from_a_file(tmp_path):
    (tmp_path / "mine.py").write_text(FILE.format(tag="a"))
    for name in ("Mine", "mine"):
        cls = load_user_pass(f"{tmp_path}/mine.py:{name}")
        assert cls.name == "mine" and cls.origin == f"{tmp_path}/mine.py:Mine"
    (made,) = resolve([f"{tmp_path}/mine.py:Mine"])
    assert made.run(None, None).detail == ("a",)


def test_two_files_of_one_name(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(FILE.format(tag=folder))
    a, b = (load_user_pass(f"{tmp_path}/{folder}/mine.py:Mine") for folder in "ab")
    assert a.__module__ != b.__module__ and (a().tag, b().tag) == ("a", "b")
    from graphc.passes.options import build

    assert build(a, {"tag": "x"}).tag == "x"  # hints are looked up in the right module


def test_files_are_looked_for_here_then_beside_the_recipe(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.py").write_text(FILE.format(tag="sub"))
    monkeypatch.chdir(tmp_path)
    assert load_user_pass("mine.py:Mine", tmp_path / "sub")().tag == "sub"
    (tmp_path / "mine.py").write_text(FILE.format(tag="here"))
    assert load_user_pass("mine.py:Mine", tmp_path / "sub")().tag == "here"


@pytest.mark.parametrize(
    ("text", "spec", "code", "message"),
    [
        (FILE, "mine.py", "GC-T001", "is no file.py:Class"),
        (FILE, "no.py:Mine", "GC-F001", "no such file"),
        (FILE, "\0.py:Mine", "GC-F001", "no such file"),
        (FILE, ".:Mine", "GC-F001", "no such file"),
        (FILE, "mine.py:Mien", "GC-T001", "did you mean 'Mine'?"),
        (FILE, "mine.py:RemoveDropout", "GC-T001", "has no pass 'RemoveDropout'"),
        ("x = 1", "mine.py:Mine", "GC-T001", "its passes: none"),
        ("1 / 0", "mine.py:Mine", "GC-T001", "ZeroDivisionError"),
        ("(", "mine.py:Mine", "GC-T001", "SyntaxError"),
        ("import no_such_module", "mine.py:Mine", "GC-T001", "ModuleNotFoundError"),
        ("from graphc.errors import fail; fail('GC-U001', 'x')", "mine.py:Mine", "GC-U001", "x"),
    ],
)
def test_files_that_do_not_serve(tmp_path, monkeypatch, text, spec, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(text)
    before = {name for name in sys.modules if "mine" in name}
    with pytest.raises(GraphError) as caught:
        load_user_pass(spec)
    assert caught.value.code == code and message in str(caught.value)
    if code == "GC-U001" or "Error" in message:  # a module that failed is not left behind
        assert {name for name in sys.modules if "mine" in name} == before


def test_a_file_that_is_no_python_file(tmp_path):
    (tmp_path / "mine.txt").write_text(FILE)
    assert "must end in .py" in told(lambda: load_user_pass(f"{tmp_path}/mine.txt:Mine"))


def test_a_nameless_class_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text(FILE)
    assert "Nameless has no name" in told(lambda: resolve([f"{tmp_path}/mine.py:Nameless"]))
