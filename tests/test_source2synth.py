"""Source2Synth, the method: slices by unit, an intermediate model, the filter of k tries, imputation, resuming."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grounding import Keepers, Knows, School, animal
from upcycle.config import Source2Synth
from upcycle.curation.check import KEEP
from upcycle.errors import ConfigError, ProviderError, RowError, RowKind, SourceError
from upcycle.llm.model import Completion, Model, Request
from upcycle.llm.roles import Roles
from upcycle.methods.source2synth import FACTS_FILE, slices, source2synth
from upcycle.methods.source2synth.application import Grounded, Unit, Writer
from upcycle.methods.source2synth.matching import soft_match
from upcycle.methods.source2synth.slices import side
from upcycle.records import Dropped, Example
from upcycle.run import Run
from upcycle.task import make_task
from upcycle.testing import ScriptedModel

TASK = make_task("Say which animal a keeper feeds.", language="en")
Results = list[Example | Dropped]


async def made(
    folder: Path,
    rows: int,
    *,
    application: Any = None,
    school: Any = None,
    model: Model | None = None,
    judge: Model | None = None,
    check: Any = lambda _: KEEP,
    screen: Any = lambda _: KEEP,
    at_once: int = 8,
    seed: int = 0,
    told: list[str] | None = None,
    until: Callable[[Results], bool] | None = None,
    **settings: Any,
) -> Results:
    """What the method gives until so many rows are kept or it ends; `until` closes it in the middle."""
    results: Results = []
    with Run(folder) as run:
        stream = source2synth(
            TASK,
            Source2Synth(**settings),
            application=application or Keepers(200),
            models=Roles(executor=model, judge=judge),
            run=run,
            check=check,
            screen=screen,
            train=school or School(),
            needed=lambda: rows - len(kept(results)),
            seed=seed,
            at_once=at_once,
        )
        try:
            async for one in stream:
                results.append(one)
                if until is not None and until(results):
                    break
        finally:
            await stream.aclose()
            if told is not None:
                told += [*run.notes, *run.ended.values()]
    return results


def kept(results: Results) -> list[Example]:
    return [one for one in results if isinstance(one, Example)]


def dropped(results: Results) -> list[Dropped]:
    return [one for one in results if isinstance(one, Dropped)]


def units_of(examples: list[Example]) -> set[str]:
    return {str(one.origin.record) for one in examples}


async def test_no_unit_is_in_both_slices(tmp_path: Path):
    school = School()
    results = await made(tmp_path / "run", 60, school=school, per_unit=3)
    learned = {example.origin.record for example in school.taught[0]}
    assert len(kept(results)) == 60
    assert learned
    assert not learned & units_of(kept(results))
    assert {example.origin.split for example in kept(results)} == {"slice 1"}


async def test_the_side_of_a_unit_hangs_on_its_name_and_the_seed_alone():
    names = [f"table-{number}.csv" for number in range(2000)]
    assert [side(name, 3) for name in names] == [side(name, 3) for name in names]
    assert 900 < sum(side(name, 3) for name in names) < 1100
    assert [side(name, 3) for name in names] != [side(name, 4) for name in names]


async def test_the_rows_are_the_same_at_any_concurrency(tmp_path: Path):
    one = await made(tmp_path / "one", 40, at_once=1, per_unit=2)
    many = await made(tmp_path / "many", 40, at_once=64, per_unit=2)
    assert [row.id for row in one] == [row.id for row in many]


async def test_the_filter_removes_wrong_examples_and_keeps_sound_ones(tmp_path: Path):
    # A student that answers what is sound 9 times in 10; every fourth example has a wrong answer.
    application = Keepers(400, spoiled=4)
    results = await made(
        tmp_path / "run", 10_000, application=application, school=School(Knows(right=0.9)), slice=600, impute="off"
    )
    facts = load_facts(tmp_path / "run")["filter"]["kinds"]
    assert facts["spoiled"]["asked"] >= 100
    assert facts["spoiled"]["kept"] <= 0.2 * facts["spoiled"]["asked"]
    assert facts["sound"]["kept"] >= 0.8 * facts["sound"]["asked"]
    assert facts["sound"]["kept"] + facts["spoiled"]["kept"] == len(kept(results))
    assert {one.reason.partition(" tries")[0] for one in dropped(results)} == {"not answered in 3"}
    assert {one.kind for one in dropped(results)} == {RowKind.UNANSWERED}


async def test_more_tries_keep_more_of_what_a_weak_student_can_answer(tmp_path: Path):
    counts = []
    for tries in (1, 3):
        student = School(Knows(right=0.4))
        results = await made(tmp_path / str(tries), 10_000, school=student, slice=200, tries=tries, impute="off")
        counts.append(len(kept(results)))
    assert counts[0] < 0.5 * 200 < 0.7 * 200 < counts[1]


async def test_what_every_try_gets_right_can_be_thinned_out(tmp_path: Path):
    results = await made(tmp_path / "run", 10_000, slice=200, easy=0.5, impute="off")
    assert 70 <= len(kept(results)) <= 130
    assert {one.kind for one in dropped(results)} == {RowKind.BALANCE}


async def test_the_keep_rate_is_told_beside_the_papers_with_its_interval(tmp_path: Path):
    told: list[str] = []
    await made(tmp_path / "run", 10_000, application=Keepers(300, spoiled=2), slice=100, told=told, impute="off")
    assert told[0].startswith("filter kept ")
    assert "95 % " in told[0]
    assert told[0].endswith("the paper removed 13 % of its multi-hop questions and kept 27 % of its table questions")
    assert told[1].startswith("kept by type: sound ")
    assert told[-1] == "slice 1 came to its 100 examples"
    facts = load_facts(tmp_path / "run")
    assert facts["slice_0"] == facts["slice_1"] == facts["filter"]["asked"] == 100
    assert sum(facts["filter"]["tries_right"].values()) == 100


async def test_an_example_is_taught_as_chain_and_answer_and_kept_apart_in_the_dataset(tmp_path: Path):
    school = School()
    results = await made(tmp_path / "run", 5, school=school, impute="off")
    lesson, row = school.taught[0][0], kept(results)[0]
    assert lesson.output.startswith("The book of the zoo says so.\nAnswer: ")
    assert row.output in ("bear", "heron", "lynx", "otter", "raven", "toad", "vole", "wren")
    assert row.rationale == "The book of the zoo says so."


async def test_only_the_answer_is_taught_on_request(tmp_path: Path):
    school = School()
    await made(tmp_path / "run", 5, school=school, teach="answer")
    assert not any("Answer:" in lesson.output for lesson in school.taught[0])


async def test_an_open_book_shows_the_context_and_a_closed_one_does_not(tmp_path: Path):
    opened = await made(tmp_path / "open", 5)
    closed = await made(tmp_path / "closed", 5, book="closed")
    assert all(row.input.startswith("Context: Keeper ") and "\nQuestion: " in row.input for row in kept(opened))
    assert all(row.input.startswith("Which animal ") for row in kept(closed))


async def test_slice_0_can_be_part_of_the_set(tmp_path: Path):
    results = await made(tmp_path / "run", 60, slice_0=True)
    slices = [row.origin.split for row in kept(results)]
    assert slices == ["slice 0"] * 30 + ["slice 1"] * 30


async def test_without_an_intermediate_model_nothing_is_trained_or_filtered(tmp_path: Path):
    school = School()
    application = Keepers(100, spoiled=2)
    results = await made(tmp_path / "run", 60, application=application, school=school, intermediate="none")
    assert len(kept(results)) == 60
    assert school.taught == []
    assert not (tmp_path / "run" / FACTS_FILE).exists()


class Neighbours(Keepers):
    """Keepers that note whether any other unit may be used beside theirs."""

    async def construct(self, unit: Unit, writer: Writer) -> list[Grounded | Dropped]:
        self.met = getattr(self, "met", set()) | {writer.allowed(f"unit {number}") for number in range(50)}
        return await super().construct(unit, writer)


@pytest.mark.parametrize(("intermediate", "met"), [("trained", {True, False}), ("none", {True})])
async def test_only_where_a_model_is_trained_on_one_half_are_documents_of_the_other_kept_out(
    tmp_path: Path, intermediate: str, met: set[bool]
):
    application = Neighbours(60)
    await made(tmp_path / "run", 10, application=application, intermediate=intermediate)
    assert application.met == met


async def test_too_few_examples_to_train_on_end_the_method_in_a_sentence(tmp_path: Path):
    with pytest.raises(SourceError, match=r"examples in slice 0, too few to train on \(at least 8\); give more tables"):
        await made(tmp_path / "run", 50, application=Keepers(3, broken=2), per_unit=1)


async def test_a_slice_too_small_to_train_on_is_refused_before_anything_is_written(tmp_path: Path):
    model = ScriptedModel([])
    with pytest.raises(ConfigError, match=r"slice is 5, too few to train on \(at least 8\); give a larger one"):
        await made(tmp_path / "run", 5, application=Keepers(9, asks=True), model=model, slice=5)
    assert not model.requests
    assert await made(tmp_path / "other", 5, slice=5, intermediate="none")


async def test_an_exhausted_source_ends_it_and_says_so(tmp_path: Path):
    told: list[str] = []
    results = await made(tmp_path / "run", 1000, application=Keepers(40), told=told)
    assert 0 < len(kept(results)) < 160
    assert told[-1] == "the source is exhausted"


async def test_units_that_cannot_be_used_are_each_told_once(tmp_path: Path):
    results = await made(tmp_path / "run", 1000, application=Keepers(60, broken=3))
    broken = [one for one in dropped(results) if one.stage == "source"]
    assert len(broken) == len({one.id for one in broken}) == 20


async def test_what_the_checks_drop_is_dropped_and_never_teaches(tmp_path: Path):
    from upcycle.records import Verdict

    def no_bears(example: Example) -> Any:
        return Verdict(example.output != "bear", RowKind.CONTRACT, "bears are out")

    school = School()
    results = await made(tmp_path / "run", 60, school=school, check=no_bears, screen=no_bears, impute="off")
    assert not [lesson for lesson in school.taught[0] if lesson.output.endswith("bear")]
    assert not [row for row in kept(results) if row.output == "bear"]
    stages = {one.stage for one in dropped(results) if one.reason == "bears are out"}
    assert stages == {"slice 0", "curation"}


# -- resuming ------------------------------------------------------------------------------------------------------


async def test_a_resumed_run_trains_asks_and_pays_nothing_again(tmp_path: Path):
    school, model = School(Knows(right=0.6)), counting()
    half = await made(
        tmp_path / "run", 80, application=Keepers(200, asks=True), school=school, model=journaled(tmp_path, model),
        until=lambda results: len(kept(results)) >= 20,
    )  # fmt: skip
    asked, said = len(model.requests), len(school.student.asked)
    whole = await made(
        tmp_path / "run", 80, application=Keepers(200, asks=True), school=school, model=journaled(tmp_path, model)
    )
    assert [row.id for row in whole[: len(half)]] == [row.id for row in half]
    assert len(kept(whole)) == 80
    assert len(school.taught) == 1
    assert school.opened == 1
    assert len(school.student.asked) == len(set(school.student.asked))
    assert len(model.requests) == len({request.messages[0]["content"] for request in model.requests}) > asked
    assert said > 0


async def test_more_rows_go_on_with_the_same_intermediate_model(tmp_path: Path):
    school = School()
    few = await made(tmp_path / "run", 20, school=school)
    more = await made(tmp_path / "run", 60, school=school)
    assert [row.id for row in kept(more)][:20] == [row.id for row in kept(few)]
    assert len(school.taught) == 1


async def test_a_fatal_answer_ends_the_run_and_what_was_made_is_kept(tmp_path: Path):
    replies = 0

    def script(request: Request) -> Any:
        nonlocal replies
        replies += 1
        return ProviderError("the key is wrong") if replies > 90 else request.messages[0]["content"]

    results: Results = []
    with pytest.raises(ProviderError, match="the key is wrong"):
        await made(
            tmp_path / "run", 60, application=Keepers(200, asks=True), model=ScriptedModel(script),
            until=lambda found: bool(results.extend(found[len(results):])),
        )  # fmt: skip
    assert 0 < len(kept(results)) < 60


async def test_a_unit_the_model_cannot_do_is_a_counted_reason_and_the_others_go_on(tmp_path: Path):
    def script(request: Request) -> Any:
        text = request.messages[0]["content"]
        return RowError(RowKind.UNPARSEABLE, "prose where a question was asked") if "keeper 7 " in text else text

    results = await made(tmp_path / "run", 1000, application=Keepers(40, asks=True), model=ScriptedModel(script))
    failed = [one for one in dropped(results) if one.kind == RowKind.UNPARSEABLE]
    assert [one.origin.record for one in failed] == ["keeper-7"]
    assert failed[0].reason == "prose where a question was asked"


def counting() -> ScriptedModel:
    return ScriptedModel(lambda request: request.messages[0]["content"])


def journaled(folder: Path, model: Model) -> Model:
    """A model whose replies are remembered in a file of their own, as the gateway does in a run's."""
    return Remembering(folder / "replies", model)


class Remembering:
    """Remembers replies on disk by the request's key."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.name, self.endpoint, self._folder, self._model = model.name, model.endpoint, folder, model
        folder.mkdir(exist_ok=True)

    async def complete(self, request: Request) -> Completion:
        file = self._folder / request.key(self.endpoint, self.name).hex()
        if not file.exists():
            file.write_text((await self._model.complete(request)).text)
        return Completion(file.read_text())

    async def close(self) -> None:
        await self._model.close()


# -- imputation ----------------------------------------------------------------------------------------------------


async def test_imputation_replaces_the_question_where_the_answer_stays(tmp_path: Path):
    told: list[str] = []
    results = await made(tmp_path / "run", 30, told=told)
    assert all(row.input.endswith("(rebuilt)") for row in kept(results))
    facts = load_facts(tmp_path / "run")["imputation"]
    assert facts["blanked"] >= facts["kept"] >= 30
    assert facts["word_for_word"] == 0
    assert facts["perplexity_before"] != facts["perplexity_after"]
    assert told[1].startswith("imputation kept ")


async def test_a_question_that_is_rebuilt_word_for_word_is_told_as_such(tmp_path: Path):
    told: list[str] = []
    await made(tmp_path / "run", 10, application=Keepers(200, mark=""), told=told)
    facts = load_facts(tmp_path / "run")["imputation"]
    assert facts["word_for_word"] == facts["kept"] >= 10
    assert facts["perplexity_before"] == facts["perplexity_after"]
    assert f"rewritten questions, {facts['kept']} word for word" in told[1]


async def test_imputation_teaches_the_student_how_a_blank_is_filled(tmp_path: Path):
    school = School()
    await made(tmp_path / "run", 10, school=school)
    blanks = [lesson for lesson in school.taught[0] if lesson.input.startswith("Rebuild: ")]
    assert len(blanks) == len(school.taught[0]) // 2
    assert all(lesson.output.startswith("part Which animal") for lesson in blanks)


@pytest.mark.parametrize("order", ["after", "before"])
async def test_a_rebuilt_question_with_another_answer_is_dropped(tmp_path: Path, order: str):
    school = School(Knows(rebuilds="Which animal does keeper 999 feed at 5 o'clock?"))
    results = await made(tmp_path / "run", 1000, school=school, slice=64, impute=order)
    lost = [one for one in dropped(results) if one.stage == "imputation"]
    assert {one.reason for one in lost} == {"the question with the rebuilt part does not lead to the answer any more"}
    # The context is the same, so only where keeper 999 happens to feed the same animal is the answer unchanged.
    assert {row.output for row in kept(results)} <= {animal(999, 5)}


async def test_a_part_that_cannot_be_put_back_is_dropped_with_the_applications_reason(tmp_path: Path):
    results = await made(tmp_path / "run", 50, school=School(Knows(rebuilds="nonsense")), slice=32)
    assert kept(results) == []
    assert {one.reason for one in dropped(results)} == {"the entity is still in the question"}


# -- a served model ------------------------------------------------------------------------------------------------


async def test_a_served_model_is_shown_slice_0_and_asked_as_often(tmp_path: Path):
    seen: list[Request] = []
    student = Knows(right=0.5)

    def script(request: Request) -> str:
        seen.append(request)
        return student.predict([request.messages[1]["content"]])[0][0]

    told: list[str] = []
    results = await made(
        tmp_path / "run", 20, judge=ScriptedModel(script, name="served/model"), intermediate="served", shots=4,
        tries=4, temperature=0.9, impute="off", told=told,
    )  # fmt: skip
    assert len(kept(results)) == 20
    assert {request.temperature for request in seen} == {0.9}
    assert {request.sample for request in seen} == {0, 1, 2, 3}
    assert {request.messages[0]["content"].count("<input>") for request in seen} == {4}
    assert "served/model, served, with 4 examples of slice 0 in its prompt" in told[0]


async def test_a_served_model_that_gives_no_answer_is_a_failure_and_not_a_verdict(tmp_path: Path):
    model = ScriptedModel(lambda _: RowError(RowKind.API_TRANSIENT, "the server is gone"))
    results = await made(tmp_path / "run", 5, judge=model, intermediate="served", slice=8, impute="off")
    assert {one.kind for one in dropped(results)} == {RowKind.API_TRANSIENT}


def test_a_served_model_that_is_not_there_is_said_at_once(tmp_path: Path):
    with Run(tmp_path / "run") as run, pytest.raises(ConfigError, match="no model is there to serve it"):
        source2synth(
            TASK, Source2Synth(intermediate="served"), application=Keepers(9), models=Roles(), run=run,
            check=lambda _: KEEP, screen=lambda _: KEEP, train=School(), needed=lambda: 1,
        )  # fmt: skip


# -- what a writer gives -------------------------------------------------------------------------------------------


def test_a_writer_gives_every_example_its_origin_and_draws_the_same_again():
    unit = Unit("t.csv", "folder", None, "abc", ("CC0-1.0",))
    first, again = (Writer(unit, task=TASK, model=None, seed=3) for _ in range(2))
    assert [first.rng.random() for _ in range(3)] == [again.rng.random() for _ in range(3)]
    one = first.grounded("Who?", "she", context="", units=["other.csv", "t.csv"])
    two = first.dropped("too short")
    assert one.units == ("t.csv", "other.csv")
    assert (one.origin.source, one.origin.record, one.origin.revision) == ("folder", "t.csv", "abc")
    assert one.id != two.id
    assert again.grounded("Who?", "she", context="").id == one.id


async def test_a_writer_without_a_model_says_what_to_do():
    writer = Writer(Unit("t.csv", "folder", None), task=TASK, model=None, seed=3)
    with pytest.raises(ConfigError, match="name one with --model"):
        await writer.ask(Request(({"role": "user", "content": "?"},), "source2synth"))


@pytest.mark.parametrize(
    ("said", "answer", "right"),
    [
        ("The bear.", "a bear", True),
        ("Chain of thought. Answer: 1,250", "1250", True),
        ("Answer: Rome\nAnswer: Paris", "Rome", False),
        ("I think that it was in Rome, Italy", "Rome", True),
        ("either 4 or 5", "5", False),
        ("", "5", False),
        ("no idea", "Noid", False),
        ("Rome is " + "very " * 20 + "old", "Rome", False),
    ],
)
def test_answers_are_matched_by_the_stated_rules(said: str, answer: str, right: bool):
    assert soft_match(said, answer) is right


def load_facts(run: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load((run / FACTS_FILE).read_text())


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(slices).failed == 0
