"""S3 on every kind of task: single texts, pairs, extractive questions, free text; and the paper's four presets."""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from s3_trainers import fit_reader
from s3_world import FILLERS
from test_s3 import Outcome, extrapolated, of_round
from upcycle.config import S3, Training
from upcycle.curation.decontamination.tiers import contamination_check
from upcycle.curation.duplicates.exact import folded
from upcycle.errors import ConfigError, RowKind
from upcycle.llm.model import Request
from upcycle.methods.s3 import gold_parts
from upcycle.methods.s3.cleaning import cleaned
from upcycle.methods.s3.presets import PRESETS, with_preset
from upcycle.parts import parts_of
from upcycle.records import Example, Origin
from upcycle.sources.files.readers import rows as read_rows
from upcycle.task import Demonstration, Gold, Task, make_task

DATA = Path(os.environ.get("UPCYCLE_DATA") or Path(__file__).parents[2] / "shared" / "data") / "s3"
data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data folder is not there")


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched weights change which checks a build has; here it has those of a machine without any."""
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "cache"))


def asked(request: Request) -> str:
    return request.messages[-1]["content"]


def between(text: str, tag: str) -> str:
    found = re.search(rf"<{tag}>\s*(.*?)\s*</{tag}>", text, re.DOTALL)
    return found[1] if found else ""


# -- pairs -------------------------------------------------------------------------------------------------------------

ANIMALS = ("otter", "heron", "badger", "lynx", "stoat", "egret", "marten", "bittern")
PLACES = ("Oslo", "Quito", "Dakar", "Perth", "Turin", "Leeds", "Osaka", "Lima")


def pairs(count: int = 96) -> list[Gold]:
    """A sentence of who went where, and another that follows from it or does not; three to a premise."""
    random = Random(7)
    found = []
    for number in range(count // 3):
        who, where = ANIMALS[number % 8], PLACES[number // 8 % 8]
        premise = (
            f"In the year {1800 + number} the old {who} number {number} walked all the way to {where} for its supper."
        )
        for turn in range(3):
            label = "no" if (number + turn) % 2 else "yes"
            said = random.choice(("surely", "truly")) if label == "yes" else random.choice(("hardly", "scarcely"))
            text = f"Premise: {premise}\nHypothesis: The {who} {said} came to {where} {turn} times."
            found.append(Gold(input=text, output=label))
    return found


def pair_task(**more: Any) -> Task:
    return make_task("Does the hypothesis follow from the premise?", gold=more.pop("gold", None) or pairs(), **more)


class Logician:
    """Writes a sentence that goes with the context and the label it is asked for."""

    def __init__(self) -> None:
        self.written = 0

    def __call__(self, request: Request) -> Any:
        prompt = asked(request)
        if '"pattern"' in prompt:
            return {"pattern": "They hang on one small word"}
        self.written += 1
        label = re.findall(r'right output (?:is|for it is) "(yes|no)"', prompt)[0]
        word = ("surely", "truly") if label == "yes" else ("hardly", "scarcely")
        shown = between(prompt, "example")
        verb = Random(self.written).choice(("got", "moved", "wandered", "returned"))
        said = word[1] if shown else word[0]
        text = f"Somebody number {self.written} {said} {verb} there, people say in town {self.written * 7}."
        if "JSON" in request.messages[0]["content"]:
            return {
                "Premise": f"Long ago the fox number {self.written} sat in tree {self.written * 3}.",
                "Hypothesis": text,
            }
        return f'"{text}"'


async def test_a_pair_inherits_context_and_label_word_for_word(tmp_path: Path):
    outcome = await extrapolated(tmp_path, task=pair_task(), script=Logician(), rows=90, gate="off")
    mine = {row.id: row for row in gold_parts(pair_task(), S3()).mine}
    contexts = {row.input.partition("\nHypothesis: ")[0] for row in mine.values()}
    assert outcome.facts["kind"] == "pair"
    assert not outcome.prompts("different reasons")
    assert of_round(outcome.kept, 1)
    for row in outcome.kept:
        context, _, hypothesis = row.input.partition("\nHypothesis: ")
        assert context in contexts
        assert not hypothesis.startswith('"')
        if row.origin.round:
            parent = mine[row.origin.parents[0]]
            assert parent.input.startswith(context + "\n")
            assert parent.output == row.output


async def test_rows_of_one_context_are_in_one_part_of_the_gold():
    parts = gold_parts(pair_task(), S3())
    owners: dict[str, set[str]] = defaultdict(set)
    for name in ("mine", "select", "test"):
        for row in getattr(parts, name):
            owners[parts_of(row.input, ("Premise", "Hypothesis"))["Premise"]].add(name)
    assert len(owners) == 32
    assert all(len(one) == 1 for one in owners.values())
    for name, share in (("mine", 0.5), ("select", 0.25), ("test", 0.25)):
        labels = Counter(row.output for row in getattr(parts, name))
        assert abs(sum(labels.values()) - 96 * share) <= 6
        assert abs(labels["yes"] - labels["no"]) <= 6


async def test_patterns_of_pairs_are_written_whole_and_share_no_context_with_gold(tmp_path: Path):
    outcome = await extrapolated(tmp_path, task=pair_task(), script=Logician(), rows=80, gate="off",
                                 extrapolate="patterns", rounds=1)  # fmt: skip
    added = of_round(outcome.kept, 1)
    premises = {folded(parts_of(row.input, ("Premise", "Hypothesis"))["Premise"]) for row in pair_task().gold}
    assert added
    assert not [row for row in added if folded(parts_of(row.input, ("Premise", "Hypothesis"))["Premise"]) in premises]


async def test_another_part_is_written_where_it_is_named(tmp_path: Path):
    swapped = [
        Gold(input="\n".join(reversed(row.input.replace("Hypothesis", "Question").split("\n"))), output=row.output)
        for row in pairs()
    ]
    task = pair_task(gold=swapped)
    outcome = await extrapolated(tmp_path, task=task, script=Logician(), rows=40, write="Question", rounds=1)
    premises = {row.input.partition("\n")[2] for row in swapped}
    assert {row.input.partition("\n")[2] for row in outcome.kept} <= premises
    assert all(row.input.startswith("Question: Somebody") for row in outcome.kept)


async def test_a_part_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"'Query' is no part of the gold's inputs; their parts are Premise, Hypothesis"
    ):
        await extrapolated(tmp_path, task=pair_task(), script=Logician(), write="Query")


async def test_a_repeated_hypothesis_of_the_same_premise_is_a_copy_and_a_shared_premise_is_none(tmp_path: Path):
    logician = Logician()

    def script(request: Request) -> Any:
        shown = between(asked(request), "example")
        return shown.upper() if shown else logician(request)

    outcome = await extrapolated(tmp_path, task=pair_task(), script=script, rows=90)
    assert {row.origin.round for row in outcome.kept} == {0}
    copies = [one for one in outcome.dropped if one.kind == RowKind.CONTAMINATED]
    assert copies
    assert "a mined row of the same context" in copies[0].reason


# -- extractive questions ----------------------------------------------------------------------------------------------


def questions(count: int = 60) -> list[Gold]:
    """A paragraph of who lives where, and a question whose answer stands in it."""
    found = []
    for number in range(count):
        who, where = ANIMALS[number % 8].title(), PLACES[number // 8 % 8]
        context = f"{who} {number} lives in {where}. It was born in {1700 + number}. Its den has {number + 3} rooms."
        kind = number % 3
        asked_for = (f"Where does it live in story {number}?", f"When was it born, in story {number}?",
                     f"How many rooms has the den of story {number}?")[kind]  # fmt: skip
        answer = (where, str(1700 + number), str(number + 3))[kind]
        found.append(Gold(input=f"Context: {context}\nQuestion: {asked_for}", output=answer))
    return found


def question_task(rows: Sequence[Gold] | None = None) -> Task:
    return make_task("Answer from the context.", gold=rows or questions(), contract={"kind": "span"}, metric="squad")


def asker(request: Request) -> str:
    """Asks for figures in a way the gold does not, until it is shown how."""
    prompt = asked(request)
    answer = re.findall(r"(?:exactly|same answer): (.+)$", prompt)[0].strip()
    tail = " ".join(Random(request.sample).sample(FILLERS, 8))
    shown = between(prompt, "question")
    if shown:
        return f"{' '.join(shown.split()[:4])} {tail}?"
    return f"Which figure is told, {tail}?" if answer.isdigit() else f"Where does it live, {tail}?"


async def test_a_question_is_written_for_a_context_and_an_answer_and_inherits_both(tmp_path: Path):
    outcome = await extrapolated(tmp_path, task=question_task(), script=asker, rows=50, gate="off", fitting=fit_reader)
    mine = {row.id: row for row in gold_parts(question_task(), S3()).mine}
    known = {(row.input.partition("\nQuestion: ")[0], row.output) for row in mine.values()}
    assert outcome.facts["kind"] == "span"
    assert outcome.facts["metric"] == "squad"
    assert of_round(outcome.kept, 1)
    for row in outcome.kept:
        assert (row.input.partition("\nQuestion: ")[0], row.output) in known
        assert row.output in row.input.partition("\nQuestion: ")[0]


async def test_gold_answers_that_are_not_in_their_context_are_set_aside(tmp_path: Path):
    rows = questions()
    broken = [*rows[:50], *(row.model_copy(update={"output": "Atlantis"}) for row in rows[50:])]
    outcome = await extrapolated(tmp_path, task=question_task(broken), script=asker, rows=30, fitting=fit_reader)
    audit = [json.loads(line) for line in (tmp_path / "s3" / "audit.jsonl").read_text().splitlines()]
    assert outcome.facts["gold"]["set_aside"] == 10
    assert [one["id"] for one in audit][:10] == [f"gold {number}" for number in range(51, 61)]
    assert audit[0]["reason"] == "its answer does not stand in its context"


async def test_gold_of_which_no_answer_is_in_its_context_is_refused(tmp_path: Path):
    rows = [row.model_copy(update={"output": "Atlantis"}) for row in questions()]
    with pytest.raises(ConfigError, match="none of the 60 gold rows can be used: its answer does not stand"):
        await extrapolated(tmp_path, task=question_task(rows), script=asker, fitting=fit_reader)


async def test_spans_without_a_context_and_a_question_are_refused(tmp_path: Path):
    rows = [row.model_copy(update={"input": row.input.replace("Context: ", "").replace("Question: ", "")})
            for row in questions()]  # fmt: skip
    with pytest.raises(ConfigError, match="write them like 'Context: "):
        await extrapolated(tmp_path, task=question_task(rows), script=asker, fitting=fit_reader)


# -- input and output --------------------------------------------------------------------------------------------------


class Speller:
    """A student of text: says what was said to the most similar input it was taught."""

    def __init__(self, known: dict[str, str]) -> None:
        self._known = known

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        return [[self._near(text)] * samples for text in inputs]

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        return [[0.0 for _ in some] for some in choices]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    def _near(self, text: str) -> str:
        words = set(text.lower().split())
        return self._known[max(self._known, key=lambda one: len(words & set(one.lower().split())))]


def fit_speller(examples: Sequence[Example], training: Training, **more: Any) -> Speller:
    return Speller({example.input: example.output for example in examples})


async def test_free_text_is_written_with_its_own_output_from_an_error(tmp_path: Path):
    # Each greeting is wanted in several ways, so that a row like an error helps on rows nobody mined.
    ways = ("politely", "kindly", "warmly", "well", "now")
    gold = [
        Gold(input=f"Greet {who} of {where} {how}", output=f"Good day, {who} from {where}!")
        for who in ANIMALS
        for where in PLACES[:2]
        for how in ways
    ]

    def script(request: Request) -> Any:
        prompt = asked(request)
        shown = re.search(r"Greet (\w+) of (\w+)", between(prompt, "example"))
        number = request.sample // 10_000
        who, where = (shown[1], shown[2]) if shown else (ANIMALS[number % 3], PLACES[0])
        return {"input": f"Hello {' '.join(Random(number).sample(FILLERS, 6))} to {who} of {where} please",
                "output": f"Good day, {who} from {where}!"}  # fmt: skip

    shown = [Demonstration(input="Greet wren of Bergen politely", output="Good day, wren from Bergen!"),
             Demonstration(input="Greet crow of Malmo politely", output="Good day, crow from Malmo!")]  # fmt: skip
    task = make_task("Write a greeting.", demonstrations=shown, gold=gold)
    outcome = await extrapolated(tmp_path, task=task, script=script, rows=60, fitting=fit_speller, rounds=1)
    assert outcome.facts["kind"] == "text"
    assert outcome.facts["metric"] == "exact_match"
    added = of_round(outcome.kept, 1)
    assert added
    assert outcome.facts["rounds"][0]["after"]["select"] > outcome.facts["rounds"][0]["before"]["select"]
    parents = {row.id: row for row in gold_parts(task, S3()).mine}
    for row in added:
        assert row.output == parents[row.origin.parents[0]].output


# -- cleaning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ('"It rains."', "It rains."),
        ("“It rains.”", "It rains."),
        ("'It rains.'", "It rains."),
        ('"It rains.', "It rains."),
        ("Hypothesis: It rains.", "It rains."),
        ('**Hypothesis:** "It rains."', "It rains."),
        ("New hypothesis: It rains.", "It rains."),
        ('Sure! Here is a similar sentence: "It rains."', "It rains."),
        ("Here's another one:\n\nIt rains.", "It rains."),
        ("```\nIt rains.\n```", "It rains."),
        ('"Yes" and "no" are words.', '"Yes" and "no" are words.'),
        ("He said: no.", "He said: no."),
        ("Hypothesis testing is dull.", "Hypothesis testing is dull."),
        ("'Tis the season.", "'Tis the season."),
        ("Here is where it rains.", "Here is where it rains."),
    ],
)
def test_only_what_frames_the_whole_text_is_taken_off(said: str, text: str):
    assert cleaned(said, prefixes=["Hypothesis", "Premise"]) == text


# -- the paper's tasks -------------------------------------------------------------------------------------------------


def test_a_preset_is_the_papers_settings_and_what_is_given_wins():
    settings, training = with_preset(S3(preset="rte", rounds=5), Training(batch=4))
    assert (settings.rounds, settings.per_error, settings.rationales, settings.write) == (5, 1, 0, "Hypothesis")
    assert (training.batch, training.learning_rates, training.epochs) == (4, (1e-5,), 20)
    imdb, _ = with_preset(S3(preset="imdb"), Training())
    assert imdb.rationales > 0
    assert set(PRESETS) == {"imdb", "qnli", "rte", "adqa"}
    for preset in PRESETS.values():
        # The first set and the additions of the paper make up its set.
        assert abs(preset.settings["first"] * preset.rows + preset.shown - preset.rows) < 0.02 * preset.rows


@pytest.mark.data
@data
def test_a_synthetic_file_that_is_gold_in_disguise_is_caught_by_the_contamination_check():
    # One of the files released with the paper is named synthetic and holds 873 rows of the gold as they are.
    gold = [row for row in read_rows(DATA / "rte" / "train_gold.parquet") if isinstance(row, dict)]
    texts = [f"Premise: {row['premise']}\nHypothesis: {row['hypothesis']}" for row in gold]
    check = contamination_check([(text, None) for text in texts], tiers=("exact", "overlap"))
    disguised = Random(0).sample(range(len(gold)), 873)
    caught = 0
    for number in disguised:
        verdict = check(Example(str(number), texts[number], str(gold[number]["label"]), Origin("s3")))
        caught += verdict.kind == RowKind.CONTAMINATED
    assert caught == 873
    # Most of the rows that were really written keep their premise and are no copies by their hypothesis.
    real = [row for row in read_rows(DATA / "rte" / "additional_1.jsonl") if isinstance(row, dict)]
    known = {(folded(str(row["premise"])), folded(str(row["hypothesis"]))) for row in gold}
    copies = sum((folded(str(row["premise"])), folded(str(row["hypothesis"]))) in known for row in real)
    assert copies == 0


def imdb_task() -> Task:
    rows = [row for row in read_rows(DATA / "imdb" / "train_gold_sample.parquet") if isinstance(row, dict)]
    gold = [Gold(input=str(row["text"]).replace("<br />", " "), output=str(row["label"])) for row in rows]
    return make_task("Say whether a film review is positive or negative.", gold=gold[:40] + gold[-40:])


def rte_task() -> Task:
    rows = [row for row in read_rows(DATA / "rte" / "train_gold.parquet") if isinstance(row, dict)][:160]
    gold = [Gold(input=f"Premise: {row['premise']}\nHypothesis: {row['hypothesis']}", output=str(row["label"]))
            for row in rows]  # fmt: skip
    return make_task("Does the hypothesis follow from the premise?", gold=gold)


def qnli_task() -> Task:
    rows = [row for row in read_rows(DATA / "qnli" / "test_gold.parquet") if isinstance(row, dict)][:160]
    gold = [Gold(input=f"Sentence: {row['sentence']}\nQuestion: {row['question']}", output=str(row["label"]))
            for row in rows]  # fmt: skip
    return make_task("Does the sentence answer the question?", gold=gold)


def adqa_task() -> Task:
    rows = [row for row in read_rows(DATA / "adqa" / "test_gold.parquet") if isinstance(row, dict)][:160]
    gold = [Gold(input=f"Context: {' '.join(row['context'].split())}\nQuestion: {row['question']}",
                 output=row["answers"]["text"][0]) for row in rows]  # fmt: skip
    gold = [row for row in gold if row.output in row.input.partition("\nQuestion: ")[0]]
    return make_task("Answer from the context.", gold=gold, contract={"kind": "span"}, metric="squad")


TASKS = {"imdb": imdb_task, "qnli": qnli_task, "rte": rte_task, "adqa": adqa_task}


def scripted(task: Task) -> Any:
    """A writer of texts made of the task's own words, a little different for each label."""
    words = sorted({word for row in task.gold for word in re.findall(r"[a-z]{4,}", row.input.lower())})

    def script(request: Request) -> Any:
        prompt = asked(request)
        if "different reasons" in prompt:
            return {"reasons": [f"{words[number * 3]} {words[number * 5 + 1]}" for number in range(20)]}
        random = Random(f"{prompt}{request.sample}")
        own = words[:: 2 if '"0"' in prompt else 3]
        return " ".join(random.sample(own, 14)).capitalize() + "?"

    return script


async def preset_run(folder: Path, name: str) -> Outcome:
    task = TASKS[name]()
    fitting = fit_reader if name == "adqa" else None
    return await extrapolated(folder, task=task, script=scripted(task), fitting=fitting, preset=name, rows=80,
                              gate="off", first=0.5)  # fmt: skip


@pytest.mark.data
@data
@pytest.mark.parametrize("name", list(TASKS))
async def test_a_preset_runs_from_end_to_end_on_the_papers_data(tmp_path: Path, name: str):
    outcome = await preset_run(tmp_path, name)
    facts = outcome.facts
    assert facts["kind"] == {"imdb": "single", "adqa": "span"}.get(name, "pair")
    assert facts["first"]["rows"] == 40
    assert [one["round"] for one in facts["rounds"]] in ([1], [1, 2])
    assert facts["rounds"][0]["added"] > 0
    assert facts["table"][0]["rows"] == len(outcome.kept)
    assert bool(outcome.prompts("different reasons")) == (name == "imdb")
    mine = {row.id: row for row in gold_parts(TASKS[name](), S3.model_validate({"preset": name})).mine}
    for row in of_round(outcome.kept, 1):
        assert row.output == mine[row.origin.parents[0]].output
