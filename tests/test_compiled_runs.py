"""Whole builds by compiled plans: batches that resume, rows the program fails on, answers that never fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import upcycle
from upcycle.llm.model import Completion, Request, Usage
from upcycle.testing import FakeServer
from whole_runs import command, kept, notes_of, run, start, wait_for_kept, write_inputs

ROWS = re.compile(r'<record id="(\d+)">(.*?)</record>', re.DOTALL)


def answering(row: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Completion]:
    """A model that writes each row's fields by a function of what it was shown."""

    def reply(request: Request) -> Completion:
        prompt = request.messages[-1]["content"]
        text = json.dumps({key: row(json.loads(shown)) for key, shown in ROWS.findall(prompt)})
        return Completion(text, Usage(len(prompt) // 4, len(text) // 4))

    return reply


async def build(folder: Path, server: FakeServer, rows: int, *, out: str = "run", **more: Any) -> upcycle.Report:
    datatune = {"plan": str(folder / "plan.yaml"), **more.pop("datatune", {})}
    return await upcycle.build(
        "Say what the note holds.",
        sources=(str(folder / "notes.jsonl"),),
        methods={"datatune": datatune},
        model={"planner": "none", "judge": "none", "executor": "openai/fake", "base_url": server.url},
        rows=rows,
        out=folder / out,
        **more,
    )


def provenance(folder: Path, out: str = "run") -> list[dict[str, Any]]:
    return pq.read_table(folder / out / "provenance").to_pylist()


async def test_several_records_travel_in_one_call_and_each_pays_its_share(tmp_path: Path):
    write_inputs(tmp_path, 100)
    async with FakeServer() as server:
        report = await build(tmp_path, server, 64)
        assert server.stats()["paid"] == 8
        assert sum(origin["tokens"] for origin in provenance(tmp_path)) == server.stats()["tokens"]
    assert report.kept == 64
    assert "tokens by source: notes" in repr(report)


@pytest.mark.parametrize("concurrency", [1, 7, 64])
async def test_the_dataset_is_the_same_at_any_concurrency(tmp_path: Path, concurrency: int):
    write_inputs(tmp_path, 200)

    def row(shown: dict[str, Any]) -> Any:
        number = int(shown["text"].split()[1].rstrip(":"))
        return {"skip": "odd"} if number % 5 == 0 else {"title": f"title {number % 60}"}

    async with FakeServer(answering(row), latency=0.002) as server:
        await build(tmp_path, server, 90, out="one", concurrency=3)
        await build(tmp_path, server, 90, out="other", concurrency=concurrency)
        paid_twice = server.stats()["paid"] - 2 * server.stats()["distinct"]
    read = [pq.read_table(tmp_path / out / "data").to_pylist() for out in ("one", "other")]
    assert read[0] == read[1]
    assert paid_twice == 0, "both made the very same calls"


def test_a_run_killed_in_the_middle_of_its_batches_finds_them_paid(tmp_path: Path):
    write_inputs(tmp_path, 400)
    with FakeServer(latency=0.02) as server:
        asked = command(tmp_path, server.url, 200, "--batch", "8", "--concurrency", "4")
        with start(asked) as process:
            wait_for_kept(process, 60)
            process.kill()
        assert run(asked).returncode == 0
        stats = server.stats()
    assert len(notes_of(kept(tmp_path))) == len(set(notes_of(kept(tmp_path)))) == 200
    assert stats["paid"] - stats["distinct"] <= 4, "only what was in flight"


def test_going_on_with_more_rows_asks_only_for_those(tmp_path: Path):
    write_inputs(tmp_path, 400)
    with FakeServer() as server:
        assert run(command(tmp_path, server.url, 30, "--batch", "8")).returncode == 0
        before = server.stats()["paid"]
        assert run(command(tmp_path, server.url, 94, "--batch", "8")).returncode == 0
        assert server.stats()["paid"] == before + 8
        assert server.stats()["paid_twice"] == 0
    assert len(kept(tmp_path)) == 94


HALF = """\
source: notes
prose: The number of the note, worked out from its text.
steps:
- do: python
  fields: [text]
  code: "str(1 // (int(r['text'].split()[1].rstrip(':')) % 2))"
  into: answer
input: "{text}"
output: "{answer}"
"""


async def test_what_the_program_fails_on_is_done_by_the_model_and_the_share_is_told(tmp_path: Path):
    write_inputs(tmp_path, 80)
    (tmp_path / "plan.yaml").write_text(HALF)
    seen: list[str] = []

    def row(shown: dict[str, Any]) -> Any:
        seen.append(shown["text"])
        return {"made_input": shown["text"], "made_output": "by hand"}

    async with FakeServer(answering(row)) as server:
        report = await build(tmp_path, server, 60)
    assert report.kept == 60
    outputs = {origin["id"]: origin for origin in provenance(tmp_path)}
    rows = pq.read_table(tmp_path / "run/data").to_pylist()
    by_model = [one for one in rows if one["output"] == "by hand"]
    assert 20 <= len(by_model) <= 40
    assert report.instead == len(by_model)
    assert f"programs failed on {len(by_model)} ({len(by_model) / 60:.0%}), made by the model" in repr(report)
    assert all(outputs[one["id"]]["program"] is None and outputs[one["id"]]["calls"] for one in by_model)
    assert all(outputs[one["id"]]["program"] for one in rows if one["output"] != "by hand")
    assert {origin["plan_by"] for origin in outputs.values()} == {"hand"}
    events = upcycle.status(tmp_path / "run")
    assert events.kept == 60


async def test_without_a_fallback_the_rows_a_program_fails_on_are_named(tmp_path: Path):
    write_inputs(tmp_path, 80)
    (tmp_path / "plan.yaml").write_text(HALF)
    async with FakeServer() as server:
        report = await build(tmp_path, server, 80, datatune={"fallback": False, "min_yield": 0})
        assert server.stats()["paid"] == 0
    assert report.dropped["program"] == 40
    dropped = pq.read_table(tmp_path / "run/dropped").to_pylist()
    assert any("python: raised: ZeroDivisionError" in row["reason"] for row in dropped)
    assert "program 40" in repr(upcycle.status(tmp_path / "run"))


async def test_a_program_that_breaks_the_contract_is_corrected_by_the_model(tmp_path: Path):
    write_inputs(tmp_path, 60)
    (tmp_path / "plan.yaml").write_text(HALF.replace("% 2))", "% 2 + 1)) + ' is far too long'"))
    model = answering(lambda shown: {"made_input": shown["text"], "made_output": "ok"})
    async with FakeServer(model) as server:
        report = await build(tmp_path, server, 20, contract={"max_chars": 10})
    assert report.kept == 20
    assert {row["output"] for row in pq.read_table(tmp_path / "run/data").to_pylist()} == {"ok"}


async def test_answers_that_never_validate_cost_a_bounded_number_of_calls(tmp_path: Path):
    write_inputs(tmp_path, 40)
    plan = (tmp_path / "plan.yaml").read_text()
    (tmp_path / "plan.yaml").write_text(plan.replace("for the note.", "for the note., contract: {max_chars: 3}"))
    model = answering(lambda shown: {"title": "never short enough"})
    async with FakeServer(model) as server:
        report = await build(tmp_path, server, 16, datatune={"min_yield": 0, "fallback": False})
        paid = server.stats()["paid"]
    assert report.kept == 0
    assert report.dropped == {"unparseable": 40}
    assert paid <= 40 * 4
    assert "40 rows failed" in report.stopped


async def test_the_contract_holds_for_every_kept_example(tmp_path: Path):
    write_inputs(tmp_path, 300)
    plan = (tmp_path / "plan.yaml").read_text()
    (tmp_path / "plan.yaml").write_text(plan)

    def row(shown: dict[str, Any]) -> Any:
        number = int(shown["text"].split()[1].rstrip(":"))
        return {"title": ["yes", "no", "perhaps", "", "YES", "no "][number % 6]}

    async with FakeServer(answering(row)) as server:
        report = await build(tmp_path, server, 100, contract={"labels": ["yes", "no"]}, datatune={"min_yield": 0})
    assert report.kept == 100
    assert {one["output"] for one in pq.read_table(tmp_path / "run/data").to_pylist()} <= {"yes", "no"}


def test_a_plan_edited_into_nonsense_is_refused_with_the_step_and_the_reason(tmp_path: Path):
    write_inputs(tmp_path, 20)
    for wrong, said in (
        (
            "steps: [{do: python, fields: [text], code: 'import os', into: x}]",
            "neither one expression over r nor a function",
        ),
        ("steps: [{do: python, fields: [text], code: 'open(r)', into: x}]", "cannot run in the sandbox: "),
        ("steps: [{do: fly, into: x}]", "fly"),
        ("steps: [{do: filter, field: text, matches: '(?=x)'}]", "not a regular expression that can be run"),
        ("steps: [{do: split, take: {}}]", "steps.0"),
        ("steps: [{do: draw-label, labels: [a, b], shares: [1]}]", "one number of 0 or more for each label"),
    ):
        (tmp_path / "plan.yaml").write_text(f"source: notes\n{wrong}\ninput: '{{text}}'\noutput: '{{text}}'\n")
        done = run(command(tmp_path, "http://127.0.0.1:9/v1", 5))
        assert done.returncode == 2, done.stderr
        assert said in done.stderr, done.stderr
        assert "plan.yaml" in done.stderr
        assert "Traceback" not in done.stderr


async def test_a_record_that_holds_a_gold_item_is_refused_before_anything_is_made_of_it(tmp_path: Path):
    write_inputs(tmp_path, 20)
    secret = "Note 7: it says 49."
    (tmp_path / "gold.jsonl").write_text(json.dumps({"input": secret, "output": "x"}) + "\n")
    plan = (tmp_path / "plan.yaml").read_text().replace('input: "{text}"', 'input: "Always {title}"')
    (tmp_path / "plan.yaml").write_text(plan)
    seen: list[str] = []

    def row(shown: dict[str, Any]) -> Any:
        seen.append(shown["text"])
        return {"title": f"title of {shown['text'][5:7]}"}

    async with FakeServer(answering(row)) as server:
        report = await build(tmp_path, server, 20, gold=str(tmp_path / "gold.jsonl"))
    assert secret not in seen
    assert report.dropped["contaminated"] == 1
    (dropped,) = [one for one in pq.read_table(tmp_path / "run/dropped").to_pylist() if one["kind"] == "contaminated"]
    assert (dropped["stage"], dropped["other"]) == ("source", "gold 1")
