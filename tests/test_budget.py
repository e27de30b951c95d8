"""A budget is never overshot, as the server counts it, and a larger one goes on with the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from upcycle.testing import FakeServer
from whole_runs import command, kept, notes_of, run, write_inputs

PRICES = "openai/fake: {input: 1.0, output: 1.0}\n"
FAULTS = {"latency": 0.005, "failing": 0.03, "invalid": 0.03, "torn": 0.02}


@pytest.mark.parametrize("concurrency", ["1", "64"])
@pytest.mark.parametrize(("budget", "cap"), [("20ktok", 20_000), ("0.02usd", 20_000), ("50calls", 50)])
def test_a_budget_is_kept_as_the_server_counts_it(tmp_path: Path, budget: str, cap: int, concurrency: str):
    write_inputs(tmp_path, 200)
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    with FakeServer(**FAULTS) as server:
        flags = ("--budget", budget, "--prices", str(prices), "--concurrency", concurrency)
        done = run(command(tmp_path, server.url, 200, *flags))
        counted = server.stats()
    used = {"tok": counted["tokens"], "usd": round(counted["cost"] * 1e6), "lls": counted["paid"]}[budget[-3:]]
    assert done.returncode == 1, done.stderr
    assert cap * 0.5 < used <= cap
    assert "larger --budget" in done.stdout + done.stderr
    assert 0 < len(kept(tmp_path)) < 200


def test_a_larger_budget_goes_on_and_pays_only_for_the_rest(tmp_path: Path):
    write_inputs(tmp_path, 80)
    with FakeServer() as server:
        stopped = run(command(tmp_path, server.url, 80, "--budget", "10ktok", "--json"))
        first = len(kept(tmp_path))
        done = run(command(tmp_path, server.url, 80, "--budget", "200ktok"))
        counted = server.stats()
    facts = json.loads(stopped.stdout)
    assert stopped.returncode == 1
    assert (facts["kept"], facts["reached"]) == (first, False)
    assert "10,000 tokens" in facts["stopped"]
    assert done.returncode == 0, done.stderr
    assert notes_of(kept(tmp_path)) == list(range(80))
    assert counted["paid_twice"] == 0


def test_money_for_a_model_without_a_price_is_refused_before_anything_is_sent(tmp_path: Path):
    write_inputs(tmp_path, 20)
    with FakeServer() as server:
        # By another name than that of this machine, so that it is not free.
        url = server.url.replace("127.0.0.1", "upcycle.invalid")
        done = run(command(tmp_path, url, 20, "--budget", "1usd", "--yes"))
        assert server.stats()["requests"] == 0
    assert done.returncode == 2
    assert "the price of openai/fake is not known" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("upcycle: the price")
