"""S3's small models: TF-IDF, an encoder, a finder of spans, a language model, and one that is only shown rows.

The torch students are models of a few thousand weights; they are trained in S3's own worker process.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

import tiny_models
from s3_world import FILLERS, LABELS, TELLING, Critic, asked
from test_s3 import Outcome, extrapolated, is_there
from test_s3_tasks import Logician, pair_task
from upcycle.config import S3, Training
from upcycle.errors import ProviderError, RowError, RowKind
from upcycle.llm.model import Request
from upcycle.methods.s3.presets import for_rounds, with_preset
from upcycle.records import Example
from upcycle.task import Demonstration, Gold, make_task
from upcycle.testing import ScriptedModel
from upcycle.training.fit import fit
from upcycle.training.predictor import Predictor

TORCH = ("torch", "transformers", "trl", "peft", "accelerate")


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched weights change which checks a build has; here it has those of a machine without any."""
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "cache"))


# -- TF-IDF ------------------------------------------------------------------------------------------------------------


async def test_a_student_is_named_by_what_it_is(tmp_path: Path):
    outcome = await extrapolated(tmp_path, extrapolate="off", rows=40)
    assert outcome.facts["student"] == "tfidf"


async def test_reset_off_changes_nothing_for_tf_idf_and_says_so(tmp_path: Path):
    anew = await extrapolated(tmp_path / "on", rows=90, rounds=1)
    on = await extrapolated(tmp_path / "off", rows=90, rounds=1, reset=False)
    assert [row.input for row in on.kept] == [row.input for row in anew.kept]
    told = "reset is off, which changes nothing: tfidf comes to the same wherever it starts"
    assert told in [one["text"] for one in on.told("warning")]


async def test_without_reset_the_student_of_the_round_before_is_trained_on(tmp_path: Path):
    started: list[str] = []

    def noting(examples: Sequence[Example], training: Training, **more: Any) -> Predictor:
        started.append(training.student)
        return fit(examples, training.model_copy(update={"student": "tfidf", "layers": None}), **more)

    encoder = Training(student="minilm")
    await extrapolated(tmp_path, fitting=noting, reset=False, rounds=1, training=encoder)
    assert started[0] == "minilm"
    assert is_there(started[1])


def test_the_embedded_encoder_is_quick_between_rounds_unless_it_is_told_otherwise():
    quick = for_rounds(Training(student="minilm", kind="label"), "minilm")
    assert quick.epochs < Training().epochs
    assert (quick.max_tokens, quick.layers) == (256, 3)
    told = for_rounds(Training(student="minilm", kind="label", epochs=5, max_tokens=512, layers=6), "minilm")
    assert (told.epochs, told.max_tokens, told.layers) == (5, 512, 6)
    _, published = with_preset(S3(preset="imdb"), Training(student="minilm", kind="label"))
    assert for_rounds(published, "minilm") == published
    assert for_rounds(Training(kind="label"), "tfidf") == Training(kind="label")


# -- a language model that is shown rows -------------------------------------------------------------------------------


def telling_words(text: str) -> set[str]:
    return set(text.lower().strip(".").split()) & {word for some in TELLING.values() for word in some}


class Reader(Critic):
    """A critic that, asked for a label, says the one beside the shown review that shares a telling word."""

    def __call__(self, request: Request) -> Any:
        if request.stage != "s3-student":
            return super().__call__(request)
        words = telling_words(asked(request))
        pairs = list(zip(request.messages[1:-1:2], request.messages[2:-1:2], strict=True))
        near = [said["content"] for shown, said in pairs if words & telling_words(shown["content"])]
        return f"{near[-1] if near else LABELS[0]}.".capitalize()


async def test_a_language_model_that_is_shown_rows_is_a_student_too(tmp_path: Path):
    outcome = await extrapolated(tmp_path, script=Reader(), student="served", rows=150, rounds=1)
    asked_for = [request for request in outcome.model.requests if request.stage == "s3-student"]
    assert outcome.facts["student"] == "scripted/model"
    assert outcome.facts["rounds"][0]["after"]["select"] > outcome.facts["rounds"][0]["before"]["select"] + 0.1
    # 160 gold rows after the first set, after the round, and for the comparison of equal size.
    assert len(asked_for) == 3 * 160
    assert max(len(request.messages) for request in asked_for) == 2 + 2 * 8


async def test_a_model_that_can_score_is_asked_for_the_likeliest_label(tmp_path: Path):
    class Scorer(ScriptedModel):
        async def score(self, prompt: str, continuations: list[str]) -> list[float]:
            assert prompt.startswith("Say whether a film review is positive or negative.")
            *shown, item = prompt.strip().split("\n\n")[1:]
            near = [one for one in shown if telling_words(item) & telling_words(one.rpartition("\n")[0])]
            said = near[-1].rpartition("\n")[2] if near else LABELS[0]
            return [0.0 if one == said else -1.0 for one in continuations]

    model = Scorer(Critic())
    outcome = await extrapolated(tmp_path, model=model, student="served", rows=150, rounds=1)
    assert not [request for request in model.requests if request.stage == "s3-student"]
    assert outcome.facts["rounds"][0]["after"]["select"] > outcome.facts["rounds"][0]["before"]["select"] + 0.1


def failing(share: float) -> Any:
    """The reader, which leaves this share of the gold rows unanswered."""
    reader = Reader()

    def script(request: Request) -> Any:
        if request.stage == "s3-student" and Random(asked(request)).random() < share:
            return RowError(RowKind.API_TRANSIENT, "the server answered 503")
        return reader(request)

    return script


async def test_a_few_gold_rows_that_the_student_leaves_unanswered_count_as_wrong_and_are_told(tmp_path: Path):
    outcome = await extrapolated(tmp_path, script=failing(0.04), student="served", rows=60, rounds=1)
    told = [one["text"] for one in outcome.told("warning")]
    assert any("scripted/model, the student, did not answer" in one and "count as wrong" in one for one in told)
    assert outcome.facts["first"]["rows"] == 40


async def test_a_student_that_leaves_many_unanswered_stops_the_run_and_what_was_written_is_kept(tmp_path: Path):
    results: list[Any] = []
    with pytest.raises(ProviderError, match=r"did not answer \d+ of 160 gold rows .*run again to ask them anew"):
        await extrapolated(tmp_path, script=failing(0.4), student="served", rows=60, results=results)
    assert len(results) == 40


async def test_a_student_that_is_shown_rows_chooses_among_the_options_of_each_row(tmp_path: Path):
    capitals = {"Oslo": "Norway", "Rome": "Italy", "Lima": "Peru", "Paris": "France", "Cairo": "Egypt", "Bern": "Swiss"}
    names = sorted(capitals)

    def row(number: int) -> tuple[str, str, tuple[str, ...]]:
        right = names[number % len(names)]
        options = (right, names[(number + 1) % len(names)], names[(number + 2) % len(names)])
        words = " ".join(Random(number).sample(FILLERS, 8))
        return f"Question {words}: the capital of {capitals[right]}?", right, options

    gold = [Gold(input=text, output=right, choices=options) for text, right, options in map(row, range(60))]
    seen: list[str] = []

    def script(request: Request) -> Any:
        if request.stage == "s3-student":
            seen.append(asked(request))
            return names[0]
        number = 1000 + request.sample // 10_000
        text, right, _ = row(number)
        return {"input": text, "output": right}

    shown = [Demonstration(input=text, output=right, choices=options) for text, right, options in map(row, (700, 701))]
    task = make_task("Name the capital.", demonstrations=shown, gold=gold)
    outcome = await extrapolated(tmp_path, task=task, script=script, student="served", rows=30, rounds=1)
    assert outcome.facts["metric"] == "multiple_choice_grade"
    assert seen
    assert all(sum(name in one for name in names) >= 3 for one in seen)
    assert 0 < outcome.facts["first"]["select"] < 1


# -- students of torch -------------------------------------------------------------------------------------------------


def trained_with(student: Path, **more: Any) -> Training:
    given = {"student": str(student), "learning_rates": (0.01,), "epochs": 3, "batch": 16, "patience": 0, **more}
    return Training.model_validate(given)


def kinds_of(folder: Path) -> list[str]:
    """What the students are that lie in a run, oldest first."""
    found = sorted((folder / "s3" / "students").glob("*/upcycle-model.json"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text())["kind"] for path in found]


def all_there(outcome: Outcome) -> None:
    first = outcome.facts["rounds"][0]
    assert first["kept"]
    assert first["before"]["rows"] < first["after"]["rows"] == len(outcome.kept)
    assert outcome.facts["table"][0]["rows"] == len(outcome.kept)


@pytest.mark.slow
async def test_an_encoder_is_trained_on_pairs_in_a_worker_and_on_from_the_round_before(tmp_path: Path):
    for library in TORCH:
        pytest.importorskip(library, reason="needs upcycle[train]", exc_type=ImportError)
    training = trained_with(tiny_models.encoder(tmp_path / "encoder"))
    outcome = await extrapolated(tmp_path, task=pair_task(), script=Logician(), fitting=fit, training=training, rows=40,
                                 rounds=1, gate="off", reset=False)  # fmt: skip
    all_there(outcome)
    assert kinds_of(tmp_path) == ["classifier", "classifier"]


@pytest.mark.slow
async def test_a_finder_of_spans_is_trained_on_questions_in_a_worker(tmp_path: Path):
    for library in TORCH:
        pytest.importorskip(library, reason="needs upcycle[train]", exc_type=ImportError)
    people, towns = ("Anna", "Bob", "Carl"), ("Oslo", "Rome", "Lima", "Paris")
    gold = []
    for number in range(48):
        who, town = people[number % 3], towns[number // 3 % 4]
        story, words = (" ".join(Random(f"{number} {what}").sample(FILLERS, 9)) for what in ("story", "question"))
        asked_for = f"where lives {who} {words} ?" if number % 3 else f"in {words} lives ?"
        text = f"Context: {town} was where {who} lives , in {story}\nQuestion: {asked_for}"
        gold.append(Gold(input=text, output=town if number % 3 else who))

    def script(request: Request) -> str:
        return f"where lives the {' '.join(Random(request.sample).sample(FILLERS, 9))} ?"

    task = make_task("Answer from the context.", gold=gold, contract={"kind": "span"}, metric="squad")
    training = trained_with(tiny_models.encoder(tmp_path / "encoder"), epochs=8)
    outcome = await extrapolated(tmp_path, task=task, script=script, fitting=fit, training=training, rows=40, rounds=1,
                                 gate="off")  # fmt: skip
    all_there(outcome)
    assert kinds_of(tmp_path) == ["span", "span"]


@pytest.mark.slow
async def test_a_language_model_is_trained_on_from_the_round_before(tmp_path: Path):
    for library in TORCH:
        pytest.importorskip(library, reason="needs upcycle[train]", exc_type=ImportError)
    numbers = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    gold = [Gold(input=f"say {one} a {n}", output="yes , a wonderful film" if n % 3 else "no , a boring film")
            for n, one in enumerate(numbers * 4)]  # fmt: skip

    def script(request: Request) -> Any:
        said = Random(request.sample).choice(numbers)
        return {"input": f"number {request.sample} is {said}", "output": "yes , a wonderful film"}

    shown = [Demonstration(input="say nine and 99", output="yes , a wonderful film"),
             Demonstration(input="say ten and 98", output="no , a boring film")]  # fmt: skip
    task = make_task("Say it.", demonstrations=shown, gold=gold, contract={"kind": "text"}, metric="exact_match")
    training = trained_with(tiny_models.causal(tmp_path / "causal", chat=True), epochs=4, max_tokens=48)
    outcome = await extrapolated(tmp_path, task=task, script=script, fitting=fit, training=training, rows=40, rounds=1,
                                 gate="off", reset=False)  # fmt: skip
    all_there(outcome)
    assert kinds_of(tmp_path) == ["causal", "causal"]
