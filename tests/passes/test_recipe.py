"""Recipes: TOML to passes and back; shared by command line, API and artefact."""

from dataclasses import dataclass

import pytest
from texts import feed, graph, layer

import graphc
from graphc.errors import GraphError
from graphc.passes.base import Pass, Report
from graphc.passes.recipe import parse_recipe, parse_spec, print_recipe, read_recipe

FILE = """
from dataclasses import dataclass
from graphc.passes.base import Pass, Report

@dataclass(frozen=True)
class Mine(Pass):
    name = "mine"
    share: float = 0.5
    text: str = ""
    deep: bool = False
    layers: tuple[str, ...] = ()
    def run(self, graph, ctx):
        return Report(self.name)
"""


def told(passes):
    """Names and options; a file is executed anew each time it is loaded."""
    return [(p.name, p.options()) for p in passes]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    return "mine.py:Mine"


def test_there_and_back(mine):
    text = f"""
[[pass]]
name = "remove_dead_code"

[[pass]]
file = "{mine}"
share = 1
text = 'a "quoted" \\ line'
deep = true
layers = ["a", "b"]

[[pass]]
name = "remove_dropout"
"""
    passes = parse_recipe(text)
    assert [p.name for p in passes] == ["remove_dead_code", "mine", "remove_dropout"]
    assert passes[1].options() == {
        "share": 1.0,
        "text": 'a "quoted" \\ line',
        "deep": True,
        "layers": ("a", "b"),
    }
    printed = print_recipe(passes)
    assert told(parse_recipe(printed)) == told(passes)
    assert print_recipe(parse_recipe(printed)) == printed
    assert f'file = "{mine}"' in printed and "share = 1.0" in printed


@pytest.mark.parametrize("text", ["\n\t\r", "\x00\x1f\x7f", "\u2603 \U0001f600", '"""', "\\u0041"])
def test_any_text_survives(mine, text):
    (made,) = parse_recipe(f'[[pass]]\nfile = "{mine}"\n')
    other = type(made)(text=text, share=float("inf"))
    assert told(parse_recipe(print_recipe([other]))) == told([other])


def test_an_empty_recipe_is_no_pass():
    assert parse_recipe("") == [] and print_recipe([]) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[pass", "is no TOML"),
        ("a = [" * 5000, "is no TOML"),
        ('[[passes]]\nname = "remove_dropout"', "'passes' means nothing here"),
        ('name = "remove_dropout"', "'name' means nothing here"),
        ("pass = 5", "must be a list of tables"),
        ("pass = [5]", "must be a list of tables"),
        ('[pass]\nname = "x"', "must be a list of tables"),
        ("[[pass]]", "needs a name"),
        ("[[pass]]\nname = 5", "needs a name"),
        ('[[pass]]\nname = "remove_dropout"\nfile = "f.py:F"', "needs a name, or a file"),
        ("[[pass]]\nfile = 5", "needs a name, or a file"),
        ('[[pass]]\nname = "nothing"', "no pass 'nothing'"),
        ('[[pass]]\nname = "remove_dropout"\nx = 1', "no option 'x'"),
    ],
)
def test_wrong_recipes(text, message):
    with pytest.raises(GraphError, match="GC-T001") as caught:
        parse_recipe(text, "r.toml")
    assert message in str(caught.value)


def test_recipe_files(tmp_path, mine, monkeypatch):
    folder = tmp_path / "recipes"
    folder.mkdir()
    (tmp_path / "mine.py").rename(folder / "mine.py")
    (folder / "r.toml").write_text(f'[[pass]]\nfile = "{mine}"\n')
    (found,) = read_recipe(folder / "r.toml")
    assert found.name == "mine"
    (folder / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(GraphError, match="GC-T001"):
        read_recipe(folder / "bad.toml")
    for missing in (folder / "none.toml", folder):
        with pytest.raises(GraphError, match="GC-F001"):
            read_recipe(missing)


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("mine.py:Mine", {}),
        ("mine.py:Mine:share=0.25", {"share": 0.25}),
        ("mine.py:Mine: share = 0.25 , deep=true,", {"share": 0.25, "deep": True}),
        ("mine.py:Mine:text=a=b,layers=conv1", {"text": "a=b", "layers": ("conv1",)}),
    ],
)
def test_specs(mine, spec, options):
    assert parse_spec(spec).options() == options


@pytest.mark.parametrize(
    "spec",
    [
        *("", ":", "nothing", "remove_dropout:x=1", "remove_dropout:x", "mine.py:Mine:share"),
        *("mine.py:Mine:share=x", "mine.py", "mine.py:Mine:share=1,share=2", "mine.py:Other"),
    ],
)
def test_wrong_specs(mine, spec):
    with pytest.raises(GraphError, match="GC-T001"):
        parse_spec(spec)


@dataclass(frozen=True)
class Local(Pass):
    name = "local"
    size: int = 3

    def run(self, graph, ctx):
        return Report(self.name)


def test_the_api_keeps_the_recipe_with_the_artefact(tmp_path):
    net = graph(feed(data=(2, 3)), layer("TanH", "data", "y"))
    _, report = graphc.optimize(net, ["remove_dropout", Local(5)])
    assert report.recipe == print_recipe([parse_spec("remove_dropout"), Local(5)])
    exe = graphc.compile(net, passes=["remove_dropout"])
    exe.save(tmp_path / "a.gcz")
    again = graphc.open(tmp_path / "a.gcz")
    assert [p.name for p in parse_recipe(again.meta["recipe"])] == ["remove_dropout"]
