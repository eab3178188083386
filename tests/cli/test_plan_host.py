"""graphc plan --train --memory --host: what is sent, and what waits for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli.test_plan_recompute import net as net

import graphc
from graphc.costs import TABLE
from graphc.memory import lowered_within
from graphc.plan import StepKind
from graphc.plan.wish import Wish
from graphc.report.residents import residents


def smallest(net: Path, **words: Any) -> int:
    with pytest.raises(graphc.GraphError) as caught:
        graphc.plan(net, train=True, memory="1kB", host="1GiB", **words)
    return int(caught.value.message.split("needs ")[1].split(" B")[0].replace(",", ""))


def test_the_command_line_sends(cli, net: Path, tmp_path: Path) -> None:
    budget = smallest(net)
    words = ("plan", net, "--train", "--memory", f"{budget}B", "--host", "1GiB", "--explain")
    told = cli(*words, "--json").json
    assert told["peak_bytes"] <= budget
    found = told["recompute"]
    assert found["sent"] == len(found["sent_buffers"]) > 0
    assert 0 < found["host_bytes"] == told["host_bytes"] < 1 << 30
    assert found["stall_us"] > 0
    assert found["link"] == {"bandwidth": 12e9, "start_us": 10.0, "basis": "PCIe 3.0 x16"}
    page = tmp_path / "memory.html"
    done = cli(*words, "--timeline", "--html", page)
    assert "sent to the host:" in done.out
    assert "host pool" in done.out
    assert "transfers at 12.0 GB/s (PCIe 3.0 x16)" in done.out
    assert found["sent_buffers"][0]["name"] in page.read_text()


def test_the_cpus_transfers_are_priced_by_the_table(
    cli, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path))  # nothing was measured there
    table = json.loads(TABLE.read_text())["link"]
    budget = smallest(net, target="cpu", threads=1)
    words = ("plan", net, "--train", "--target", "cpu", "--threads", "1")
    words = (*words, "--memory", f"{budget}B", "--host", "1GiB")
    assert f"transfers at {table['gbps']:.1f} GB/s (table)" in cli(*words).out


def test_the_page_shows_no_two_buffers_on_the_same_bytes(net: Path) -> None:
    wish = Wish(memory=smallest(net), host=1 << 30)
    low = lowered_within(net, None, wish, train=True, target="model")
    assert any(step.kind is StepKind.IN for step in low.plan.steps)
    drawn = [r for r in residents(low) if r.nbytes]
    for number, a in enumerate(drawn):
        for b in drawn[:number]:
            apart = a.arena != b.arena or a.offset + a.nbytes <= b.offset
            apart |= b.offset + b.nbytes <= a.offset
            assert apart or a.last < b.first or b.last < a.first, (a, b)


def test_activations_are_those_of_the_plan(cli, net: Path) -> None:
    """Not of one that stores everything."""
    all_of_it = cli("plan", net, "--train", "--json").json["activation_bytes"]
    words = ("--memory", f"{smallest(net)}B", "--host", "1GiB", "--json")
    told = cli("plan", net, "--train", *words).json
    assert told["activation_bytes"] <= told["arenas"]["work"]
    assert told["activation_bytes"] < all_of_it


def test_bad_pools(cli, net: Path) -> None:
    both = ("--memory", "1GiB", "--host", "1GiB")
    for words, code, told in (
        (("--train", "--host", "1GiB"), 2, "no budget"),
        (("--memory", "1GiB", "--host", "1GiB"), 2, "only training"),
        (("--train", "--memory", "1GiB", "--host", "0B"), 2, "GC-R004"),
        (("--train", "--memory", "1GiB", "--policy", "offload"), 2, "--host SIZE"),
        (("--memory", "1GiB", "--host", "1GiB", "--largest-batch"), 2, "only training"),
        (("--train", "--largest-batch", "--max-overhead", "0", *both), 2, "no more time"),
    ):
        done = cli("plan", net, *words)
        assert (done.code, told in done.err) == (code, True), done.err
    done = cli("plan", net, "--train", "--memory", "1GiB", "--host", "4000TiB")
    assert "the host pool of" in done.err


def test_the_largest_batch_with_a_pool(cli, net: Path) -> None:
    """A pool makes room for more samples; what they take stays below --max-overhead."""
    memory = graphc.plan(net, train=True, batch=8).peak_bytes // 2
    words = ("plan", net, "--train", "--largest-batch", "--memory", f"{memory}B")
    batches = {}
    for percent, host in ((35, True), (400, True), (400, False)):
        pool = ("--host", "1GiB") if host else ()
        told = cli(*words, *pool, "--max-overhead", str(percent), "--json").json
        batches[percent, host] = told["largest_batch"]
        assert told["peak_bytes"] <= memory
        assert told["next_bytes"] is None or told["next_bytes"] > memory
        assert told["recompute"]["overhead"] <= percent / 100 + 1e-9
    assert batches[400, True] > batches[400, False]
    assert batches[400, True] > batches[35, True]
    found = graphc.largest_batch(net, train=True, memory=memory, host="1GiB", max_overhead=400)
    assert found.batch == batches[400, True]
    assert found.peak_bytes <= memory < (found.next_bytes or memory + 1)
    with pytest.raises(graphc.GraphError, match="GC-R004"):
        graphc.largest_batch(net, train=True, memory=memory, host="much")
