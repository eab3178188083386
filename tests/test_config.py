"""graphc.config: defaults, values, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.config import Config, describe
from graphc.errors import GraphError


def test_defaults_when_nothing_is_set():
    config = Config.load({})
    assert config.debug is False and config.cache == Path.home() / ".cache" / "graphc"


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("on", True), ("YES", True), ("0", False), ("", False)]
)
def test_flags(text, value):
    assert Config.load({"GRAPHC_DEBUG": text}).debug is value


def test_the_process_environment_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path))
    assert Config.load().cache == tmp_path


def test_a_bad_value_is_refused_by_name():
    with pytest.raises(GraphError, match="GRAPHC_DEBUG='maybe'") as caught:
        Config.load({"GRAPHC_DEBUG": "maybe"})
    assert caught.value.code == "GC-R004" and caught.value.exit_code == 2


def test_variables_of_others_are_left_alone():
    assert Config.load({"GRAPHC_SHARED": "x"}) == Config.load({})


def test_describe_names_every_variable():
    names = ["GRAPHC_DEBUG", "GRAPHC_CACHE", "GRAPHC_HOST", "GRAPHC_TF32", "GRAPHC_GPU"]
    rows = describe(Config.load({"GRAPHC_HOST": "/pool"}))
    assert [row[0] for row in rows] == names
    assert rows[2][1] == "/pool"
    assert describe(Config.load({}))[2][1] == ""
