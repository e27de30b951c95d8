"""Methods mixed by share: exact counts, one set of checks, others fill up, a killed run goes on to the same rows."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import upcycle
from upcycle.errors import ConfigError, ProviderError, SourceError
from upcycle.llm.model import Request
from upcycle.methods.mix import mix
from upcycle.records import Dropped, Example, Origin
from upcycle.run import Run
from upcycle.testing import FakeServer
from whole_runs import UPCYCLE, kept, run, start, wait_for_kept
from written_rows import asked, is_topics, scribe, words

INSTRUCTION = "Turn the statement into a question."
DEMOS = [
    {"input": "Somebody is at the door.", "output": "Who is at the door?"},
    {"input": "It is late.", "output": "Is it late?"},
]
PLAN = 'source: statements\nsteps: []\ninput: "{statement}"\noutput: "{question}"\n'
PAID_PLAN = """\
source: statements
steps:
- {do: llm, into: asked, fields: [statement], ask: Turn it into a question.}
input: "{statement}"
output: "{asked}"
"""


def write_inputs(folder: Path, count: int, plan: str = PLAN) -> None:
    """So many statements with their questions, and a plan that takes them as they are."""
    lines = [{"statement": f"{words(('s', n))}.", "question": f"{words(('q', n))}?"} for n in range(count)]
    (folder / "statements.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (folder / "plan.yaml").write_text(plan)
    (folder / "demos.jsonl").write_text("\n".join(map(json.dumps, DEMOS)) + "\n")


def command(folder: Path, url: str, rows: int, *more: str, out: str = "run") -> list[str]:
    """`upcycle build` with both methods, the planning of one of them done."""
    flags = ["-e", str(folder / "demos.jsonl"), "--source", str(folder / "statements.jsonl")]
    plan = [] if "--plan" in more else ["--plan", str(folder / "plan.yaml")]
    method = [] if "--method" in more else ["--method", "datatune,generate"]
    asked = [UPCYCLE, "build", INSTRUCTION, "-n", str(rows), *flags, *plan, *method, "-o", str(folder / out)]
    return [*asked, "--model", "openai/fake", "--base-url", url, *more]


def by_method(folder: Path) -> dict[str, int]:
    return dict(Counter(row["method"] for row in kept(folder)))


def dropped(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "run" / "dropped").to_pylist()


@pytest.mark.parametrize(
    ("shares", "counts"),
    [([], (30, 30)), (["--mix", "50:50"], (30, 30)), (["--mix", "75:25"], (45, 15)), (["--mix", "1:2"], (20, 40))],
)
def test_the_dataset_holds_exactly_the_shares(tmp_path: Path, shares: list[str], counts: tuple[int, int]):
    write_inputs(tmp_path, 200)
    with FakeServer(scribe) as server:
        done = run(command(tmp_path, server.url, 60, *shares))
        assert server.stats()["paid"] == 1 + counts[1] // 5, "topics, and five rows a call, none in vain"
    assert done.returncode == 0, done.stderr
    assert by_method(tmp_path) == {"datatune": counts[0], "generate": counts[1]}
    assert f"methods  datatune {counts[0]}, generate {counts[1]}" in done.stdout
    card = (tmp_path / "run/README.md").read_text()
    assert f"out of existing datasets ({counts[0]}) and written from nothing by a model ({counts[1]})" in card


def test_duplicates_are_found_across_methods(tmp_path: Path):
    write_inputs(tmp_path, 300)
    lines = [json.loads(line) for line in (tmp_path / "statements.jsonl").read_text().splitlines()]

    def copying(request: Request) -> str:
        if is_topics(request):
            return scribe(request)
        rows = json.loads(scribe(request))
        copied = lines[request.sample]
        return json.dumps({**rows, "1": {"input": copied["statement"].upper(), "output": copied["question"]}})

    with FakeServer(copying) as server:
        done = run(command(tmp_path, server.url, 380, "--mix", "190:190"))
    assert done.returncode == 0, done.stderr
    assert by_method(tmp_path) == {"datatune": 190, "generate": 190}
    doubles = [row for row in dropped(tmp_path) if row["kind"] == "duplicate"]
    ids = {row["id"] for row in kept(tmp_path)}
    assert {row["method"] for row in doubles} == {"datatune", "generate"}, "whichever came second is dropped"
    assert all(row["other"] in ids for row in doubles)
    inputs = [row["input"].lower() for row in kept(tmp_path)]
    assert len(set(inputs)) == len(inputs)


def test_where_one_method_ends_the_other_fills_up_and_it_is_said(tmp_path: Path):
    write_inputs(tmp_path, 12)
    with FakeServer(scribe) as server:
        done = run(command(tmp_path, server.url, 60))
    assert done.returncode == 0, done.stderr
    assert by_method(tmp_path) == {"datatune": 12, "generate": 48}
    assert "datatune ended at 12 of its 30 examples; the others fill up" in done.stderr


def test_where_generation_saturates_transforming_fills_up(tmp_path: Path):
    write_inputs(tmp_path, 200)

    def saturated(request: Request) -> str:
        if is_topics(request):
            return scribe(request)
        return json.dumps({key: {"input": words(key), "output": words((key, "?"))} for key in asked(request)})

    with FakeServer(saturated) as server:
        done = run(command(tmp_path, server.url, 100))
        assert server.stats()["paid"] < 40
    assert done.returncode == 0, done.stderr
    assert by_method(tmp_path) == {"datatune": 95, "generate": 5}
    assert "generate stopped: of the last 60 rows written only 5 were new" in done.stderr


def test_where_both_end_the_reason_of_each_is_told(tmp_path: Path):
    write_inputs(tmp_path, 10)
    with FakeServer(lambda request: scribe(request) if is_topics(request) else "no") as server:
        done = run(command(tmp_path, server.url, 50))
    assert done.returncode == 1
    assert "every source that fits is exhausted; generate ended: 6 calls in a row brought no usable row" in done.stdout
    assert by_method(tmp_path) == {"datatune": 10}


def test_where_no_source_fits_the_other_method_makes_all(tmp_path: Path):
    write_inputs(tmp_path, 10)
    (tmp_path / "statements.jsonl").write_text('{"number": 1}\n{"number": 2}\n')

    def refusing(request: Request) -> str:
        text = request.messages[0]["content"] + request.messages[-1]["content"]
        return scribe(request) if is_topics(request) or "Each row asked for below" in text else "none"

    with FakeServer(refusing) as server:
        asking = command(tmp_path, server.url, 20)
        place = asking.index("--plan")
        done = run([*asking[:place], *asking[place + 2 :]])
    assert done.returncode == 0, done.stderr
    assert by_method(tmp_path) == {"generate": 20}


def test_the_rows_are_the_same_at_any_concurrency(tmp_path: Path):
    write_inputs(tmp_path, 200)
    made = []
    with FakeServer(scribe, latency=0.002) as server:
        for concurrency in ("1", "40"):
            out = f"run{concurrency}"
            assert run(command(tmp_path, server.url, 80, "--concurrency", concurrency, out=out)).returncode == 0
            made.append(pq.read_table(tmp_path / out / "data").to_pylist())
    assert made[0] == made[1]


@pytest.mark.parametrize("plan", [PLAN, PAID_PLAN], ids=["free", "paid"])
def test_after_kill_9_the_same_command_makes_the_rows_an_unbroken_run_makes(tmp_path: Path, plan: str):
    rows = 400
    write_inputs(tmp_path, 300, plan)
    with FakeServer(_both) as server:
        assert run(command(tmp_path, server.url, rows, out="whole")).returncode == 0
        distinct = server.stats()["distinct"]
    with FakeServer(_both, latency=0.1) as server:
        asking = command(tmp_path, server.url, rows, "--concurrency", "8")
        with start(asking) as process:
            wait_for_kept(process, 40)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert server.stats()["distinct"] < distinct
        done = run(asking)
        counted = server.stats()
    assert done.returncode == 0, done.stderr
    whole = pq.read_table(tmp_path / "whole" / "data").to_pylist()
    assert by_method(tmp_path) == {"datatune": rows // 2, "generate": rows // 2}
    assert sorted(kept(tmp_path), key=_id) == sorted(whole, key=_id)
    assert counted["distinct"] == distinct, "nothing was asked that the unbroken run did not ask"
    assert counted["paid_twice"] <= 8


def _id(row: dict[str, Any]) -> str:
    return row["id"]


def _both(request: Request) -> str:
    """Writes rows for the one method, and a value a record for the other."""
    records = re.findall(r'<record id="(\d+)">(.*)</record>', request.messages[-1]["content"])
    answers = {key: {"asked": words(record, 5) + "?"} for key, record in records}
    return json.dumps(answers) if answers else scribe(request)


def test_more_rows_go_on_with_the_rows_there_were(tmp_path: Path):
    write_inputs(tmp_path, 200)
    with FakeServer(scribe) as server:
        assert run(command(tmp_path, server.url, 40)).returncode == 0
        first = {row["id"] for row in kept(tmp_path)}
        assert run(command(tmp_path, server.url, 100)).returncode == 0
        assert server.stats()["paid_twice"] == 0
    assert first < {row["id"] for row in kept(tmp_path)}
    assert by_method(tmp_path) == {"datatune": 50, "generate": 50}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--method", "datatune,generate", "--mix", "50"], "not one share above 0 for each of datatune, generate"),
        (["--method", "datatune,generate", "--mix", "50:0"], "not one share above 0 for each of datatune, generate"),
        (["--method", "datatune,generate", "--mix", "half:half"], "write it like 50:50"),
        (["--method", "generate,generate"], "--method names generate twice"),
        (["--method", ""], "method '' is not there"),
        (["--method", "dataturn"], "method 'dataturn' is not there; known methods: datatune, generate"),
        (["--method", "generate"], "--plan is a setting of datatune, which --method leaves out"),
    ],
)
def test_wrong_flags_are_one_sentence_and_nothing_begins(tmp_path: Path, flags: list[str], said: str):
    write_inputs(tmp_path, 5)
    done = run(command(tmp_path, "http://127.0.0.1:9/v1", 5, *flags))
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_mix_without_its_methods_is_one_sentence(tmp_path: Path):
    write_inputs(tmp_path, 5)
    asking = command(tmp_path, "http://127.0.0.1:9/v1", 5, "--mix", "50:50")
    place = asking.index("--method")
    done = run([*asking[:place], *asking[place + 2 :]])
    assert (done.returncode, "give --method datatune,generate too" in done.stderr) == (2, True)


async def test_a_mix_with_no_model_to_write_is_refused_before_anything_begins(tmp_path: Path):
    write_inputs(tmp_path, 50)
    methods = {"datatune": {"plan": str(tmp_path / "plan.yaml")}, "generate": {}}
    with pytest.raises(ConfigError, match="leave generate out of --method"):
        await upcycle.build(INSTRUCTION, examples=DEMOS, rows=10, out=tmp_path / "run", methods=methods, model="none",
                            sources=(str(tmp_path / "statements.jsonl"),))  # fmt: skip
    assert not (tmp_path / "run/data").exists()


def test_a_task_file_names_methods_with_their_settings_and_flags_win_key_by_key(tmp_path: Path):
    from upcycle.api import resolve

    text = f"instruction: {INSTRUCTION}\nmethods: {{generate: {{per_call: 3, share: 20}}, datatune: {{votes: 5}}}}\n"
    (tmp_path / "task.yaml").write_text(text)
    _, config = resolve(tmp_path / "task.yaml", methods={"generate": {"share": 70}})
    assert config.methods.generate is not None
    assert (config.methods.generate.per_call, config.methods.generate.share) == (3, 70)
    assert config.methods.datatune is not None
    assert config.methods.datatune.votes == 5
    _, config = resolve(tmp_path / "task.yaml", methods={"datatune": None, "generate": {}})
    assert list(config.methods.named()) == ["generate"]
    (tmp_path / "task.yaml").write_text(f"instruction: {INSTRUCTION}\nmethods: [generate]\n")
    _, config = resolve(tmp_path / "task.yaml")
    assert list(config.methods.named()) == ["generate"]
    with pytest.raises(ConfigError, match="name a method; known methods: datatune, generate"):
        resolve(INSTRUCTION, methods={"datatune": None})


# -- the mixing itself -------------------------------------------------------------------------------------------------


def example(name: str, number: int) -> Example:
    return Example(f"{name}{number}", f"{name} {number}", "out", Origin(method=name))


def method(name: str, count: int, *, started: list[str] | None = None) -> Callable[..., Any]:
    """A method that can make so many examples, with a drop after each."""

    async def results(needed: Callable[[], int]) -> AsyncGenerator[Example | Dropped, None]:
        for number in range(count):
            assert needed() > 0, "asked for what nobody wants"
            if started is not None:
                started.append(name)
            await asyncio.sleep(0)
            yield example(name, number)
            yield Dropped(f"d{number}", Origin(method=name), "s", upcycle.errors.RowKind.SKIPPED, "why")

    return results


async def mixed(folder: Path, wanted: int, **methods: tuple[float, Any]) -> tuple[list[str], Run]:
    with Run(folder) as run:
        stream = mix(methods, wanted=wanted, run=run)
        names = [result.origin.method async for result in stream if isinstance(result, Example)]
    return names, run


async def test_each_beginning_of_a_mix_has_its_shares(tmp_path: Path):
    names, _ = await mixed(tmp_path, 120, a=(50, method("a", 500)), b=(30, method("b", 500)), c=(20, method("c", 500)))
    for end in range(1, 121):
        for name, share in (("a", 0.5), ("b", 0.3), ("c", 0.2)):
            assert abs(names[:end].count(name) - share * end) <= 1
    assert Counter(names) == {"a": 60, "b": 36, "c": 24}


async def test_nothing_is_begun_beyond_a_methods_share(tmp_path: Path):
    started: list[str] = []
    await mixed(tmp_path, 10, a=(1, method("a", 99, started=started)), b=(1, method("b", 99, started=started)))
    assert Counter(started) == {"a": 5, "b": 5}


async def test_what_two_methods_leave_the_third_makes(tmp_path: Path):
    names, _ = await mixed(tmp_path, 30, a=(1, method("a", 2)), b=(1, method("b", 4)), c=(1, method("c", 99)))
    assert Counter(names) == {"a": 2, "b": 4, "c": 24}


async def test_uneven_numbers_still_sum_to_what_is_wanted(tmp_path: Path):
    for wanted in (1, 2, 7, 100):
        parts = {name: (share, method(name, 999)) for name, share in (("a", 1.0), ("b", 1.0), ("c", 1.1))}
        names, _ = await mixed(tmp_path / str(wanted), wanted, **parts)
        assert len(names) == wanted


async def test_when_one_method_ends_the_run_what_another_has_under_way_is_kept(tmp_path: Path):
    async def fails(needed: Callable[[], int]) -> AsyncGenerator[Example | Dropped, None]:
        yield example("fails", 0)
        raise ProviderError("the server refused the key")

    async def ahead(needed: Callable[[], int]) -> AsyncGenerator[Example | Dropped, None]:
        for number in range(3):  # three under way, whatever is needed by now
            yield example("ahead", number)
        assert needed() == 0

    names: list[str] = []

    async def collect(run: Run) -> None:
        async for result in mix({"fails": (1, fails), "ahead": (1, ahead)}, wanted=50, run=run):
            names.append(result.origin.method)  # noqa: PERF401 - what came before the error is what counts

    with Run(tmp_path) as run, pytest.raises(ProviderError, match="refused the key"):
        await collect(run)
    assert names == ["fails", "ahead", "ahead", "ahead"]


async def test_no_source_for_one_method_is_an_error_only_where_no_other_makes_anything(tmp_path: Path):
    async def none(needed: Callable[[], int]) -> AsyncGenerator[Example | Dropped, None]:
        raise SourceError("no source fits the task")
        yield

    names, run = await mixed(tmp_path / "a", 10, none=(1, none), b=(1, method("b", 99)))
    assert names == ["b"] * 10
    assert run.ended == {"none": "no source fits the task"}
    for number, others in enumerate(({}, {"b": (1, method("b", 0))})):
        with pytest.raises(SourceError, match="no source fits"):
            await mixed(tmp_path / str(number), 10, none=(1, none), **others)
