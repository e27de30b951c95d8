"""Plain generation: the grid is drawn in code, every row is judged alone, and every loop ends.

The second half holds what the generator of neural prompt-to-model tools is known to do wrong, each as a test that ours
does not.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest

import upcycle
from upcycle.config import Generate
from upcycle.curation.checks import checks_for
from upcycle.errors import ConfigError, ProviderError, RowKind
from upcycle.llm.model import Completion, Model, Request, Usage
from upcycle.llm.roles import Roles
from upcycle.methods.generate import GRID_FILE, generate
from upcycle.methods.generate.avoid import Avoid
from upcycle.methods.generate.ending import BAD_CALLS
from upcycle.methods.generate.form import form_of
from upcycle.methods.generate.grid import Cell, Grid, lengths, schedule
from upcycle.records import Dropped, Example, Verdict
from upcycle.run import Run
from upcycle.task import Demonstration, Task, make_task
from upcycle.testing import FakeServer, FlakyModel, RefusalError, ScriptedModel
from written_rows import (
    INSTRUCTION,
    REVIEWS,
    asked,
    is_topics,
    plain,
    questions,
    reviews,
    row,
    scribe,
    spoiled,
    topics,
    words,
)

Results = list[Example | Dropped]


async def written(
    model: Model | Callable[[Request], Any],
    rows: int,
    folder: Path,
    *,
    task: Task | None = None,
    planner: Model | None = None,
    check: Any = None,
    seed: int = 0,
    at_once: int = 8,
    **settings: Any,
) -> Results:
    """What the method gives until so many rows are kept or it ends."""
    task = task or reviews()
    model = model if isinstance(model, Model) else ScriptedModel(model)
    results: Results = []
    with Run(folder) as run:
        stream = generate(
            task,
            Generate(**settings),
            models=Roles(planner or model, model),
            run=run,
            check=check or checks_for(task),
            needed=lambda: rows - len(kept(results)),
            seed=seed,
            at_once=at_once,
        )
        results.extend([result async for result in _into(stream, results)])
    return results


async def _into(stream: Any, results: Results) -> Any:
    # `needed` must see every result before the stream goes on, so they are put into the list here.
    async for result in stream:
        results.append(result)
    return
    yield


def kept(results: Results) -> list[Example]:
    return [result for result in results if isinstance(result, Example)]


def lost(results: Results) -> list[Dropped]:
    return [result for result in results if isinstance(result, Dropped)]


def writing(model: ScriptedModel) -> list[Request]:
    return [request for request in model.requests if not is_topics(request)]


def reason(folder: Path) -> str:
    """Why the method stopped, as the run's events tell it."""
    import sqlite3

    db = sqlite3.connect(folder / "run.db")
    found = db.execute("SELECT data FROM events WHERE stage='generate' AND kind='stopped'").fetchall()
    db.close()
    assert len(found) == 1
    return json.loads(found[0][0])["reason"]


# -- what is drawn -----------------------------------------------------------------------------------------------------


async def test_labels_are_drawn_in_code_and_are_balanced(tmp_path: Path):
    results = await written(scribe, 100, tmp_path)
    assert Counter(example.output for example in kept(results)) == {"positive": 50, "negative": 50}


async def test_labels_follow_the_shares_that_are_asked_for(tmp_path: Path):
    results = await written(scribe, 200, tmp_path, labels={"positive": 80, "negative": 20})
    assert Counter(example.output for example in kept(results)) == {"positive": 160, "negative": 40}


async def test_a_label_nobody_knows_is_refused_before_anything_is_sent(tmp_path: Path):
    model = ScriptedModel(scribe)
    with pytest.raises(ConfigError, match="labels names 'meh', which is no possible output; one of positive, negative"):
        await written(model, 10, tmp_path, labels={"meh": 1})
    with pytest.raises(ConfigError, match="needs a closed set of outputs"):
        await written(model, 10, tmp_path, task=plain(), labels={"meh": 1})
    assert model.requests == []


async def test_correct_options_stand_at_every_place_alike(tmp_path: Path):
    results = kept(await written(scribe, 300, tmp_path, task=questions()))
    assert all(example.choices and example.output in example.choices for example in results)
    places = Counter(example.choices.index(example.output) for example in results if example.choices)
    assert sum((places[place] - 100) ** 2 / 100 for place in range(3)) < 9.21, "chi-square, p > 0.01"
    assert all(example.input.endswith("\n".join(f"choice: {one}" for one in example.choices or ()))
               for example in results)  # fmt: skip


async def test_where_all_demonstrations_list_the_same_options_the_right_one_is_drawn(tmp_path: Path):
    shown = [("Is fire cold?\nchoice: yes\nchoice: no", "no"), ("Is ice cold?\nchoice: no\nchoice: yes", "yes")]
    task = make_task("Answer yes or no.", demonstrations=[Demonstration(input=i, output=o) for i, o in shown])
    model = ScriptedModel(scribe)
    results = kept(await written(model, 80, tmp_path, task=task))
    assert Counter(example.output for example in results) == {"yes": 40, "no": 40}
    assert {frozenset(example.choices or ()) for example in results} == {frozenset({"yes", "no"})}
    assert {example.input.splitlines()[1] for example in results} == {"choice: yes", "choice: no"}
    assert all("wrong" not in str(request.schema) for request in model.requests)


async def test_a_rationale_is_asked_for_where_every_demonstration_has_one(tmp_path: Path):
    demos = [Demonstration(input=i, output=o, rationale="Because of its tone.") for i, o in REVIEWS]
    task = make_task(INSTRUCTION, demonstrations=demos)
    reply = spoiled(lambda rows, _: {key: {**one, "reasoning": f"thus {key}"} for key, one in rows.items()})
    results = kept(await written(reply, 5, tmp_path, task=task))
    assert [example.rationale for example in results] == [f"thus {n}" for n in range(1, 6)]


async def test_the_grid_is_a_file_people_can_read(tmp_path: Path):
    await written(scribe, 5, tmp_path)
    text = (tmp_path / GRID_FILE).read_text()
    assert "- subject 11" in text
    assert "difficulty:" in text
    assert "positive: 1.0" in text


async def test_axes_of_the_user_are_used_and_replace_ours(tmp_path: Path):
    model = ScriptedModel(scribe)
    own = {"topic": ("trains", "bread"), "mood": ("angry",), "difficulty": ("plain",)}
    results = kept(await written(model, 20, tmp_path, attributes=own))
    assert not any(is_topics(request) for request in model.requests), "topics are given, so nobody is asked for any"
    cells = [example.origin.record or "" for example in results]
    assert all("mood: angry" in cell and "difficulty: plain" in cell for cell in cells)
    assert Counter("trains" in cell for cell in cells) == {True: 10, False: 10}


@pytest.mark.parametrize("said", ["no JSON at all", json.dumps({"topics": [], "styles": []})])
async def test_topics_are_words_of_the_task_where_the_planner_names_none(tmp_path: Path, said: str):
    planner = ScriptedModel(lambda _: said)
    await written(scribe, 10, tmp_path, planner=planner)
    text = (tmp_path / GRID_FILE).read_text()
    assert "- delight" in text
    assert "- twenty" in text
    assert len(planner.requests) <= 2


def test_counts_never_stray_from_their_shares():
    drawn = list(islice(schedule({"a": 5, "b": 3, "c": 2}, Random(1)), 1000))
    assert Counter(drawn) == {"a": 500, "b": 300, "c": 200}
    for start in range(0, 1000, 20):
        assert Counter(drawn[start : start + 20]) == {"a": 10, "b": 6, "c": 4}
    assert drawn[:20] != drawn[20:40], "in drawn order, not in turn"


def test_cells_are_the_same_for_the_same_seed_and_others_for_another():
    form = form_of(questions(), Generate())
    axes = {"topic": [f"t{n}" for n in range(9)], "length": ["short", "long"]}
    first, again, other = (list(islice(Grid(axes, form, seed).cells(), 60)) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    assert {cell.options for cell in first} == {3}


def test_lengths_are_taken_from_the_demonstrations():
    assert lengths(["one two three four five six seven eight nine ten"] * 2, code=False) == (
        "about 7 words", "about 10 words", "about 13 words",
    )  # fmt: skip
    assert lengths(["def f():\n    return 1\n"] * 2, code=True) == ("about 2 lines", "about 3 lines", "about 4 lines")
    assert lengths([], code=False) == ("short", "of middling length", "long")


# -- earlier inputs, order, and going on -------------------------------------------------------------------------------


async def test_later_prompts_show_earlier_inputs_of_their_topics_within_bounds(tmp_path: Path):
    model = ScriptedModel(scribe)
    results = kept(await written(model, 400, tmp_path, avoid=500))
    topic_of = {example.input: (example.origin.record or "").split(";")[0].split("topic: ")[1] for example in results}
    showing = 0
    for request in writing(model):
        text = request.messages[-1]["content"]
        listed = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]
        wanted = {wish.split(";")[0].removeprefix("topic: ") for wish in asked(request).values()}
        showing += bool(listed)
        assert sum(map(len, listed)) <= 500
        assert {topic_of[one] for one in listed if one in topic_of} <= wanted
    assert showing > len(writing(model)) / 2


def test_of_earlier_inputs_the_most_repeated_are_shown_and_of_near_copies_one():
    avoid, cell = Avoid(60), Cell(0, {"topic": "sea"})
    for text in ("The gulls cry.", "A boat comes home at night.", "A boat came home at night.", "Salt."):
        avoid.add(cell, text)
    shown = avoid.shown([cell])
    assert shown[0] in ("A boat comes home at night.", "A boat came home at night.")
    assert sum("boat" in text for text in shown) == 1
    assert avoid.shown([Cell(1, {"topic": "land"})]) == []


async def test_prompts_and_rows_are_the_same_at_any_concurrency(tmp_path: Path):
    async def slow(request: Request) -> Completion:
        for _ in range(request.sample % 7):
            await asyncio.sleep(0)
        return Completion(scribe(request), Usage(1, 1))

    outcomes, prompts = [], []
    for at_once in (1, 3, 64):
        asking: dict[int, str] = {}

        class Slow:
            name = endpoint = "slow"

            async def complete(self, request: Request, seen: dict[int, str] = asking) -> Completion:
                if not is_topics(request):
                    seen[request.sample] = request.messages[-1]["content"]
                return await slow(request)

            async def close(self) -> None: ...

        results = await written(Slow(), 150, tmp_path / str(at_once), at_once=at_once)
        outcomes.append([(example.id, example.input) for example in kept(results)])
        prompts.append(asking)
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert prompts[0] == prompts[1] == prompts[2]


async def build(server: FakeServer, out: Path, rows: int, **more: Any) -> upcycle.Report:
    return await upcycle.build(
        INSTRUCTION, examples=REVIEWS, rows=rows, out=out, methods={"generate": more.pop("generate", {})},
        model={**dict.fromkeys(("planner", "executor", "judge"), "openai/fake"), "base_url": server.url}, **more,
    )  # fmt: skip


def rows_of(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "data").to_pylist()


async def test_more_rows_go_on_and_pay_only_for_those(tmp_path: Path):
    async with FakeServer(scribe) as server:
        first = await build(server, tmp_path / "run", 23)
        paid = server.stats()["paid"]
        before = {row["id"]: row["input"] for row in rows_of(tmp_path / "run")}
        more = await build(server, tmp_path / "run", 60, concurrency=3)
        assert server.stats()["paid_twice"] == 0
        assert paid == 1 + 5, "topics, and five rows a call"
        assert server.stats()["paid"] == 1 + 12
    after = {row["id"]: row["input"] for row in rows_of(tmp_path / "run")}
    assert (first.kept, more.kept, more.methods) == (23, 60, {"generate": 60})
    assert before.items() <= after.items()


async def test_a_call_that_failed_is_left_alone_until_retry_and_then_changes_no_other_prompt(tmp_path: Path):
    mended = False

    def reply(request: Request) -> str:
        if request.sample == 3 and not is_topics(request) and not mended:
            raise RefusalError(400, "flagged by the moderation of this server")
        return scribe(request)

    async with FakeServer(reply) as server:
        await build(server, tmp_path / "run", 150)
        refused, paid = server.stats()["statuses"]["400"], server.stats()["paid"]
        await build(server, tmp_path / "run", 150)
        assert (server.stats()["statuses"]["400"], server.stats()["paid"]) == (refused, paid), "nothing asked again"
        mended = True
        assert upcycle.retry(tmp_path / "run") == 5
        report = await build(server, tmp_path / "run", 150)
        assert server.stats()["paid"] == paid + 1, "only the call that failed"
    assert report.kept == 150


async def test_what_came_back_beside_a_call_that_ended_the_run_is_kept(tmp_path: Path):
    async with FakeServer(scribe) as server:
        report = await build(server, tmp_path / "run", 200, budget="12calls")
        assert server.stats()["paid"] == 12
        assert "budget" in report.stopped
        assert report.kept == 5 * 11, "all that was paid for but the topics"
        report = await build(server, tmp_path / "run", 200)
        assert (report.kept, server.stats()["paid"]) == (200, 1 + 40)


async def test_without_a_model_it_says_in_a_sentence_what_to_give(tmp_path: Path):
    with pytest.raises(ConfigError, match="name one with --model, or leave generate out"):
        await upcycle.build(
            INSTRUCTION, examples=REVIEWS, rows=5, out=tmp_path / "run", methods={"generate": {}}, model="none"
        )


async def test_costs_of_rows_add_up_to_the_cost_of_the_calls(tmp_path: Path):
    def reply(rows: dict[str, Any], request: Request) -> Any:
        return {key: one for key, one in rows.items() if key != "2" or "(earlier" in request.messages[-1]["content"]}

    async with FakeServer(spoiled(reply)) as server:
        report = await build(server, tmp_path / "run", 20)
        assert server.stats()["paid"] == 1 + 8, "each call once, and once more for the row it left out"
    tokens = pq.read_table(tmp_path / "run/provenance")["tokens"].to_pylist()
    assert sum(tokens) == next(stage["tokens"] for stage in report.stages if stage["stage"] == "generate")
    assert max(tokens) > 2 * min(tokens), "the row that was asked for twice cost more"


async def test_a_run_that_ended_for_want_of_new_rows_pays_nothing_when_run_again(tmp_path: Path):
    few = spoiled(lambda rows, request: {key: {"input": f"The {words((request.sample % 5, key), 3)}."} for key in rows})
    async with FakeServer(few, latency=0.001) as server:
        first = await build(server, tmp_path / "run", 1000, concurrency=2)
        paid, before = server.stats()["requests"], rows_of(tmp_path / "run")
        again = await build(server, tmp_path / "run", 1000, concurrency=40)
        assert server.stats()["requests"] == paid
    assert 20 < first.kept < 60
    assert (again.kept, again.stopped) == (first.kept, first.stopped)
    assert "generate ended: of the last 60 rows written only" in first.stopped
    assert rows_of(tmp_path / "run") == before


async def test_calls_under_way_when_writing_ends_are_waited_for_because_they_are_paid(tmp_path: Path):
    asked_for: list[int] = []
    answered: list[int] = []

    class Slow:
        name = endpoint = "slow"

        async def complete(self, request: Request) -> Completion:
            if is_topics(request):
                return Completion(topics(), Usage(1, 1))
            asked_for.append(request.sample)
            for _ in range(5 * request.sample):
                await asyncio.sleep(0)
            answered.append(request.sample)
            return Completion("no", Usage(1, 1))

        async def close(self) -> None: ...

    await written(Slow(), 1000, tmp_path, at_once=16)
    assert max(asked_for) > BAD_CALLS, "some were under way beyond the last that counted"
    assert sorted(asked_for) == sorted(answered)


# -- what generators are known to do wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        "```json\n{}\n```",
        "Here are the rows you asked for:\n\n```\n{}\n```\nI hope they help {{smile}}!",
        "<think>Maybe {{\"1\": {{\"input\": \"a draft\"}}}}?</think>{}",
        "{}\n\nAnything else?",
    ],
)  # fmt: skip
async def test_fences_prose_and_thoughts_around_the_json_lose_no_row(tmp_path: Path, wrap: str):
    model = ScriptedModel(spoiled(lambda rows, _: wrap.format(json.dumps(rows))))
    results = await written(model, 15, tmp_path)
    assert len(kept(results)) == 15
    assert not lost(results)
    assert len(writing(model)) == 3


async def test_a_model_that_never_answers_in_json_is_stopped_after_a_few_calls(tmp_path: Path):
    model = ScriptedModel(lambda request: topics() if is_topics(request) else "I would rather talk about the weather.")
    results = await written(model, 1000, tmp_path, at_once=4)
    assert not kept(results)
    assert {drop.kind for drop in lost(results)} == {RowKind.UNPARSEABLE}
    assert len(writing(model)) <= 2 * (BAD_CALLS + 4), "those judged, and those under way beside them"
    assert "6 calls in a row brought no usable row" in reason(tmp_path)


async def test_bad_calls_between_good_ones_end_nothing(tmp_path: Path):
    model = ScriptedModel(spoiled(lambda rows, request: "no" if request.sample % 2 else rows))
    results = await written(model, 100, tmp_path)
    assert len(kept(results)) == 100
    assert len(lost(results)) > 5 * BAD_CALLS


async def test_a_model_that_repeats_itself_is_stopped_when_too_little_is_new(tmp_path: Path):
    def reply(rows: dict[str, Any], request: Request) -> Any:
        return {key: {"input": f"The {words(request.sample % 4 * 10 + int(key), 3)}."} for key in rows}

    model = ScriptedModel(spoiled(reply))
    results = await written(model, 1000, tmp_path, window=40, min_new=0.25, at_once=4)
    assert len(kept(results)) <= 40, "there are only so many"
    assert len(writing(model)) <= 24
    assert reason(tmp_path).startswith("of the last 40 rows written only ")
    assert "duplicate" in reason(tmp_path)


async def test_even_where_no_yield_is_too_low_a_window_without_anything_new_ends_it(tmp_path: Path):
    model = ScriptedModel(spoiled(lambda rows, _: {key: {"input": f"The {words(key, 3)}."} for key in rows}))
    results = await written(model, 1000, tmp_path, window=30, min_new=0)
    assert len(kept(results)) <= 5, "five inputs, and only one label of each can be right"
    assert reason(tmp_path).startswith("of the last 30 rows written only 0 were new (")
    assert " conflict" in reason(tmp_path)


async def test_rows_that_a_check_drops_as_near_copies_count_as_not_new(tmp_path: Path):
    def near(example: Example) -> Verdict:
        return Verdict(keep=False, kind=RowKind.DUPLICATE, reason="nearly repeats another", score=0.9, other="abc")

    results = await written(scribe, 100, tmp_path, check=near, window=20)
    assert len(lost(results)) == 20
    assert (lost(results)[0].score, lost(results)[0].other) == (0.9, "abc")
    assert reason(tmp_path) == "of the last 20 rows written only 0 were new (20 duplicate)"


async def test_good_rows_of_a_reply_are_kept_and_only_the_bad_ones_asked_again(tmp_path: Path):
    def reply(rows: dict[str, Any], request: Request) -> Any:
        if "(earlier" in request.messages[-1]["content"]:
            return rows
        return {**rows, "2": {"input": ""}, "4": "?", "5": {"output": "positive"}}

    model = ScriptedModel(spoiled(reply))
    results = await written(model, 5, tmp_path)
    assert len(kept(results)) == 5
    first, again = writing(model)
    assert list(asked(first)) == ["1", "2", "3", "4", "5"]
    wishes = [said.rpartition(" (earlier: ")[0] for said in asked(again).values()]
    assert wishes == [asked(first)[key] for key in ("2", "4", "5")]
    assert again.max_tokens < first.max_tokens


async def test_what_fails_twice_is_a_failure_with_its_reason_and_not_asked_a_third_time(tmp_path: Path):
    model = ScriptedModel(spoiled(lambda rows, _: {key: one for key, one in rows.items() if key != "1"}))
    results = await written(model, 8, tmp_path)
    assert [drop.kind for drop in lost(results)] == [RowKind.UNPARSEABLE] * 2
    assert "(asked twice; the last reply began" in lost(results)[0].reason
    assert len(writing(model)) == 4


async def test_a_reply_that_is_cut_gives_the_rows_before_the_cut(tmp_path: Path):
    def reply(request: Request) -> Completion | str:
        text = scribe(request)
        if is_topics(request) or "(earlier" in request.messages[-1]["content"]:
            return text
        return Completion(text[: len(text) * 7 // 10], Usage(10, 10), finish="length")

    model = ScriptedModel(reply)
    results = await written(model, 5, tmp_path)
    assert len(kept(results)) == 5
    assert list(asked(writing(model)[1])) == ["1", "2"], "only the two after the cut were asked for again"


async def test_rows_are_told_apart_by_their_ids_not_by_their_places(tmp_path: Path):
    straight = await written(scribe, 10, tmp_path / "a")
    mixed = spoiled(lambda rows, _: [{"id": int(key), **rows[key]} for key in reversed(rows)])
    turned = await written(mixed, 10, tmp_path / "b")
    assert [(e.id, e.input, e.output) for e in kept(straight)] == [(e.id, e.input, e.output) for e in kept(turned)]


async def test_braces_and_formulas_inside_texts_lose_no_row(tmp_path: Path):
    reply = spoiled(lambda rows, _: {k: {"input": f'{v["input"]} {{ "x": \\frac{{a}}{{b}} ]'} for k, v in rows.items()})
    results = await written(reply, 10, tmp_path)
    assert len(kept(results)) == 10
    assert not lost(results)
    assert all("\\frac{a}{b}" in example.input for example in kept(results))


async def test_one_call_that_fails_costs_its_own_rows_only(tmp_path: Path):
    def reply(request: Request) -> Any:
        if request.sample == 1 and not is_topics(request):
            raise RefusalError(400, "flagged by content policy")
        return scribe(request)

    async with FakeServer(reply) as server:
        report = await build(server, tmp_path / "run", 30)
    assert report.reached
    assert report.dropped == {"api-fatal": 5}


async def test_a_server_that_fails_every_call_ends_the_run_resumable(tmp_path: Path):
    model = FlakyModel(ScriptedModel(scribe), failing=1.0)
    with pytest.raises(ProviderError, match="6 calls in a row failed at the model's server; the last: HTTP 500"):
        await written(model, 100, tmp_path, planner=ScriptedModel(scribe))


async def test_a_wrong_key_stops_at_once_in_the_servers_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    async with FakeServer(scribe, key="right") as server:
        with pytest.raises(ConfigError, match="refused the key"):
            await build(server, tmp_path / "run", 500)
        assert server.stats()["requests"] <= 2


@pytest.mark.parametrize("size", [0, 5_000, 200_000])
async def test_replies_always_have_room_however_long_the_demonstrations_are(tmp_path: Path, size: int):
    demos = [Demonstration(input=f"{words(n)} " + "x " * size, output=o) for n, (_, o) in enumerate(REVIEWS)]
    model = ScriptedModel(scribe)
    results = await written(model, 6, tmp_path, task=make_task(INSTRUCTION, demonstrations=demos))
    assert len(kept(results)) == 6
    for request in writing(model):
        assert 100 <= request.max_tokens <= 4100
        assert request.max_tokens >= 100 * len(asked(request))
        assert sum(len(message["content"]) for message in request.messages) < 12_000
    most = max(len(asked(request)) for request in writing(model))
    assert most == (5 if size == 0 else 1), "long rows do not share one reply's room"


async def test_a_very_long_instruction_is_sent_and_ends(tmp_path: Path):
    async with FakeServer(scribe) as server:
        report = await upcycle.build(
            "Say what it is. " * 5000, examples=REVIEWS, rows=10, out=tmp_path / "run", methods={"generate": {}},
            name="long", model={"planner": "openai/fake", "executor": "openai/fake", "base_url": server.url},
        )  # fmt: skip
        assert server.stats()["requests"] == 3
    assert report.kept == 10


@pytest.mark.parametrize("temperature", [0.4, 1.0])
async def test_the_temperature_is_sent_and_never_ramps(tmp_path: Path, temperature: float):
    async with FakeServer(scribe) as server:
        await build(server, tmp_path / "run", 60, generate={"temperature": temperature})
        seen = {request.temperature for request in server.requests if not is_topics(request)}
    assert seen == {temperature}


async def test_no_call_is_a_copy_of_another_even_where_the_words_are_the_same(tmp_path: Path):
    # A vote over outputs of identical inputs needs identical inputs; ours draws the output first, and asks each once.
    model = ScriptedModel(scribe)
    await written(model, 100, tmp_path, topics=0, attributes={"length": ("short",), "style": (), "difficulty": ()})
    keys = [request.key("e", "m") for request in writing(model)]
    assert len(set(keys)) == len(keys) == 20
    assert len({request.messages[-1]["content"] for request in writing(model)[:3]}) < 20


async def test_prompts_hold_the_users_demonstrations_and_no_examples_of_ours(tmp_path: Path):
    model = ScriptedModel(scribe)
    await written(model, 5, tmp_path)
    system = writing(model)[0].messages[0]["content"]
    assert [system.count(text) for text, _ in REVIEWS] == [1, 1, 1]
    assert system.count("Example ") == 2 * len(REVIEWS)


async def test_what_never_changes_stands_first_in_every_prompt(tmp_path: Path):
    model = ScriptedModel(scribe)
    await written(model, 100, tmp_path)
    assert len({request.messages[0]["content"] for request in writing(model)}) == 1
    assert all(first.messages[-1] != second.messages[-1] for first, second in pairwise(writing(model)))


async def test_rows_are_given_as_soon_as_they_are_known_not_when_all_are(tmp_path: Path):
    class Stalls:
        name = endpoint = "stalls"

        async def complete(self, request: Request) -> Completion:
            if request.sample >= 2 and not is_topics(request):
                await asyncio.Event().wait()
            return Completion(scribe(request), Usage(1, 1))

        async def close(self) -> None: ...

    got: Results = []
    with Run(tmp_path) as run:
        models = Roles(ScriptedModel(scribe), Stalls())
        stream = generate(
            reviews(), Generate(), models=models, run=run, check=checks_for(reviews()), needed=lambda: 100 - len(got)
        )
        got.extend([await anext(stream) for _ in range(10)])
        await stream.aclose()
    assert len(kept(got)) == 10


async def test_a_budget_that_ends_early_leaves_no_split_empty(tmp_path: Path):
    async with FakeServer(scribe) as server:
        report = await build(
            server, tmp_path / "run", 300, budget="9calls", split={"train": 50, "validation": 25, "test": 25}
        )
    assert report.splits == {"train": 20, "validation": 10, "test": 10}


async def test_the_same_seed_writes_the_same_dataset_and_another_seed_another(tmp_path: Path):
    first, again, other = [
        [example.input for example in kept(await written(scribe, 40, tmp_path / name, seed=seed))]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert first == again
    assert first != other


async def test_the_planner_names_topics_once_and_the_executor_writes(tmp_path: Path):
    planner, executor = ScriptedModel(scribe), ScriptedModel(scribe)
    await written(executor, 50, tmp_path, planner=planner)
    assert [is_topics(request) for request in planner.requests] == [True]
    assert not any(is_topics(request) for request in executor.requests)


async def test_an_input_in_another_language_is_dropped_and_told(tmp_path: Path):
    german = "Der Film war von Anfang bis Ende eine reine Freude, und ich würde ihn gerne noch einmal im Kino sehen."
    reply = spoiled(lambda rows, r: {k: {"input": f"{german} {r.sample}"} if k == "1" else v for k, v in rows.items()})
    results = await written(reply, 12, tmp_path)
    assert {drop.kind for drop in lost(results)} <= {RowKind.LANGUAGE, RowKind.DUPLICATE}
    assert lost(results)[0].kind == RowKind.LANGUAGE


async def test_options_that_repeat_or_are_too_few_are_asked_for_again(tmp_path: Path):
    def reply(rows: dict[str, Any], request: Request) -> Any:
        if "(earlier" in request.messages[-1]["content"]:
            return rows
        return {**rows, "1": {**rows["1"], "wrong": [rows["1"]["correct"], "x"]}, "3": {**rows["3"], "wrong": ["x"]}}

    model = ScriptedModel(spoiled(reply))
    results = await written(model, 5, tmp_path, task=questions())
    assert len(kept(results)) == 5
    told = " ".join(asked(writing(model)[1]).values())
    assert "two options are the same" in told
    assert "1 wrong options, not 2" in told


async def test_what_small_models_hand_in_instead_of_an_input_is_asked_for_again(tmp_path: Path):
    def reply(rows: dict[str, Any], request: Request) -> Any:
        wishes = asked(request)
        if "(earlier" in request.messages[-1]["content"]:
            return rows
        return {**rows, "1": {"input": wishes["1"]}, "2": {"input": "2"}}

    model = ScriptedModel(spoiled(reply))
    results = await written(model, 5, tmp_path)
    assert len(kept(results)) == 5
    assert not any("style: " in example.input for example in kept(results))
    told = " ".join(asked(writing(model)[1]).values())
    assert "the input repeats what it was to be like" in told
    assert "the input holds no word" in told


async def test_outputs_the_contract_forbids_are_asked_for_again(tmp_path: Path):
    def reply(rows: dict[str, Any], request: Request) -> Any:
        late = "(earlier" in request.messages[-1]["content"]
        return rows if late else {**rows, "2": {"input": words(1), "output": "far too long " * 9}}

    model = ScriptedModel(spoiled(reply))
    results = await written(model, 5, tmp_path, task=plain(max_chars=60))
    assert all(len(example.output) <= 60 for example in kept(results))
    assert "characters, more than 60" in asked(writing(model)[1])["1"]


def test_a_row_of_the_fake_writer_is_what_the_tests_think_it_is():
    request = Request(({"role": "user", "content": "1: topic: sea; 2 wrong options"},), "generate")
    assert set(row(request, "1", asked(request)["1"])) == {"input", "correct", "wrong"}
