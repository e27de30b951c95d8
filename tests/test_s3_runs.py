"""`upcycle build --method s3` as a process: killed and going on, after another method, with a careless user at it."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from s3_world import COMMON, INSTRUCTION, Critic, gold, review, subject_of
from upcycle.llm.model import Request
from upcycle.testing import FakeServer
from whole_runs import UPCYCLE, run, start


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched weights change which checks a build has; here it has those of a machine without any."""
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "cache"))


class Written:
    """The critic behind a server."""

    def __init__(self) -> None:
        self.critic = Critic()

    def __call__(self, request: Request) -> str:
        said = self.critic(request)
        return said if isinstance(said, str) else json.dumps(said)


def write_gold(folder: Path, rows: int = 160) -> Path:
    path = folder / "gold.jsonl"
    path.write_text("".join(json.dumps({"input": g.input, "output": g.output}) + "\n" for g in gold(rows)))
    return path


def command(folder: Path, url: str, rows: int, *more: str) -> list[str]:
    """`upcycle build` into `folder/run`."""
    method = [] if "--method" in more else ["--method", "s3"]
    flags = ["--gold", str(folder / "gold.jsonl"), "-o", str(folder / "run"), "--model", "openai/fake"]
    return [UPCYCLE, "build", INSTRUCTION, "-n", str(rows), *flags, "--base-url", url, *method, *more]


def events_until(process: subprocess.Popen[str], stage: str, kind: str, **wanted: Any) -> list[dict[str, Any]]:
    """The events a process tells, up to one of this kind with these fields."""
    assert process.stderr is not None
    seen: list[dict[str, Any]] = []
    for line in process.stderr:
        seen.append(json.loads(line))
        one = seen[-1]
        if (one["stage"], one["kind"]) == (stage, kind) and all(one.get(key) == value for key, value in wanted.items()):
            return seen
    raise AssertionError(f"the process ended before {stage} {kind} {wanted}; it told {seen[-3:]}")


def kept(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "run" / "data").to_pylist()


def provenance(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "run" / "provenance").to_pylist()


def facts_of(page: Path) -> dict[str, Any]:
    """The facts a report's page holds."""
    found = re.search(r'id="data-facts">([^<]+)<', page.read_text())
    assert found is not None
    return json.loads(zlib.decompress(base64.b64decode(found[1])))


def trained(said: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [one for one in found if (one["stage"], one["kind"]) == ("s3", "trained")]


def test_killed_in_round_two_it_goes_on_there_and_pays_and_trains_nothing_twice(tmp_path: Path):
    write_gold(tmp_path)
    (tmp_path / "task.yaml").write_text(
        f"instruction: {INSTRUCTION}\ngold: gold.jsonl\nrows: 150\nmethods: {{s3: {{gate: off}}}}\n"
    )
    with FakeServer(Written(), latency=0.02) as server:
        asked = [UPCYCLE, "build", str(tmp_path / "task.yaml"), "-o", str(tmp_path / "run"), "--concurrency", "4",
                 "--model", "openai/fake", "--base-url", server.url]  # fmt: skip
        with start(asked) as process:
            events_until(process, "s3", "mined", round=2)
            paid_before = server.stats()["paid"]
            process.kill()
        assert process.returncode == -signal.SIGKILL
        done = run([*asked, "--json"])
        counted = server.stats()
    assert done.returncode in (0, 1), done.stderr
    known = [one["known"] for one in trained(done.stderr)]
    assert known[:2] == [True, True]
    assert known[2] is False
    assert counted["paid_twice"] <= 4
    assert counted["paid"] > paid_before
    assert {one["round"] for one in provenance(tmp_path)} == {0, 1, 2}
    assert len({one["id"] for one in kept(tmp_path)}) == len(kept(tmp_path))


def test_run_again_when_done_it_asks_nothing_and_writes_the_same(tmp_path: Path):
    write_gold(tmp_path)
    with FakeServer(Written()) as server:
        asked = command(tmp_path, server.url, 60, "--rounds", "1")
        assert run(asked).returncode in (0, 1)
        before, paid = kept(tmp_path), server.stats()["paid"]
        assert run(asked).returncode in (0, 1)
        assert server.stats()["paid"] == paid
    assert kept(tmp_path) == before


def test_after_another_method_it_starts_from_what_that_made(tmp_path: Path):
    write_gold(tmp_path)
    rows = [{"text": review(label, n % COMMON, n), "sentiment": label}
            for n in range(200) for label in ("negative", "positive")]  # fmt: skip
    (tmp_path / "shop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "plan.yaml").write_text('source: shop\ninput: "{text}"\noutput: "{sentiment}"\n')
    with FakeServer(Written()) as server:
        sources = ["--source", str(tmp_path / "shop.jsonl"), "--plan", str(tmp_path / "plan.yaml")]
        both = ["--method", "datatune,s3", "--mix", "60:40", *sources]
        done = run(command(tmp_path, server.url, 150, *both, "--json"))
    assert done.returncode in (0, 1), done.stderr
    by_method = Counter(one["method"] for one in kept(tmp_path))
    assert by_method["datatune"] >= 90
    assert by_method["s3"] >= 30
    facts = json.loads((tmp_path / "run" / "s3" / "rounds.json").read_text())
    assert facts["first"]["rows"] == 90
    first = facts["rounds"][0]
    assert first["kept"]
    rounds = {one["id"]: one["round"] for one in provenance(tmp_path)}
    subjects = {subject_of(one["input"]) for one in kept(tmp_path) if rounds[one["id"]] == 1}
    assert subjects - set(range(COMMON))


def test_the_page_the_card_and_the_terminal_tell_of_the_rounds(tmp_path: Path):
    write_gold(tmp_path)
    with FakeServer(Written()) as server:
        done = run(command(tmp_path, server.url, 120))
    written = next(one for one in provenance(tmp_path) if one["round"] == 1)
    why = run([UPCYCLE, "why", str(tmp_path / "run"), written["id"]]).stdout
    assert f"s3 round 1, from {written['parents'][0]}" in why
    said = done.stderr
    assert "errors on gold" in said
    assert "% on the select rows" in said
    assert "95 % interval" in said
    assert "exclude" in said
    dataset = facts_of(tmp_path / "run" / "report.html")["datasets"][0]
    assert dataset["s3"]["rounds"][0]["clusters"]
    assert dataset["s3"]["table"]
    assert "still got wrong" in (tmp_path / "run" / "README.md").read_text()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--rationales", "many"], "--rationales 'many' is neither a number nor off"),
        (["--rounds", "0"], "methods.s3.rounds"),
        (["--method", "generate", "--rounds", "2"], "--rounds is a setting of s3; give --method s3 too"),
        (["--method", "s3,s3"], "--method names s3 twice"),
        (["--method", "generate", "--student", "minilm"], "--student is a setting of s3; give --method s3 too"),
    ],
)
def test_a_flag_that_cannot_be_is_one_sentence(tmp_path: Path, flags: Sequence[str], said: str):
    write_gold(tmp_path)
    done = run(command(tmp_path, "http://127.0.0.1:9", 20, *flags))
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("student", "said"),
    [
        ("nonesuch", "student 'nonesuch' is not there; give tfidf,"),
        ("minilm", "the weights of student 'minilm' are not on this machine; run `upcycle models fetch minilm`"),
    ],
)
def test_a_student_that_is_not_there_is_told_before_anything_is_paid(tmp_path: Path, student: str, said: str):
    pytest.importorskip("torch", reason="needs upcycle[train]", exc_type=ImportError)
    write_gold(tmp_path)
    with FakeServer(Written()) as server:
        done = run(command(tmp_path, server.url, 20, "--student", student))
        assert server.stats()["paid"] == 0
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_without_gold_nothing_begins(tmp_path: Path):
    with FakeServer(Written()) as server:
        asked = [UPCYCLE, "build", INSTRUCTION, "--method", "s3", "-o", str(tmp_path / "run"), "--model", "openai/fake"]
        done = run([*asked, "--base-url", server.url])
        assert server.stats()["paid"] == 0
    assert done.returncode == 2
    assert "give labelled rows with --gold" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_model_nothing_begins(tmp_path: Path):
    write_gold(tmp_path)
    done = run([UPCYCLE, "build", INSTRUCTION, "--method", "s3", "--gold", str(tmp_path / "gold.jsonl"), "--model",
                "none", "-o", str(tmp_path / "run")])  # fmt: skip
    assert done.returncode == 2
    assert "s3 has a model write examples, and there is none" in done.stderr


def test_ctrl_c_while_the_student_is_trained_leaves_a_run_that_goes_on(tmp_path: Path):
    write_gold(tmp_path)
    with FakeServer(Written()) as server:
        asked = command(tmp_path, server.url, 90)
        with start(asked) as process:
            events_until(process, "s3", "training", round=0)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in said
        done = run(asked)
        assert server.stats()["paid_twice"] <= 2
    assert done.returncode in (0, 1), done.stderr


def test_the_switches_of_the_task_file_are_those_of_the_flags(tmp_path: Path):
    write_gold(tmp_path)
    (tmp_path / "task.yaml").write_text(
        f"instruction: {INSTRUCTION}\ngold: gold.jsonl\nrows: 30\nmethods:\n"
        "  s3: {rationales: off, extrapolate: off, rounds: 1}\n"
    )
    with FakeServer(Written()) as server:
        asked = [UPCYCLE, "build", str(tmp_path / "task.yaml"), "-o", str(tmp_path / "run"), "--model", "openai/fake"]
        done = run([*asked, "--base-url", server.url, "--json"])
        prompts = [request.messages[-1]["content"] for request in server.requests]
    assert done.returncode == 0, done.stderr
    assert len(kept(tmp_path)) == 30
    assert not [one for one in prompts if "reasons" in one or "gets this input wrong" in one]
