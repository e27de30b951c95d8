"""Building from a Hub: the index finds, what is opened is pinned, and a killed run reproduces the same dataset."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from upcycle.cli import main
from upcycle.config import make_config
from upcycle.indexing import build_index
from upcycle.llm.model import Request
from upcycle.run import Run
from upcycle.sources.opening import readable
from upcycle.task import Demonstration, make_task
from upcycle.testing import FakeHub, FakeServer, ScriptedModel
from whole_runs import INSTRUCTION, PLAN, UPCYCLE, run, start, wait_for_kept

pytest.importorskip("huggingface_hub")

NAME = "owner/notes"
ROWS = 40
ASKED = "Say whether a film review is positive or negative."
SHOWN = [
    {"input": "A wonderful film, moving from the first minute.", "output": "positive"},
    {"input": "I left after half an hour of boredom.", "output": "negative"},
    {"input": "Great actors and a clever plot.", "output": "positive"},
]


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPCYCLE_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("HF_TOKEN", "hf_fake")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        notes = [json.dumps({"text": f"Note {n}: it says {n * n}."}) for n in range(300)]
        card = "---\nlicense: cc-by-4.0\nlanguage: [en]\n---\n# Notes\nShort notes of a day.\n"
        running.repo(NAME).write({"README.md": card, "train.jsonl": "\n".join(notes) + "\n"})
        yield running


def reviews(hub: FakeHub, name: str, licence: str = "mit", card: str = "Film reviews, positive or negative.") -> None:
    kinds = {"positive": "wonderful moving clever great", "negative": "dull long boring weak"}
    lines = [
        json.dumps({"review": f"A {words.split()[n % 4]} film with {n} scenes of {name}.", "sentiment": kind})
        for n in range(60)
        for kind, words in kinds.items()
    ]
    front = f"---\nlicense: {licence}\nlanguage: [en]\n---\n# {name}\n"
    hub.repo(name).write({"README.md": f"{front}{card}\n", "train.jsonl": "\n".join(lines) + "\n"})


def command(folder: Path, url: str, out: str) -> list[str]:
    (folder / "plan.yaml").write_text(PLAN.replace("source: notes", f"source: {NAME}"))
    return [UPCYCLE, "build", INSTRUCTION, "-n", str(ROWS), "--source", f"hub:{NAME}", "--plan",
            str(folder / "plan.yaml"), "-o", str(folder / out), "--base-url", url, "--model", "openai/fake",
            "--batch", "1", "--concurrency", "4"]  # fmt: skip


def table(folder: Path, part: str = "data") -> list[dict[str, Any]]:
    return pq.read_table(folder / part).to_pylist()


def test_a_killed_run_reproduces_the_same_dataset_from_the_pinned_commit(tmp_path: Path, hub: FakeHub):
    commit = hub.repos[NAME].sha
    with FakeServer(latency=0.02) as server:
        with start(command(tmp_path, server.url, "killed")) as process:
            wait_for_kept(process, 15)
            process.kill()
        whole = run(command(tmp_path, server.url, "whole"))
        assert whole.returncode == 0, whole.stderr
        # What the Hub shows by now is another dataset.
        hub.repos[NAME].write({"train.jsonl": '{"text": "Note 1: changed."}\n', "README.md": "# Other"})
        done = run(command(tmp_path, server.url, "killed"))
    assert done.returncode == 0, done.stderr
    assert table(tmp_path / "killed") == table(tmp_path / "whole")
    assert len(table(tmp_path / "killed")) == ROWS
    origins = table(tmp_path / "killed", "provenance")
    assert {(one["source"], one["revision"], tuple(one["licences"])) for one in origins} == {
        (NAME, commit, ("cc-by-4.0",))
    }
    card = (tmp_path / "killed" / "README.md").read_text(encoding="utf-8")
    assert f"| {NAME} | {ROWS} | cc-by-4.0 | {commit[:12]} |" in card
    assert "keeps the notices of cc-by-4.0" in card


def test_a_run_whose_hub_is_away_waits_for_it_and_loses_nothing(tmp_path: Path, hub: FakeHub):
    with FakeServer() as server:
        asked = command(tmp_path, server.url, "run")
        assert run(asked).returncode == 0
        before = table(tmp_path / "run")
        away = run(asked, HF_ENDPOINT="http://127.0.0.1:9")
        assert away.returncode == 2
        assert "cannot be reached" in away.stderr
        assert "run it again when it can" in away.stderr
        assert "Traceback" not in away.stderr
        assert table(tmp_path / "run") == before
        assert run(asked).returncode == 0
    assert table(tmp_path / "run") == before


def build(tmp_path: Path, *more: str) -> int:
    (tmp_path / "shown.jsonl").write_text("".join(json.dumps(one) + "\n" for one in SHOWN))
    return main(["build", ASKED, "-e", str(tmp_path / "shown.jsonl"), "--model", "none", "-n", "40",
                 "-o", str(tmp_path / "run"), *more])  # fmt: skip


def test_the_index_finds_what_a_task_needs_and_the_hub_gives_its_rows(tmp_path: Path, hub: FakeHub, capsys):
    reviews(hub, "owner/films")
    for n in range(40):
        hub.repo(f"other/weather{n}").write({"README.md": f"# Weather {n}\nTemperatures of station {n}.",
                                             "train.csv": f"station,degrees\n{n},3\n{n},4\n"})  # fmt: skip
    reviews(hub, "owner/secret", card="Film reviews that are secret, positive or negative.")
    hub.repos["owner/secret"].gated = "auto"
    build_index(encoder="none")
    hub.counts.clear()
    hub.asked.clear()
    assert build(tmp_path, "--source", "hub") == 0, capsys.readouterr().err
    assert hub.counts["info"] <= 16 + 8  # of 43 only the ones that are ranked first
    assert {one["source"] for one in table(tmp_path / "run")} == {"owner/films"}
    assert {one["revision"] for one in table(tmp_path / "run", "provenance")} == {hub.repos["owner/films"].sha}
    asked = [path for _, path in hub.asked]
    assert not any("owner/secret" in path for path in asked)
    before = table(tmp_path / "run")
    # What the index finds by now is of no matter to this run.
    reviews(hub, "owner/better")
    build_index(encoder="none")
    assert build(tmp_path, "--source", "hub") == 0
    assert table(tmp_path / "run") == before


def test_a_model_says_what_to_look_for_and_orders_what_was_found_and_a_run_that_goes_on_asks_it_no_more(
    tmp_path: Path, hub: FakeHub
):
    for name in ("first", "second", "third"):
        reviews(hub, f"owner/{name}")
    build_index(encoder="none")

    def said(request: Request) -> str:
        text = request.messages[-1]["content"]
        if request.stage == "search":
            return json.dumps({"keyphrases": "film reviews", "description": "Reviews of films with a label."})
        number = re.findall(r'<dataset id="(\d+)">\nowner/second:', text)[0]
        return json.dumps({"ranking": [int(number)]})

    task = make_task(ASKED, demonstrations=[Demonstration(**one) for one in SHOWN])
    model = ScriptedModel(said)
    with Run(tmp_path / "run") as opened:
        sources = asyncio.run(readable(task, make_config({"sources": ["hub"]}), opened, model))
        assert sources[0].card.id == "owner/second"
        assert [one.stage for one in model.requests] == ["search", "rerank"]
        again = asyncio.run(readable(task, make_config({"sources": ["hub"]}), opened, model))
    assert [one.card.id for one in again] == [one.card.id for one in sources]
    assert len(model.requests) == 2


def test_a_server_that_refuses_while_the_index_is_searched_is_one_sentence_and_nothing_began(
    tmp_path: Path, hub: FakeHub, capsys
):
    reviews(hub, "owner/films")
    build_index(encoder="none")
    with FakeServer(key="right") as server:
        model = ("--model", "openai/fake", "--base-url", server.url)
        assert build(tmp_path, "--source", "hub", *model) == 2
    told = capsys.readouterr().err
    assert "401" in told
    assert "Traceback" not in told
    assert not (tmp_path / "run" / "data").exists()


def test_permissive_leaves_out_what_may_not_be_used_by_everybody(tmp_path: Path, hub: FakeHub, capsys):
    reviews(hub, "owner/closed", "cc-by-nc-4.0")
    reviews(hub, "owner/unstated", "unknown")
    reviews(hub, "owner/open", "apache-2.0", "Film reviews with their sentiment.")
    build_index(encoder="none")
    assert build(tmp_path, "--source", "hub", "--licence", "permissive") == 0, capsys.readouterr().err
    assert {one["source"] for one in table(tmp_path / "run")} == {"owner/open"}


def test_without_a_network_what_is_local_is_used_and_it_is_said(tmp_path: Path, hub: FakeHub, capsys, monkeypatch):
    reviews(hub, "owner/films")
    build_index(encoder="none")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "train.jsonl").write_bytes(hub.repos["owner/films"].files["train.jsonl"].content)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert build(tmp_path, "--source", "hub", "--source", str(tmp_path / "films")) == 0
    said = capsys.readouterr()
    assert "left out hub: http://127.0.0.1:9 cannot be reached" in said.err
    assert {one["source"] for one in table(tmp_path / "run")} == {"films"}


CARELESS = [
    (["--source", "hub"], "there is no index in"),
    (["--source", "hub:nobody/nothing"], "nobody/nothing is not there, or not for this token"),
    (["--source", "hub:a b"], "write it like hub:owner/name"),
]


@pytest.mark.parametrize(("flags", "why"), CARELESS, ids=[flags[-1] for flags, _ in CARELESS])
def test_what_cannot_be_opened_is_one_sentence(tmp_path: Path, hub: FakeHub, capsys, flags: list[str], why: str):
    assert build(tmp_path, *flags) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("upcycle:")]
    assert len(said) == 1
    assert why in said[0]


def test_a_dataset_that_vanished_is_left_out_with_the_reason_and_the_others_go_on(tmp_path: Path, hub: FakeHub, capsys):
    reviews(hub, "owner/films")
    reviews(hub, "owner/gone")
    build_index(encoder="none")
    del hub.repos["owner/gone"]
    assert build(tmp_path, "--source", "hub") == 0
    said = capsys.readouterr().err
    assert "left out owner/gone: owner/gone is not there" in said
    assert {one["source"] for one in table(tmp_path / "run")} == {"owner/films"}


def test_plan_shows_a_dataset_of_the_hub_and_build_goes_on_from_it(tmp_path: Path, hub: FakeHub, capsys):
    reviews(hub, "owner/films")
    (tmp_path / "shown.jsonl").write_text("".join(json.dumps(one) + "\n" for one in SHOWN))
    assert main(["plan", ASKED, "-e", str(tmp_path / "shown.jsonl"), "--model", "none", "-n", "40", "-o",
                 str(tmp_path / "run"), "--source", "hub:owner/films"]) == 0  # fmt: skip
    assert "owner/films" in capsys.readouterr().out
    assert build(tmp_path, "--source", "hub:owner/films") == 0


def test_search_ranks_one_dataset_of_the_hub_among_local_ones(tmp_path: Path, hub: FakeHub, capsys):
    reviews(hub, "owner/films")
    assert (
        main(["search", "rate film reviews", "--source", "hub:owner/films", "--source", f"hub:{NAME}", "--json"]) == 0
    )
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert [hit["source"] for hit in hits] == ["owner/films", NAME]


def test_the_page_of_a_build_shows_records_without_asking_the_hub_again(tmp_path: Path, hub: FakeHub, capsys):
    reviews(hub, "owner/films")
    assert build(tmp_path, "--source", "hub:owner/films") == 0
    asked = len(hub.asked)
    assert main(["report", str(tmp_path / "run")]) == 0
    assert len(hub.asked) == asked
    assert "is not asked for again" in capsys.readouterr().out
