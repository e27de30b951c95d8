"""Looking into runs: status, why and retry tell and do what a user expects."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import upcycle
from upcycle.errors import ConfigError
from upcycle.llm.model import Completion, Request, Usage
from upcycle.testing import FakeServer
from whole_runs import UPCYCLE, run

PLAN = """\
source: rows
steps:
- do: filter
  field: text
  min_chars: 4
- {do: llm, into: title, fields: [text], ask: A title for the text.}
input: "{text}"
output: "{title}"
"""


class Writer:
    """Writes titles; of some rows nothing that can be read, until it is mended."""

    def __init__(self, bad: set[str]) -> None:
        self.bad = bad

    def __call__(self, request: Request) -> Completion:
        text = request.messages[-1]["content"]
        if any(f"row {name} " in text for name in self.bad):
            return Completion("no title today", Usage(10, 5))
        ids = re.findall(r'<record id="(\d+)">', text)
        return Completion(json.dumps({key: {"title": "A title"} for key in ids}), Usage(10, 5))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"text": f"row {n} of the file"} for n in range(12)] + [{"text": "row"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


async def build(folder: Path, server: FakeServer, **more: Any) -> upcycle.Report:
    return await upcycle.build(
        "Give the text a title.",
        sources=(str(folder / "rows.jsonl"),),
        methods={"datatune": {"plan": str(folder / "plan.yaml"), "min_yield": 0, "batch": 8}},
        model={"planner": "none", "judge": "none", "executor": "openai/fake", "base_url": server.url},
        rows=12,
        out=folder / "run",
        **more,
    )


async def test_failed_rows_wait_for_retry_and_then_complete_the_dataset(folder: Path):
    writer = Writer({"3", "7"})
    async with FakeServer(writer) as server:
        report = await build(folder, server)
        assert (report.kept, report.reached) == (10, False)
        assert report.dropped == {"skipped": 1, "unparseable": 2}
        paid = server.stats()["paid"]
        writer.bad.clear()
        assert (await build(folder, server)).kept == 10, "failed rows are not asked again unasked"
        assert server.stats()["paid"] == paid
        assert upcycle.retry(folder / "run", ("api-transient",)) == 0
        assert upcycle.retry(folder / "run", ("unparseable",)) == 2
        report = await build(folder, server)
    assert (report.kept, report.reached) == (12, True)
    assert server.stats()["paid"] == paid + 2


async def test_why_tells_a_kept_a_failed_and_a_skipped_row(folder: Path):
    async with FakeServer(Writer({"3"})) as server:
        await build(folder, server)
    kept = upcycle.why(folder / "run", "default/train/0")
    assert (kept["state"], kept["output"]) == ("kept", "A title")
    assert "row 0 of the file" in kept["calls"][0]["request"]
    assert upcycle.why(folder / "run", kept["id"][:8])["id"] == kept["id"]
    failed = upcycle.why(folder / "run", "default/train/3")
    assert (failed["state"], failed["kind"]) == ("failed", "unparseable")
    assert "no title today" in failed["reason"]
    assert len(failed["calls"]) == 4, "with seven other rows, with three, with one, and alone"
    skipped = upcycle.why(folder / "run", "default/train/12")
    assert skipped["reason"] == "filter: 'text' has 3 characters"
    with pytest.raises(ConfigError, match="has no row 'nonsense'"):
        upcycle.why(folder / "run", "nonsense")


async def test_status_counts_rows_cost_and_calls_without_touching_the_run(folder: Path):
    async with FakeServer(Writer({"3"})) as server:
        await build(folder, server)
        paid = server.stats()["paid"]
    before = {path: path.read_bytes() for path in (folder / "run").glob("*.yaml")}
    found = upcycle.status(folder / "run")
    assert (found.kept, found.wanted, found.running) == (11, 12, False)
    assert found.kinds == {"ok": 11, "skipped": 1, "unparseable": 1}
    assert found.calls == paid <= 11 + 4, "less than a call a row"
    assert found.tokens == paid * 15
    assert found.sources == ({"source": "rows", "kept": 11, "usd": 0.0, "tokens": paid * 15},)
    assert f"per kept example: $0.000000, {paid * 15 / 11:,.0f} tokens" in repr(found)
    assert "11 of 12 examples, not running" in repr(found)
    assert before == {path: path.read_bytes() for path in (folder / "run").glob("*.yaml")}


def test_a_folder_without_a_run_is_refused(tmp_path: Path):
    for look in (upcycle.status, upcycle.retry):
        with pytest.raises(ConfigError, match="holds no run"):
            look(tmp_path)


TEXTS = [
    *(f"The {who} asked for the {what} that was ordered in the spring." for who in ("baker", "pilot", "nurse")
      for what in ("table", "lamp")),
    "THE BAKER ASKED FOR THE TABLE that was ordered in the spring.",
    "The chair was never paid for.",
]  # fmt: skip


async def curated(folder: Path) -> Path:
    lines = [{"input": text, "output": "yes"} for text in TEXTS] + [{"input": "no output", "output": None}]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "gold.jsonl").write_text(json.dumps({"input": TEXTS[-1].upper(), "output": "yes"}))
    done = await upcycle.curate(folder / "rows.jsonl", out=folder / "clean", gold=folder / "gold.jsonl")
    assert (done.kept, done.unread) == (6, 1)
    return folder / "clean"


async def test_why_tells_what_a_curated_folder_kept_dropped_and_could_not_read(tmp_path: Path):
    clean = await curated(tmp_path)
    kept = upcycle.why(clean, "default/train/0")
    assert (kept["state"], kept["input"], kept["origin"]["source"]) == ("kept", TEXTS[0], "rows")
    assert upcycle.why(clean, kept["id"][:10]) == kept
    repeated = upcycle.why(clean, "default/train/6")
    assert (repeated["state"], repeated["kind"], repeated["input"]) == ("dropped", "duplicate", TEXTS[6])
    assert repeated["repeats"] == {"id": kept["id"], "input": TEXTS[0], "output": "yes"}
    leaked = upcycle.why(clean, "default/train/7")
    assert (leaked["kind"], leaked["other"], leaked["repeats"]) == ("contaminated", "gold 1", None)
    assert upcycle.why(clean, "default/train/8")["reason"] == "it has no output (column 'output')"
    with pytest.raises(ConfigError, match="has no row 'nonsense'"):
        upcycle.why(clean, "nonsense")
    with pytest.raises(ConfigError, match="begins several ids"):
        upcycle.why(clean, "")


async def test_the_command_shows_the_row_that_a_dropped_one_repeats_and_the_score(tmp_path: Path):
    clean = await curated(tmp_path)
    kept = upcycle.why(clean, "default/train/0")["id"]
    told = run([UPCYCLE, "why", str(clean), "default/train/6"])
    assert (told.returncode, told.stderr) == (0, "")
    assert f"  of       {kept}, score 1\n    input    {TEXTS[0]}\n" in told.stdout
    assert f"  record   6 of rows\n  input    {TEXTS[6]}\n" in told.stdout
    assert json.loads(run([UPCYCLE, "why", str(clean), kept, "--json"]).stdout)["state"] == "kept"


async def test_a_torn_file_of_a_curated_folder_is_one_sentence(tmp_path: Path):
    clean = await curated(tmp_path)
    next((clean / "dropped").glob("*.parquet")).write_bytes(b"PAR1 torn")
    told = run([UPCYCLE, "why", str(clean), "0"])
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "cannot be read" in told.stderr


async def test_why_reads_a_dataset_that_came_without_its_journal(folder: Path):
    async with FakeServer(Writer({"3"})) as server:
        await build(folder, server)
    before = upcycle.why(folder / "run", "default/train/0")
    for file in (folder / "run").glob("run.db*"):
        file.unlink()
    after = upcycle.why(folder / "run", "default/train/0")
    assert after["calls"] == []
    assert {name: after[name] for name in ("id", "state", "input", "output")} == {
        name: before[name] for name in ("id", "state", "input", "output")
    }
    assert upcycle.why(folder / "run", "default/train/3")["kind"] == "unparseable"
