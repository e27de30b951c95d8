"""S3: what it writes follows from what the student gets wrong, nothing that decides is ever shown, and it always ends.

`Critic` and its world stand in `s3_world.py`: a first set about two of eight subjects, gold about all of them.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from s3_trainers import dying, noting_its_process
from s3_world import COMMON, LABELS, TELLING, Critic, asked, gold, label_in, review, reviews, subject_of
from upcycle.config import S3, Training
from upcycle.curation.checks import checks_for
from upcycle.errors import BudgetExceededError, ConfigError, RowKind
from upcycle.evaluation.evaluate import evaluate
from upcycle.llm.model import Request
from upcycle.llm.roles import Roles
from upcycle.methods.s3 import gold_parts, s3
from upcycle.methods.s3.gold import GoldParts, MineRow, SelectRow
from upcycle.methods.s3.patterns import Wording
from upcycle.methods.s3.shape import shape_of
from upcycle.methods.s3.student import Grade
from upcycle.records import Dropped, Example
from upcycle.run import Run
from upcycle.task import Gold, Task, make_task
from upcycle.testing import ScriptedModel
from upcycle.training.fit import fit
from upcycle.training.predictor import Predictor

Results = list[Example | Dropped]


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched weights change which checks a build has; here it has those of a machine without any."""
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "cache"))


class Outcome:
    """What a run of the method gave."""

    def __init__(self, results: Results, model: ScriptedModel, folder: Path, events: list[Any]) -> None:
        self.results, self.model, self.events = results, model, events
        self.kept = [one for one in results if isinstance(one, Example)]
        self.dropped = [one for one in results if isinstance(one, Dropped)]
        path = folder / "s3" / "rounds.json"
        self.facts: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def prompts(self, *holding: str) -> list[str]:
        """What was asked for that holds these words."""
        found = [asked(request) for request in self.model.requests]
        return [one for one in found if all(text in one for text in holding)]

    def told(self, kind: str) -> list[Any]:
        return [data for told, data in self.events if told == kind]


async def extrapolated(
    folder: Path,
    rows: int = 120,
    *,
    task: Task | None = None,
    script: Any = None,
    model: ScriptedModel | None = None,
    fitting: Any = None,
    examining: Any = evaluate,
    before: Sequence[Example] = (),
    training: Training | None = None,
    seed: int = 0,
    results: Results | None = None,
    **settings: Any,
) -> Outcome:
    """What the method gives until so many rows are kept or it ends."""
    task = task or reviews()
    chosen = S3(**settings)
    model = model or ScriptedModel(script or Critic())
    events: list[Any] = []
    results = [] if results is None else results
    held = task.model_copy(update={"gold": gold_parts(task, chosen, seed=seed).held_out()})
    with Run(folder, listener=lambda event: events.append((event.kind, event.data))) as run:
        stream = s3(
            task, chosen, models=Roles(model, model), run=run, check=checks_for(held, written=True),
            needed=lambda: rows - sum(isinstance(one, Example) for one in results), fit=fitting or in_this_process,
            evaluate=examining,
            training=training, before=lambda: before, seed=seed, at_once=8,
        )  # fmt: skip
        async for result in stream:
            results.append(result)
    return Outcome(results, model, folder, events)


def in_this_process(examples: Sequence[Example], training: Training, **more: Any) -> Predictor:
    return fit(examples, training, **more)


in_this_process.__module__ = "__main__"  # so that no test but the one about it waits for another process to start


def is_there(path: str) -> bool:
    return Path(path).is_dir()


def of_round(rows: Sequence[Example], number: int) -> list[Example]:
    return [row for row in rows if row.origin.round == number]


# -- the method as published -------------------------------------------------------------------------------------------


async def test_each_error_is_extrapolated_once_and_the_row_inherits_its_label(tmp_path: Path):
    outcome = await extrapolated(tmp_path, plain=True, per_error=1, rounds=1, rows=400)
    parts = {row.id: row for row in gold_parts(reviews(), S3()).mine}
    added = of_round(outcome.kept, 1)
    assert len(outcome.prompts("gets this input wrong")) == outcome.facts["rounds"][0]["errors"]
    assert len(added) > 10
    for row in added:
        (parent,) = row.origin.parents
        assert row.output == parts[parent].output
        assert subject_of(row.input) == subject_of(parts[parent].input)
    assert len({row.origin.parents for row in added}) == len(added)


async def test_errors_are_what_the_student_of_the_first_set_gets_wrong(tmp_path: Path):
    outcome = await extrapolated(tmp_path, rounds=1)
    parts = {row.id: row for row in gold_parts(reviews(), S3()).mine}
    first = of_round(outcome.kept, 0)
    student = fit(first, Training(kind="label"))
    wrong = {name for name, row in parts.items() if student.predict([row.input])[0][0] != row.output}
    shown = {parent for row in of_round(outcome.kept, 1) for parent in row.origin.parents}
    assert {subject_of(row.input) for row in first} == set(range(COMMON))
    assert shown == wrong


async def test_what_the_small_model_lacked_is_written_and_it_gets_better_on_rows_nobody_mined(tmp_path: Path):
    outcome = await extrapolated(tmp_path, rows=300)
    first, after = outcome.facts["rounds"][0]["before"], outcome.facts["rounds"][0]["after"]
    assert after["select"] > first["select"] + 0.1
    assert outcome.facts["table"][0]["score"] > outcome.facts["table"][1]["score"] + 0.1


async def test_rounds_accumulate_and_each_trains_the_student_anew(tmp_path: Path):
    trained: list[tuple[int, str]] = []

    def noting(examples: Sequence[Example], training: Training, **more: Any) -> Predictor:
        trained.append((len(examples), training.student))
        return fit(examples, training, **more)

    outcome = await extrapolated(tmp_path, fitting=noting, plain=True, per_error=1, rows=400)
    sizes = [len([r for r in outcome.kept if (r.origin.round or 0) <= number]) for number in range(3)]
    assert [size for size, _ in trained[:3]] == sizes
    assert {student for _, student in trained} == {"auto"}


async def test_a_row_of_the_first_set_is_given_some_of_its_labels_reasons_without_repetition(tmp_path: Path):
    outcome = await extrapolated(tmp_path, rows=60, rationales=4, extrapolate="off")
    assert len(outcome.prompts("different reasons")) == 2
    first = outcome.prompts("These hold for it")
    assert len(first) >= 60
    for prompt in first:
        reasons = re.findall(r"^- (\w+) reason (\d+)$", prompt, re.MULTILINE)
        assert len(set(reasons)) == 4
        assert {label for label, _ in reasons} == {label_in(prompt)}
    assert len({tuple(re.findall(r"reason (\d+)", prompt)) for prompt in first}) > 40


async def test_fewer_reasons_than_a_row_is_given_are_none_and_that_is_told(tmp_path: Path):
    critic = Critic()

    def script(request: Request) -> Any:
        if "different reasons" in asked(request) and label_in(asked(request)) == "negative":
            return {"reasons": ["1. 'It drags'", "2. It drags", "- It drags"]}
        return critic(request)

    outcome = await extrapolated(tmp_path, script=script, rows=40, extrapolate="off")
    told = outcome.told("no reasons")
    assert [(one["label"], one["why"]) for one in told] == [("negative", "only 1 different ones were named")]
    assert not outcome.prompts("It drags")
    assert len(outcome.kept) == 40


async def test_rationales_off_asks_for_no_reasons(tmp_path: Path):
    outcome = await extrapolated(tmp_path, rows=30, rationales=0, extrapolate="off")
    assert not outcome.prompts("different reasons")
    assert not outcome.prompts("These hold for it")
    assert len(outcome.kept) == 30


async def test_extrapolate_off_is_a_first_set_and_nothing_else(tmp_path: Path):
    outcome = await extrapolated(tmp_path, rows=50, extrapolate="off")
    assert len(outcome.kept) == 50
    assert not outcome.prompts("gets this input wrong")
    assert "so there are no rounds" in outcome.facts["ended"]


async def test_extrapolate_gold_writes_every_row_from_some_mined_row(tmp_path: Path):
    outcome = await extrapolated(tmp_path, rows=100, extrapolate="gold")
    parents = Counter(parent for row in outcome.kept for parent in row.origin.parents)
    assert sum(parents.values()) == len(outcome.kept) == 100
    assert max(parents.values()) - min(parents.values()) <= 1
    assert outcome.facts["rounds"] == []


async def test_extrapolate_random_draws_as_many_mined_rows_as_there_are_errors(tmp_path: Path):
    outcome = await extrapolated(tmp_path, extrapolate="random", plain=True, per_error=1, rounds=1, rows=400)
    parents = {parent for row in of_round(outcome.kept, 1) for parent in row.origin.parents}
    assert len(parents) == outcome.facts["rounds"][0]["errors"]
    parts = {row.id: row for row in gold_parts(reviews(), S3()).mine}
    # Errors are about rare subjects only; a draw from all rows is not.
    assert any(subject_of(parts[name].input) in range(COMMON) for name in parents)


async def test_the_same_seed_gives_the_same_rows_and_another_seed_others(tmp_path: Path):
    def script(request: Request) -> Any:
        critic = Critic()
        return critic(request)

    one = await extrapolated(tmp_path / "one", script=script)
    same = await extrapolated(tmp_path / "same", script=script)
    other = await extrapolated(tmp_path / "other", script=script, seed=1)
    assert [row.id for row in one.kept] == [row.id for row in same.kept]
    assert [row.input for row in one.kept] == [row.input for row in same.kept]
    assert [row.input for row in one.kept] != [row.input for row in other.kept]


# -- what decides is never shown ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("extrapolate", ["errors", "patterns", "random", "gold", "off"])
async def test_no_row_that_selects_or_tests_is_in_any_prompt(tmp_path: Path, extrapolate: str):
    outcome = await extrapolated(tmp_path, extrapolate=extrapolate, controls=("seed", "random", "gold"))
    parts = gold_parts(reviews(), S3())
    said = "\n".join(message["content"] for request in outcome.model.requests for message in request.messages)
    assert not [row.id for row in (*parts.select, *parts.test) if row.input in said]


async def test_by_patterns_no_gold_row_is_shown_to_the_model_that_writes(tmp_path: Path):
    outcome = await extrapolated(tmp_path, extrapolate="patterns", rounds=1)
    writing = [r for r in outcome.model.requests if '"pattern"' not in asked(r)]
    said = "\n".join(message["content"] for request in writing for message in request.messages)
    assert not [row.input for row in reviews().gold if row.input in said]
    clusters = outcome.facts["rounds"][0]["clusters"]
    assert len(outcome.prompts('"pattern"')) == len(clusters)
    assert all("subject" in one["pattern"] for one in clusters)
    assert {row.origin.record for row in of_round(outcome.kept, 1)} <= {
        f"pattern: {one['pattern']}" for one in clusters
    }


async def test_a_pattern_that_quotes_an_error_is_asked_for_again(tmp_path: Path):
    critic = Critic()

    def script(request: Request) -> Any:
        prompt = asked(request)
        if '"pattern"' in prompt and "could not be used" not in prompt:
            quoted = re.search(r"<input>(.*?)</input>", prompt, re.DOTALL)
            assert quoted is not None
            return {"pattern": f"All are like {quoted[1]}"}
        return critic(request)

    outcome = await extrapolated(tmp_path, extrapolate="patterns", rounds=1, script=script)
    assert all("All are like" not in one["pattern"] for one in outcome.facts["rounds"][0]["clusters"])
    assert not outcome.prompts("have this in common: All are like")


def test_a_pattern_may_not_hold_all_of_a_short_gold_row_or_eight_words_of_a_long_one():
    task = reviews()
    texts = ["Not bad at all", *(row.input for row in task.gold[:5])]
    mine = tuple(MineRow(f"gold {number}", text, LABELS[0]) for number, text in enumerate(texts))
    wording = Wording.of(GoldParts(mine, (SelectRow("gold 99", "Another text.", LABELS[1]),)), shape_of(task, S3()))
    for text in texts:
        assert wording.quoted_in(f"They are like “{' '.join(text.split()[:8])}”, all of them")
    assert not wording.quoted_in("They praise by denying a fault: not bad, they say, and that at all times")
    assert not wording.quoted_in(f"They speak of {' '.join(texts[1].split()[:7])}, and of others")


async def test_the_test_rows_are_opened_when_no_round_is_left(tmp_path: Path):
    outcome = await extrapolated(tmp_path)
    kinds = [kind for kind, _ in outcome.events]
    assert kinds.index("compared") > max(place for place, kind in enumerate(kinds) if kind in ("round", "mined"))
    assert "test" not in json.dumps(outcome.facts["rounds"])


# -- what makes it right -----------------------------------------------------------------------------------------------


async def test_a_round_that_does_not_help_is_not_kept_and_ends_the_loop(tmp_path: Path):
    critic = Critic()

    def script(request: Request) -> Any:
        if "gets this input wrong" not in asked(request):
            return critic(request)
        other = LABELS[1 - LABELS.index(label_in(asked(request)))]
        shown = subject_of(asked(request).partition("<input>")[2])
        return review(other, shown or 0, request.sample)

    outcome = await extrapolated(tmp_path, script=script)
    assert {row.origin.round for row in outcome.kept} == {0}
    refused = [one for one in outcome.dropped if one.kind == RowKind.UNHELPFUL]
    assert len(refused) > 10
    assert "it did not help" in refused[0].reason
    assert "95 % interval" in refused[0].reason
    assert "round 1 was not kept" in outcome.facts["ended"]


async def test_with_the_gate_off_every_round_is_kept(tmp_path: Path):
    outcome = await extrapolated(tmp_path, gate="off", rows=200)
    assert [one["kept"] for one in outcome.facts["rounds"]] == [True] * len(outcome.facts["rounds"])


async def test_labels_are_written_evenly_though_the_errors_are_not(tmp_path: Path):
    # Of the rare subjects only praise is in the gold, so the errors are praise taken for blame.
    lop = [g for g in gold(400) if g.output == "positive" or subject_of(g.input) in range(COMMON)]
    outcome = await extrapolated(tmp_path, task=reviews(gold=lop), rounds=1, gate="off", rows=200)
    wrong = Counter(one["gold"] for one in outcome.facts["rounds"][0]["clusters"] for _ in range(one["before"]))
    written = Counter(row.output for row in of_round(outcome.kept, 1))
    assert max(wrong.values()) > 0.7 * wrong.total()
    assert abs(written["positive"] - written["negative"]) <= 0.1 * written.total()


async def test_quotation_marks_and_prefixes_are_taken_off(tmp_path: Path):
    critic = Critic()

    def script(request: Request) -> Any:
        said = critic(request)
        return f'Here is a similar review: "{said}"' if isinstance(said, str) else said

    outcome = await extrapolated(tmp_path / "clean", script=script, rows=60)
    assert not [row.input for row in outcome.kept if '"' in row.input or "Here is" in row.input]
    plain = await extrapolated(tmp_path / "plain", script=script, rows=60, plain=True)
    assert all(row.input.startswith("Here is") for row in plain.kept)


async def test_a_copy_of_the_error_is_dropped(tmp_path: Path):
    critic = Critic()

    def script(request: Request) -> Any:
        shown = re.search(r"<input>\s*(.*?)\s*</input>", asked(request), re.DOTALL)
        return shown[1] if shown else critic(request)

    outcome = await extrapolated(tmp_path, script=script)
    assert {row.origin.round for row in outcome.kept} == {0}
    assert {one.kind for one in outcome.dropped} == {RowKind.CONTAMINATED}
    assert outcome.facts["ended"]


async def test_a_round_of_rows_much_alike_is_refused_before_anybody_trains_on_it(tmp_path: Path):
    critic = Critic()

    def script(request: Request) -> Any:
        prompt = asked(request)
        if "gets this input wrong" not in prompt:
            return critic(request)
        label = label_in(prompt)
        # Twelve words again and again, in pairs that differ from row to row by a little more than a near-copy.
        words = [word_ for key in (0, 1) for word_ in TELLING[label, key]] * 3
        turn = request.sample // 10_000 % 7
        return " ".join([*words[turn:], *words[:turn], *critic(request).split()[:5]])

    outcome = await extrapolated(tmp_path, script=script, rows=200)
    assert outcome.facts["rounds"][0]["look"]["share"] < 0.6
    assert "too much alike" in outcome.facts["ended"]
    assert outcome.facts["rounds"][0]["after"] is None


async def test_errors_that_come_back_are_audited_and_not_paid_for_twice(tmp_path: Path):
    # Ten gold rows say the opposite of what they are; nothing written from them can make them right.
    rows = gold(240)
    lies = {f"gold {n + 1}" for n in range(0, 240, 11)}
    wrong = [
        Gold(input=g.input, output=LABELS[1 - LABELS.index(g.output)]) if f"gold {n}" in lies else g
        for n, g in enumerate(rows, 1)
    ]

    outcome = await extrapolated(tmp_path, task=reviews(gold=wrong), rows=500, gate="off", rounds=3)
    audit = [json.loads(line) for line in (tmp_path / "s3" / "audit.jsonl").read_text().splitlines()]
    audited = {one["id"] for one in audit}
    mined = {row.id for row in gold_parts(reviews(gold=wrong), S3()).mine}
    assert audited & lies
    assert len(audited & lies) > 0.5 * len(mined & lies)
    assert all("hard, or mislabelled" in one["reason"] for one in audit)
    for number, one in enumerate(outcome.facts["rounds"][1:], 2):
        before = {p for row in outcome.kept if (row.origin.round or 0) < number for p in row.origin.parents}
        fresh = {p for row in of_round(outcome.kept, number) for p in row.origin.parents}
        assert one["fresh"] <= one["errors"]
        assert not fresh & audited & before or one["again"]


async def test_fifty_gold_rows_are_enough_to_go_through_the_loop(tmp_path: Path):
    outcome = await extrapolated(tmp_path, task=reviews(50), rows=120)
    assert outcome.facts["gold"] == {"mine": 26, "select": 12, "test": 12, "set_aside": 0}
    assert outcome.facts["rounds"]
    assert [one["gold"] for one in outcome.facts["curve"]] == [26]


async def test_the_curve_says_what_the_set_adds_to_ever_more_gold(tmp_path: Path):
    outcome = await extrapolated(tmp_path, task=reviews(480), rows=150)
    assert [one["gold"] for one in outcome.facts["curve"]] == [50, 100, 240]
    assert outcome.facts["curve"][0]["with_set"] > outcome.facts["curve"][0]["alone"]


async def test_gold_in_place_of_what_was_written_is_a_control_that_costs_no_call(tmp_path: Path):
    outcome = await extrapolated(tmp_path, rounds=1, rows=120)
    table = {one["name"]: one["rows"] for one in outcome.facts["table"]}
    first, whole, mine = outcome.facts["first"]["rows"], len(outcome.kept), outcome.facts["gold"]["mine"]
    more = min(whole - first, mine)
    assert table[f"the first set and {more} gold rows"] == first + more
    assert table["the mined gold alone"] == mine
    assert table["the whole set and the mined gold"] == whole + mine
    assert not {row.input for row in outcome.kept} & {row.input for row in reviews().gold}


async def test_controls_of_equal_size_are_written_beside_the_set_and_not_into_it(tmp_path: Path):
    outcome = await extrapolated(tmp_path, controls=("seed", "random", "gold"), rows=200)
    table = {one["name"]: one for one in outcome.facts["table"]}
    whole = table["S3: the whole set"]["rows"]
    assert whole == len(outcome.kept)
    for name in ("more of the first set instead", "rows like random gold instead", "rows like any gold, nothing else"):
        assert table[name]["rows"] == whole
    ahead = table["more of the first set instead"]
    assert ahead["ahead"][0] > 0
    assert ahead["words"].endswith("excludes zero" if ahead["ahead"][1] > 0 else "does not exclude zero")
    assert table["the first set alone"]["rows"] == len(of_round(outcome.kept, 0))


async def test_a_round_tells_what_it_cost_and_how_the_errors_moved(tmp_path: Path):
    outcome = await extrapolated(tmp_path, rows=200)
    one = outcome.facts["rounds"][0]
    assert sum(cluster["before"] for cluster in one["clusters"]) == one["fresh"]
    assert sum(cluster["after"] for cluster in one["clusters"]) < one["fresh"]
    assert one["tokens"] > 0
    assert len(one["confusion"]) == 2
    assert one["look"]["labels"]
    assert one["examples"][0]["error"] != one["examples"][0]["written"]
    assert subject_of(one["examples"][0]["error"]) == subject_of(one["examples"][0]["written"])
    low, high = one["after"]["select_ci"]
    assert low <= one["after"]["select"] <= high
    said = (tmp_path / "s3" / "rounds.md").read_text()
    assert "## Round 1: kept" in said
    assert "errors before" in said


# -- going on ----------------------------------------------------------------------------------------------------------


async def test_a_run_that_stopped_in_round_two_trains_nothing_again(tmp_path: Path):
    fits: list[int] = []

    class StopError(Exception):
        pass

    def noting(examples: Sequence[Example], training: Training, **more: Any) -> Predictor:
        fits.append(len(examples))
        if len(fits) == 3:
            raise StopError
        return fit(examples, training, **more)

    def script(request: Request) -> Any:
        return Critic()(request)

    settings = {"plain": True, "per_error": 1, "rows": 400, "script": script, "fitting": noting}
    with pytest.raises(StopError):
        await extrapolated(tmp_path, **settings)
    outcome = await extrapolated(tmp_path, **settings)
    assert len(outcome.facts["rounds"]) == 2
    # What was under way is trained again, and the comparisons of the end follow.
    assert fits[2] == fits[3]
    assert [data["known"] for data in outcome.told("trained")] == [True, True, False]


async def test_a_run_that_is_done_trains_nothing_at_all_when_it_is_run_again(tmp_path: Path):
    def script(request: Request) -> Any:
        return Critic()(request)

    one = await extrapolated(tmp_path, script=script)
    again = await extrapolated(tmp_path, script=script)
    assert all(data["known"] for data in again.told("trained"))
    assert again.facts == one.facts


async def test_a_budget_that_ends_in_a_round_leaves_what_was_written_judged_and_kept(tmp_path: Path):
    critic = Critic()

    def script(request: Request) -> Any:
        if critic.written >= 150:
            return BudgetExceededError("the budget does not cover the next call")
        return critic(request)

    results: Results = []
    with pytest.raises(BudgetExceededError):
        await extrapolated(tmp_path, rows=300, first=0.4, script=script, rounds=1, results=results)
    rounds = {one.origin.round for one in results if isinstance(one, Example)}
    assert rounds == {0, 1}
    assert json.loads((tmp_path / "s3" / "rounds.json").read_text())["rounds"][0]["kept"]


async def test_rows_of_another_method_are_the_first_set(tmp_path: Path):
    other = await extrapolated(tmp_path / "other", extrapolate="off", rows=60)
    outcome = await extrapolated(tmp_path / "s3", before=other.kept, rows=60)
    assert {row.origin.round for row in outcome.kept} <= {1, 2}
    assert outcome.facts["first"]["rows"] == 60
    assert not outcome.prompts("Write an input of the task for which")


# -- bad input ---------------------------------------------------------------------------------------------------------


async def test_without_gold_it_says_what_it_needs(tmp_path: Path):
    with pytest.raises(ConfigError, match="give labelled rows with --gold"):
        await extrapolated(tmp_path, task=make_task("Say whether it is good."))


async def test_one_label_only_is_refused(tmp_path: Path):
    rows = [row for row in gold(100) if row.output == "positive"]
    with pytest.raises(ConfigError, match="all gold rows say 'positive'"):
        await extrapolated(tmp_path, task=reviews(gold=rows))


async def test_a_label_no_gold_row_has_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="no gold row says 'mixed'"):
        await extrapolated(tmp_path, task=reviews(contract={"labels": ("negative", "positive", "mixed")}))


async def test_a_gold_row_whose_label_is_not_the_tasks_is_named(tmp_path: Path):
    rows = [*gold(60), Gold(input="Quite another thing.", output="postive")]
    with pytest.raises(ConfigError, match="1 gold rows say 'postive', which is no label of the task"):
        await extrapolated(tmp_path, task=reviews(gold=rows, contract={"labels": LABELS}))


async def test_gold_smaller_than_the_number_of_labels_is_refused(tmp_path: Path):
    rows = [Gold(input=f"Text {n}.", output=f"label{n % 2}") for n in range(2)]
    task = make_task("Sort it.", gold=rows, contract={"labels": ["label0", "label1"]})
    with pytest.raises(ConfigError, match="2 usable gold rows are too few"):
        await extrapolated(tmp_path, task=task)


async def test_gold_rows_that_contradict_each_other_are_set_aside_and_named(tmp_path: Path):
    rows = gold(100)
    liar = Gold(input=rows[0].input.upper(), output="positive")
    outcome = await extrapolated(tmp_path, task=reviews(gold=[*rows, liar]), rows=60)
    audit = [json.loads(line) for line in (tmp_path / "s3" / "audit.jsonl").read_text().splitlines()]
    assert {one["id"] for one in audit[:2]} == {"gold 1", "gold 101"}
    assert "the same input has other labels too (negative, positive)" in audit[0]["reason"]
    assert outcome.facts["gold"]["set_aside"] == 2


async def test_nothing_left_to_learn_ends_the_loop(tmp_path: Path):
    easy = [row for row in gold(400) if subject_of(row.input) in range(COMMON)]
    outcome = await extrapolated(tmp_path, task=reviews(gold=easy), rows=150)
    assert "nothing is left to learn" in outcome.facts["ended"]
    assert len(outcome.kept) >= 100


async def test_a_student_that_gets_every_row_wrong_ends_the_loop_with_what_it_says(tmp_path: Path):
    critic = Critic()

    def upside_down(request: Request) -> Any:
        said = critic(request)
        if not isinstance(said, str):
            return said
        other = LABELS[1 - LABELS.index(label_in(asked(request)))]
        return review(other, subject_of(said) or 0, (request.sample, critic.written))

    easy = [row for row in gold(400) if subject_of(row.input) in range(COMMON)]
    outcome = await extrapolated(tmp_path, task=reviews(gold=easy), script=upside_down, rows=150)
    assert re.search(r"gets \d+ of \d+ mined rows wrong; it says '\w+'", outcome.facts["ended"])
    assert len(outcome.kept) >= 100


async def test_a_model_that_answers_with_the_labels_name_ends_the_loop_and_what_was_written_is_kept(tmp_path: Path):
    critic = Critic()

    def script(request: Request) -> Any:
        said = critic(request)
        return label_in(asked(request)) if isinstance(said, str) and critic.written > 40 else said

    outcome = await extrapolated(tmp_path, script=script)
    assert len(outcome.kept) == 40
    assert "only the name of a label ('" in outcome.facts["ended"]
    assert outcome.facts["first"]["rows"] == 40


async def test_a_model_that_only_ever_answers_with_the_labels_name_leaves_nothing_and_says_why(tmp_path: Path):
    outcome = await extrapolated(tmp_path, script=lambda r: label_in(asked(r)), rationales=0)
    assert not outcome.kept
    assert all(one.kind == RowKind.UNPARSEABLE for one in outcome.dropped)
    assert "the reply is only the name of a label" in outcome.facts["ended"]


async def test_the_student_is_trained_in_a_process_of_its_own_that_ends_with_the_run(tmp_path: Path):
    outcome = await extrapolated(tmp_path, fitting=noting_its_process, rows=60, rounds=1)
    processes = {path.name for path in (tmp_path / "s3").rglob("pid-*")}
    assert len(processes) == 1
    number = int(processes.pop().removeprefix("pid-"))
    assert number != os.getpid()
    assert not is_there(f"/proc/{number}")
    assert outcome.facts["rounds"]


async def test_a_trainer_that_dies_is_one_sentence(tmp_path: Path):
    with pytest.raises(Exception, match="the process that trains the small model ended with 7"):
        await extrapolated(tmp_path, fitting=dying)


async def test_grades_of_other_rows_do_not_judge_a_round():
    from upcycle.methods.s3.rounds import gate

    parts = gold_parts(reviews(), S3())
    grades = [Grade(row.id, row.output, 1.0, 1.0) for row in parts.mine]
    with pytest.raises(TypeError, match="MineRow cannot stand where a SelectRow decides"):
        gate(parts.mine, grades, grades, S3())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="these are of others"):
        gate(parts.select, grades, grades, S3())
