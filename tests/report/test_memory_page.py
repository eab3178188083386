"""The page of a memory plan: whole, closed in itself, and right about every buffer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from report.page import Page
from texts import conv, fc, feed, graph, layer, softmax_loss

import graphc
from graphc.lowering import Lowering
from graphc.report import memory_page
from graphc.report.residents import GIVEN, WORKSPACE, persistent, residents

NET = (
    feed(data=(3, 3, 12, 12), label=(3,))
    + conv("data", "c", 8)
    + layer("ReLU", "c", "c")
    + layer("Pooling", "c", "p", "pooling_param { kernel_size: 2 stride: 2 }")
    + conv("p", "left", 4)
    + conv("p", "right", 4)
    + layer("Concat", "left right", "both")
    + fc("both", "y", 5)
    + softmax_loss("y")
)
CASES = {
    f"{target}{' train' * train}{' kept' * (keep == 'all')}": {
        "target": target, "train": train, "keep": keep, "threads": 2
    }
    for target in ("model", "cpu") for train in (False, True) for keep in ((), "all")
}  # fmt: skip
NASTY = "</script><b>\"&'\x1b[1m<!--"


class MemoryPage(Page):
    def data(self) -> Any:
        return json.loads(self.texts["script"][0])


def lowered(case: str) -> Lowering:
    return graphc.lowered(graph(NET), **CASES[case])  # type: ignore[arg-type]


def check_rects(low: Lowering) -> None:
    """Inside their arena; of one step none overlap, and together they are what the plan says."""
    plan = low.plan
    found = residents(low)
    alive = [0] * len(plan.live)
    for each in found:
        assert each.offset >= 0 and each.nbytes > 0
        assert each.offset + each.nbytes <= plan.arenas[each.arena].nbytes
        for step in range(each.first, each.last + 1):
            alive[step] += each.nbytes
    assert tuple(alive) == plan.live
    for step in range(len(plan.live)):
        here = sorted(r.offset for r in found if r.first <= step <= r.last)
        ends = sorted(r.offset + r.nbytes for r in found if r.first <= step <= r.last)
        assert all(end <= start for end, start in zip(ends, here[1:], strict=False)), step


@pytest.mark.parametrize("case", CASES)
def test_residents_are_the_plan(case: str) -> None:
    low = lowered(case)
    check_rects(low)
    kept = persistent(low)
    sizes: Counter[str] = Counter()
    for each in kept:
        sizes[each.kind] += each.nbytes
    for kind, nbytes in sizes.items():
        assert low.plan.breakdown[kind] >= nbytes
    assert all(a.offset + a.nbytes <= b.offset for a, b in pairwise(kept))
    weights = next(arena for arena in low.plan.arenas if arena.name == "weights")
    assert max(each.offset + each.nbytes for each in kept) == weights.nbytes


def test_residents_of_a_deep_net(root: Path) -> None:
    low = graphc.lowered(root / "models/resnet20/train.prototxt", train=True, target="model")
    check_rects(low)


def test_who_a_buffer_is_of() -> None:
    found = {each.name: each for each in residents(lowered("model train"))}
    assert found["data"].layer == GIVEN
    assert found["p"].layer == "p"
    assert found["data"].kind == "io"
    assert found["p"].kind == "activations"
    assert "gradients" in {each.kind for each in found.values()}
    spaces = [r for r in residents(lowered("cpu train")) if r.kind == WORKSPACE]
    assert all(each.first == each.last for each in spaces)


@pytest.mark.parametrize("case", CASES)
def test_the_page_tells_the_plan(case: str) -> None:
    low = lowered(case)
    text = memory_page.page(low, title="a title")
    page = MemoryPage(text)
    told, plan = page.data(), low.plan
    assert told["peak_bytes"] == plan.peak_bytes
    assert told["arenas"] == {arena.name: arena.nbytes for arena in plan.arenas}
    assert (told["bound"], told["live"]) == (plan.live_bound, list(plan.live))
    assert len(told["rects"]) == len(residents(low))
    for (name, kind, of, *where), each in zip(
        sorted(told["rects"], key=lambda r: (r[5], r[3])), residents(low), strict=True
    ):
        assert (name, memory_page.KINDS[kind], of) == (each.name, each.kind, each.layer)
        assert where == [each.offset, each.nbytes, each.first, each.last]
    drawn = [a for tag, a in page.tags if tag == "path" and a["class"].startswith("rect")]
    assert sum(a["d"].count("M") for a in drawn) == len(told["rects"]) + len(told["kept"])
    cells = page.texts["td"]
    assert any(f"{plan.peak_bytes:,} B" in cell for cell in cells)
    assert plan.owner is not None
    assert any(plan.owner.name in cell for cell in cells)
    assert not re.search(r"(?:https?:)?//\w|@import|url\(", text)
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe"}
    assert not [a for tag, a in page.tags if tag == "script" and "src" in a]


def test_rectangles_lie_where_the_buffers_do() -> None:
    low = lowered("model train")
    page = MemoryPage(memory_page.page(low, title=""))
    steps, most = len(low.plan.live), low.plan.work_bytes
    shapes = set()
    for tag, attrs in page.tags:
        if tag == "path" and attrs["class"].startswith("rect"):
            shapes |= set(re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-", attrs["d"]))
    for each in residents(low):
        wide = (each.last - each.first + 1) / steps * memory_page.WIDTH
        tall = each.nbytes / most * memory_page.MAP
        top = memory_page.MAP * (1 - (each.offset + each.nbytes) / most)
        left = each.first / steps * memory_page.WIDTH
        wanted = (left, top, wide, tall)
        assert any(
            all(abs(float(a) - b) < 0.02 for a, b in zip(shape, wanted, strict=True))
            for shape in shapes
        ), each


def test_names_cannot_break_out() -> None:
    nasty = NASTY.replace('"', '\\"').replace("\x1b", "\\x1b")
    text = NET.replace('"p"', f'"{nasty}"')
    low = graphc.lowered(graph(text), train=True, target="model")
    page = MemoryPage(memory_page.page(low, title=NASTY))
    assert {tag for tag, _ in page.tags} & {"b"} == {"b"}  # the captions
    assert len(page.texts["script"]) == 2
    assert "\x1b" not in memory_page.page(low, title=NASTY)
    assert any(name.startswith("</script>") for name, *_ in page.data()["rects"])


def test_many_buffers_are_capped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory_page, "DRAWN", 5)
    low = lowered("model train")
    path = tmp_path / "page.html"
    memory_page.write(path, low)
    page = MemoryPage(path.read_text())
    assert len(page.data()["rects"]) == 5
    left = len(residents(low)) - 5
    assert any(f"{left} small or short-lived buffers" in text for text in page.texts["p"])


def test_batches_are_bars_beside_the_budget() -> None:
    low = lowered("model train")
    page = MemoryPage(memory_page.page(low, title="", batches=[(1, 50), (2, 100)], memory=80))
    bars = [
        float(found[1])
        for tag, attrs in page.tags
        if tag == "path" and (found := re.fullmatch(r"M90 \d+h([\d.]+)v14H90z", attrs["d"]))
    ]
    assert bars == [450.0, 900.0]
    assert any(attrs.get("d") == "M810.00 0V36" for _, attrs in page.tags)
    assert {"batch 1", "batch 2", "50 B", "100 B"} <= {*page.texts["text"]}
    assert "Peak by batch" not in memory_page.page(low, title="")


def test_a_net_that_needs_nothing() -> None:
    low = graphc.lowered(graph(feed(data=(0, 3))), target="model")
    page = MemoryPage(memory_page.page(low, title="empty"))
    assert page.data()["peak_bytes"] == low.plan.peak_bytes == 0


def test_a_deep_net_makes_a_page_of_some_hundred_kilobytes(root: Path) -> None:
    low = graphc.lowered(root / "models/resnet152/deploy.prototxt", train=True, target="model")
    text = memory_page.page(low, title="ResNet-152")
    assert len(low.plan.steps) > 2_000
    assert len(text) < 2_000_000


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROBE = """<script>
addEventListener("error", event => console.log(`PAGE ERROR ${event.message}`));
addEventListener("load", () => {
  const svg = document.querySelectorAll("figure > svg")[1], box = svg.getBoundingClientRect();
  const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height - 40 };
  svg.dispatchEvent(new PointerEvent("pointermove", at));
  console.log(`TIP ${svg.parentNode.querySelector(".tip").textContent.replaceAll("\\n", "; ")}`);
  svg.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: -1, cancelable: true }));
  console.log(`ZOOM ${svg.querySelector(".plot").getAttribute("viewBox")}`);
});
</script>"""


def test_in_a_browser(tmp_path: Path) -> None:
    """No error on the console; the pointer finds a buffer, the wheel zooms."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    low = lowered("model train")
    page = memory_page.page(low, title="a net").replace("<body>", f"<body>{PROBE}")
    path = tmp_path / "page.html"
    path.write_text(page)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | home,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not [line for line in told if "ERROR" in line or "Uncaught" in line], told
    (tip,) = (line for line in told if "TIP " in line)
    assert re.search(r"TIP step \d+, \S+ \(\w+\); (free|.+; layer .+ B at [\d,]+; step)", tip), tip
    (zoom,) = (line for line in told if "ZOOM " in line)
    assert re.search(r"ZOOM 8\d(\.\d+)? 0 720 460", zoom), zoom
    assert "<svg" in done.stdout
