"""`upcycle evaluate`: demonstrations are never scored, doubts are said, predictions are kept and compared in pairs."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import upcycle
from upcycle.cli import main
from upcycle.errors import ConfigError, ProviderError, StaleRunError, UpcycleError
from upcycle.evaluation.asked import demonstrations_of
from upcycle.evaluation.evaluate import evaluate, option_named
from upcycle.evaluation.gold import GoldItem, PromptForm, gold_items
from upcycle.evaluation.scores import Prediction, compared, read_predictions
from upcycle.llm.model import Request
from upcycle.records import Example, Origin
from upcycle.task import Demonstration
from upcycle.testing import FakeServer
from upcycle.training.fit import fit

UPCYCLE = str(Path(sys.executable).with_name("upcycle"))
NOUNS = ("film", "play", "song", "book", "game", "meal", "trip", "show")
WORDS = {"positive": ("wonderful", "superb", "lovely"), "negative": ("dreadful", "boring", "awful")}
REVIEWS = [(f"a {word} {noun}", label) for label, words in WORDS.items() for word in words for noun in NOUNS]
UNSEEN = [(f"truly {word}, this {noun}", label) for label, words in WORDS.items() for word in words for noun in NOUNS]


class Sayer:
    """Says and likes what its functions say, and remembers what it was asked."""

    def __init__(self, say: Any = lambda text: "", like: Any = lambda text, choice: 0.0, **more: Any) -> None:
        self.say, self.like, self.asked = say, like, []
        self.__dict__.update(more)

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        self.asked += inputs
        return [[self.say(text)] * samples for text in inputs]

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        self.asked += inputs
        return [[self.like(text, one) for one in asked] for text, asked in zip(inputs, choices, strict=True)]

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def rows_in(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def labelled(path: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    return rows_in(path, [{"input": text, "output": label} for text, label in pairs])


def chosen(number: int) -> list[GoldItem]:
    return [GoldItem(str(n), f"Which is {n}?", (f"{n}",), (f"{n}", f"{n + 1}", f"{n + 2}")) for n in range(number)]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "student"
    fit([Example(f"{n}", text, label, Origin("existing")) for n, (text, label) in enumerate(REVIEWS)], folder=folder)
    return folder


def command(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UPCYCLE, "evaluate", *map(str, arguments)], capture_output=True, text=True, cwd=cwd)


# -- what is asked -------------------------------------------------------------------------------------------------


def test_demonstrations_drawn_from_gold_are_not_scored():
    model = Sayer(say=lambda text: text[-3:])
    scores = evaluate(model, chosen(40), "exact_match", shots=3)
    scored = {item.id for item in scores.items}
    assert len(scored) == 37
    drawn = set(map(str, range(40))) - scored
    assert all(model.asked[0].count(f"Which is {n}?\n{n}\n\n") == 1 for n in drawn)
    assert not any(f"Which is {n}?\n" in model.asked[0] for n in scored - drawn)


def test_the_draw_of_demonstrations_hangs_on_the_seed_alone():
    draws = [tuple(one.input for one in demonstrations_of(chosen(40), 3, (), seed)[0]) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_a_gold_item_that_asks_the_same_as_a_demonstration_is_not_scored_either():
    gold = [GoldItem(str(n), "Same question?", (f"{n}",)) for n in range(3)] + chosen(20)
    for seed in range(10):
        shown, left = demonstrations_of(gold, 2, (), seed)
        assert not {one.input for one in shown} & {item.input for item in left}


def test_given_demonstrations_that_are_gold_items_are_refused_whatever_the_order_of_their_options():
    given = [Demonstration(input="which is 4?\nchoice: 6\nchoice: 4\nchoice: 5", output="4")]
    with pytest.raises(ConfigError, match="demonstration 1 is itself a gold item"):
        evaluate(Sayer(), chosen(10), shots=1, demonstrations=given)
    other = [Demonstration(input="which is 99?\nchoice: 6\nchoice: 4", output="4")]
    assert len(evaluate(Sayer(), chosen(10), shots=1, demonstrations=other).items) == 10


def test_too_few_demonstrations_or_too_little_gold_to_draw_them_is_said():
    with pytest.raises(ConfigError, match="2 demonstrations are to be shown and 1 are given"):
        evaluate(Sayer(), chosen(9), shots=2, demonstrations=[Demonstration(input="x", output="y")])
    with pytest.raises(ConfigError, match="cannot be drawn from 3 gold items"):
        evaluate(Sayer(), chosen(3), shots=3)


def test_a_model_that_only_continues_text_gets_what_stands_before_the_answer():
    form = PromptForm("Tell.", "\nQ: ", "\nA:", "\n")
    for continues, end in ((True, "\nQ: Which is 0?\nA:"), (False, "\nQ: Which is 0?")):
        model = Sayer(continues=continues)
        evaluate(model, chosen(1), form=form)
        assert model.asked == [f"Tell.{end}"]


def test_labels_are_chosen_by_likelihood_where_a_model_only_continues_text():
    gold = gold_items([{"input": text, "output": label} for text, label in REVIEWS])
    model = Sayer(
        say=lambda text: "it never says a label", continues=True,
        like=lambda text, label: float(any(word in text for word in WORDS[label])),
    )  # fmt: skip
    assert evaluate(model, gold).main.value == 1


# -- what is said of the numbers -----------------------------------------------------------------------------------


def test_few_items_are_said_with_what_one_of_them_weighs():
    assert "51 items: one is 2.0 points, only large differences can be told" in evaluate(Sayer(), chosen(51)).warnings
    assert any("too few for any conclusion" in one for one in evaluate(Sayer(), chosen(9)).warnings)


def test_labels_never_seen_in_training_are_counted():
    gold = gold_items([{"input": f"{n}", "output": "mixed" if n % 4 == 0 else "positive"} for n in range(40)])
    scores = evaluate(Sayer(say=lambda text: "positive", labels=("positive", "negative")), gold)
    assert scores.main.value == 0.75
    assert "10 items with labels the model never saw in training ('mixed'): never right" in scores.warnings


def test_answers_that_are_no_choice_are_left_out_and_counted():
    gold = [*chosen(8), GoldItem("lost", "Which?", ("a",), ("b", "c"))]
    scores = evaluate(Sayer(), gold)
    assert scores.main.items == 8
    assert "1 item left out: the answer is not among the choices" in scores.warnings
    with pytest.raises(ConfigError, match="no gold item has its answer among its choices"):
        evaluate(Sayer(), gold[-1:])


def test_unequal_numbers_of_choices_are_told_and_weighed_item_by_item():
    gold = [GoldItem("a", "?", ("x",), ("x", "y")), GoldItem("b", "?", ("x",), ("x", "y", "z", "w"))]
    scores = evaluate(Sayer(like=lambda text, choice: -float(choice != "x")), gold)
    assert "items have 2 to 4 choices: chance is worked out item by item" in scores.warnings
    assert scores.beside["chance"] == pytest.approx(0.375)
    assert scores.estimates["normalized_aggregate_score"].value == pytest.approx(100)


def test_a_model_to_which_all_options_are_alike_scores_chance_and_it_is_said():
    gold = [GoldItem(str(n), "?", ("first",), ("first", "second")) for n in range(30)]
    scores = evaluate(Sayer(like=lambda text, choice: -math.inf), gold)
    assert scores.main.value == 0.5
    assert "30 items with several options equally likely to the model: they share the score" in scores.warnings


def test_a_likelihood_that_is_no_number_is_never_chosen_and_it_is_said():
    scores = evaluate(Sayer(like=lambda text, choice: math.nan if text.count(choice) else -1.0), chosen(20))
    assert scores.main.value == 0
    assert any("20 items with an option whose likelihood is no number" in one for one in scores.warnings)


def test_length_normalised_variants_stand_beside_the_grade():
    gold = [GoldItem("a", "?", ("a much longer answer",), ("a much longer answer", "no"))]
    model = Sayer(
        like=lambda text, choice: -5.0 if len(choice) > 2 else -2.0,
        token_counts=lambda inputs, choices: [[5, 1] for _ in inputs],
    )
    found = evaluate(model, gold).estimates
    assert (found["multiple_choice_grade"].value, found["per_character"].value, found["per_token"].value) == (0, 1, 1)


def test_soft_match_is_never_told_without_exact_match_f1_and_the_length_of_what_was_said():
    gold = gold_items([{"input": f"{n}", "output": f"answer number {n}"} for n in range(30)])
    scores = evaluate(Sayer(say=lambda text: f"I think it is answer number {text} or so"), gold, "soft_exact_match")
    assert scores.main.value == 1
    assert scores.estimates["exact_match"].value == 0
    assert 0 < scores.estimates["f1"].value < 1
    assert (scores.beside["words"], scores.beside["gold_words"]) == (9, 3)


def test_every_estimate_has_an_interval_that_holds_it():
    gold = gold_items([{"input": text, "output": label} for text, label in REVIEWS])
    for scores in (
        evaluate(Sayer(say=lambda text: "positive"), gold),
        evaluate(Sayer(say=dict(REVIEWS).__getitem__), gold, "accuracy"),
        evaluate(Sayer(say=lambda text: "neither"), gold, "accuracy"),
        evaluate(Sayer(say=lambda text: "positive"), gold, "soft_exact_match"),
        evaluate(Sayer(say=lambda text: "positive"), gold, "squad"),
        evaluate(Sayer(like=lambda text, choice: hash(text + choice) % 7), chosen(60)),
    ):
        for name, one in scores.estimates.items():
            assert one.low <= one.value <= one.high, name
            assert one.low < one.high, name
    assert scores.as_json()["multiple_choice_grade_ci"] == list(scores.main[1:3])


def test_a_model_that_always_says_the_same_is_told_of_and_one_that_rightly_does_is_not():
    gold = gold_items([{"input": text, "output": label} for text, label in REVIEWS])
    habit = evaluate(Sayer(say=lambda text: "Positive"), gold, "accuracy")
    assert "'positive' is the answer to 100% of the items, and right for 50%" in habit.warnings
    assert habit.as_json()["chosen"] == {"positive": len(gold)}
    mixed = evaluate(Sayer(say=dict(REVIEWS).__getitem__), gold, "accuracy")
    assert set(mixed.chosen.values()) == {len(gold) // 2}
    assert not any("is the answer to" in one for one in mixed.warnings)
    assert not any(
        "is the answer to" in one for one in evaluate(Sayer(say=lambda text: "positive"), gold[:24]).warnings
    )


def test_a_model_that_always_takes_the_option_of_one_place_is_told_of():
    gold = [GoldItem(str(n), f"Which {n}?", ("right",), ("right", "wrong")[:: 1 - 2 * (n % 2)]) for n in range(40)]
    last = {item.input: (item.choices or ())[-1] for item in gold}
    found = evaluate(Sayer(like=lambda text, choice: float(last[text.strip()] == choice)), gold)
    assert found.chosen == {"option 2": 40}
    assert "'option 2' is the answer to 100% of the items, and right for 50%" in found.warnings


def test_an_unknown_metric_and_no_items_are_said():
    with pytest.raises(ConfigError, match="'bleu' is not a metric; one of accuracy, "):
        evaluate(Sayer(), chosen(3), "bleu")
    with pytest.raises(ConfigError, match="there is no gold item to score"):
        evaluate(Sayer(), [])
    with pytest.raises(ConfigError, match="3 of 3 gold items have no choices"):
        evaluate(Sayer(), gold_items([{"input": "a", "output": "b"}] * 3), "multiple_choice_grade")


@pytest.mark.parametrize(
    ("said", "place"),
    [("Oslo", 0), ("It is Oslo.", 0), ("oslo!", 0), ("Rome or Oslo", None), ("none", None), ("It is New York City", 2)],
)
def test_a_written_answer_names_an_option_only_where_it_names_one(said: str, place: int | None):
    assert option_named(said, ["Oslo", "Rome", "New York City", "York"]) == place


# -- two models ----------------------------------------------------------------------------------------------------


def predictions(rights: Sequence[float], **more: Any) -> list[Prediction]:
    return [Prediction(str(number), "x", right, ("x",), **more) for number, right in enumerate(rights)]


def test_two_models_are_compared_on_the_items_both_have():
    found = compared(predictions([1] * 60), predictions([0] * 50))
    assert (found.items, found.left_out) == (50, 10)
    assert found.difference[:3] == (1, 1, 1)
    assert found.disagreement is not None
    assert found.disagreement[:2] == (50, 0)
    assert found.disagreement.p < 1e-10


def test_scores_that_are_not_right_or_wrong_take_the_bootstrap_alone():
    assert compared(predictions([0.5] * 20), predictions([0.25] * 20)).disagreement is None


def test_predictions_of_other_gold_are_refused():
    with pytest.raises(ConfigError, match="share no item"):
        compared(predictions([1]), [Prediction("other", "x", 1)])
    with pytest.raises(ConfigError, match="has the answer 'x' here and 'y'"):
        compared(predictions([1]), [Prediction("0", "x", 1, ("y",))])


def test_predictions_come_back_from_their_file_as_they_were(tmp_path: Path):
    from upcycle.report.evaluated import write_predictions

    items = predictions([1, 0.5], likelihoods=(-1.5, -math.inf), measures={"f1": 0.5})
    write_predictions(tmp_path, items)
    assert read_predictions(tmp_path / "predictions.jsonl") == items


@pytest.mark.parametrize("content", ["", "hello\n", '{"id": 1}\n', "[1]\n"])
def test_a_file_that_holds_no_predictions_is_said_in_a_sentence(tmp_path: Path, content: str):
    (tmp_path / "p.jsonl").write_text(content)
    with pytest.raises(ConfigError, match="predictions"):
        read_predictions(tmp_path / "p.jsonl")


# -- the whole verb ------------------------------------------------------------------------------------------------


async def test_an_evaluation_is_written_down_whole(tmp_path: Path, student: Path):
    gold = labelled(tmp_path / "gold.jsonl", UNSEEN)
    found = await upcycle.evaluate(student, gold, out=tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert facts["accuracy"] == found.scores.main.value > 0.9
    assert facts["accuracy_ci"][0] < facts["accuracy"] <= facts["accuracy_ci"][1]
    assert facts["beside"]["majority"] == 0.5
    assert [line["answers"][0] for line in lines] == [label for _, label in UNSEEN]
    assert sum(line["right"] for line in lines) / len(lines) == facts["accuracy"]
    assert "majority 50.0 %" in str(found)


async def test_gold_the_model_was_trained_on_is_left_out_and_counted(tmp_path: Path, student: Path):
    seen = [(f"  {text.upper()} ", label) for text, label in REVIEWS[:5]]
    found = await upcycle.evaluate(student, labelled(tmp_path / "g.jsonl", [*UNSEEN, *seen]), out=tmp_path / "out")
    assert found.scores.main.items == len(UNSEEN)
    assert "5 items left out: the model was trained on them" in found.scores.warnings
    with pytest.raises(ConfigError, match="the model was trained on every item"):
        await upcycle.evaluate(student, labelled(tmp_path / "all.jsonl", REVIEWS), out=tmp_path / "other")


async def test_a_model_that_forgot_its_training_set_says_that_overlap_is_not_known(tmp_path: Path):
    fit([Example("1", *REVIEWS[0], Origin("existing")), Example("2", *REVIEWS[-1], Origin("existing"))],
        upcycle_training(), folder=tmp_path / "student")  # fmt: skip
    (tmp_path / "student" / "seen.bin").unlink()
    found = await upcycle.evaluate(tmp_path / "student", labelled(tmp_path / "g.jsonl", UNSEEN), out=tmp_path / "out")
    assert any("overlap with it was not looked for" in one for one in found.scores.warnings)


def upcycle_training() -> Any:
    from upcycle.config import Training

    return Training(student="tfidf", kind="label")


async def test_a_limit_draws_items_and_says_so(tmp_path: Path, student: Path):
    gold = labelled(tmp_path / "g.jsonl", UNSEEN)
    found = await upcycle.evaluate(student, gold, limit=10, out=tmp_path / "out")
    assert found.scores.main.items == 10
    assert f"10 of {len(UNSEEN)} items, drawn with seed 0" in found.scores.warnings


async def test_a_classifier_is_shown_no_demonstrations(tmp_path: Path, student: Path):
    with pytest.raises(ConfigError, match="a classifier reads its input and no demonstrations"):
        await upcycle.evaluate(student, labelled(tmp_path / "g.jsonl", UNSEEN), shots=2, out=tmp_path / "out")


def test_the_command_prints_intervals_and_compares_with_an_earlier_evaluation(tmp_path: Path, student: Path):
    labelled(tmp_path / "gold.jsonl", UNSEEN)
    first = command(student, "gold.jsonl", "-o", "first", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "accuracy" in first.stdout
    assert f"{len(UNSEEN)} items: one is 2.1 points" in first.stdout
    second = command(student, "gold.jsonl", "--against", "first", "--json", "-o", "second", cwd=tmp_path)
    told = json.loads(second.stdout)
    assert told["against"]["difference"] == 0
    assert told["against"]["p_mcnemar"] == 1
    plain = command(student, "gold.jsonl", "--against", "first/predictions.jsonl", "-o", "third", cwd=tmp_path)
    assert "not significant at 95 %" in plain.stdout


def test_two_models_are_evaluated_and_compared_in_one_command(tmp_path: Path, student: Path):
    turned = [Example(f"{n}", text, WRONG[label], Origin("existing")) for n, (text, label) in enumerate(REVIEWS)]
    fit(turned, folder=tmp_path / "worse")
    labelled(tmp_path / "gold.jsonl", UNSEEN)
    done = command(student, "gold.jsonl", "--against", "worse", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\n    significant at 95 %" in done.stdout
    assert (tmp_path / "out" / "evaluation.json").is_file()


WRONG = {"positive": "negative", "negative": "positive"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("nowhere", "gold.jsonl"), "there is no model 'nowhere'"),
        (("STUDENT", "nowhere.jsonl"), "there is no gold 'nowhere.jsonl'"),
        (("STUDENT", "empty.jsonl"), "it is empty"),
        (("STUDENT", "gold.jsonl", "-o", "gold.jsonl"), "is a file; give a folder with -o"),
        (("STUDENT", "gold.jsonl", "-o", "full"), "was not written by `upcycle evaluate`"),
        (("STUDENT", "gold.jsonl", "--against", "nowhere"), "nothing to compare with at 'nowhere'"),
        (("STUDENT", "gold.jsonl", "--budget", "1usd"), "budget is for models behind a server"),
        (("STUDENT", "gold.jsonl", "--metric", "bleu"), "invalid choice: 'bleu'"),
        (("openai/x", "gold.jsonl"), "openai/x needs a key in OPENAI_API_KEY"),
        (("STUDENT",), "the following arguments are required: GOLD"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence_and_nothing_begins(
    tmp_path: Path,
    student: Path,
    arguments: tuple[str, ...],
    why: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    labelled(tmp_path / "gold.jsonl", UNSEEN)
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    try:
        code = main(["evaluate", *(str(student) if one == "STUDENT" else one for one in arguments)])
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    assert code == 2
    assert why in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert not (tmp_path / "runs").exists()


# -- a served model ------------------------------------------------------------------------------------------------


def reply_with_the_label(request: Request) -> str:
    text = request.messages[-1]["content"]
    return "Positive." if any(word in text for word in WORDS["positive"]) else "negative"


async def test_a_served_model_is_asked_with_the_labels_and_every_answer_is_journaled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    gold = labelled(tmp_path / "gold.jsonl", UNSEEN)
    heard: list[Request] = []

    def reply(request: Request) -> str:
        heard.append(request)
        return "positive" if any(word in request.messages[-1]["content"] for word in WORDS["positive"]) else "negative"

    async with FakeServer(reply) as server:
        for _ in range(2):
            found = await upcycle.evaluate("openai/fake", gold, shots=2, base_url=server.url, out=tmp_path / "out")
            assert found.scores.main == (1.0, found.scores.main.low, 1.0, len(UNSEEN) - 2)
        assert server.stats()["requests"] == len(UNSEEN) - 2  # the second run asked for nothing
    assert "Answer with one of these, and nothing else: negative, positive." in heard[0].messages[0]["content"]
    assert [one["role"] for one in heard[0].messages] == ["system", *["user", "assistant"] * 2, "user"]


async def test_a_served_models_written_answers_are_matched_with_the_options_and_it_is_said(tmp_path: Path):
    rows = [{"input": f"Which is {n}?", "output": f"{n}", "choices": [f"{n}", f"{n + 1}"]} for n in range(10, 30)]
    gold = rows_in(tmp_path / "gold.jsonl", rows)

    def reply(request: Request) -> str:
        number = int(request.messages[-1]["content"].split("?")[0].split()[-1])
        return f"It must be {number}." if number % 2 else "I cannot say"

    async with FakeServer(reply) as server:
        found = await upcycle.evaluate("openai/fake", gold, base_url=server.url, out=tmp_path / "out")
    assert found.scores.main.value == 0.5
    assert any(
        "the model gives no likelihoods" in one and "10 items matched none or several" in one
        for one in found.scores.warnings
    )


async def test_a_run_that_was_begun_with_other_gold_is_not_continued(tmp_path: Path):
    gold = labelled(tmp_path / "gold.jsonl", UNSEEN[:6])
    async with FakeServer(lambda request: "positive") as server:
        await upcycle.evaluate("openai/fake", gold, base_url=server.url, out=tmp_path / "out")
        labelled(gold, UNSEEN[6:12])
        with pytest.raises(StaleRunError, match="was made with other settings"):
            await upcycle.evaluate("openai/fake", gold, base_url=server.url, out=tmp_path / "out")


async def test_a_budget_stops_and_the_same_command_goes_on(tmp_path: Path):
    gold = labelled(tmp_path / "gold.jsonl", UNSEEN)
    async with FakeServer(lambda request: "positive") as server:
        with pytest.raises(UpcycleError, match="budget"):
            await upcycle.evaluate("openai/fake", gold, base_url=server.url, budget="20calls", out=tmp_path / "out")
        assert 0 < server.stats()["requests"] <= 20
        await upcycle.evaluate("openai/fake", gold, base_url=server.url, budget="900calls", out=tmp_path / "out")
        assert server.stats()["requests"] == len(UNSEEN)


async def test_a_served_models_answer_counts_where_it_names_one_label(tmp_path: Path):
    replies = {"a": "Positive.", "b": "It is negative", "c": "positive or negative", "d": "who knows"}
    gold = labelled(tmp_path / "gold.jsonl", [(text, "positive" if text in "ac" else "negative") for text in replies])
    async with FakeServer(lambda request: replies[request.messages[-1]["content"]]) as server:
        found = await upcycle.evaluate(
            "openai/fake", gold, metric="accuracy", base_url=server.url, out=tmp_path / "out"
        )  # fmt: skip
    assert [item.right for item in found.scores.items] == [1, 1, 0, 0]
    assert "2 items with an answer that names no label, or several: never right" in found.scores.warnings
    assert len(set(found.scores.warnings)) == len(found.scores.warnings)


async def test_a_server_that_answers_nothing_is_an_error_and_not_a_score(tmp_path: Path):
    gold = labelled(tmp_path / "gold.jsonl", UNSEEN[:4])
    async with FakeServer(lambda request: "x", models=("other",)) as server:
        with pytest.raises((ProviderError, ConfigError), match="fake"):
            await upcycle.evaluate("openai/fake", gold, base_url=server.url, out=tmp_path / "out")
    assert not (tmp_path / "out" / "evaluation.json").exists()


def test_a_killed_evaluation_goes_on_and_pays_for_nothing_twice(tmp_path: Path):
    labelled(tmp_path / "gold.jsonl", UNSEEN)
    with FakeServer(reply_with_the_label, latency=0.05) as server:
        line = ["openai/fake", "gold.jsonl", "--base-url", server.url, "--concurrency", "2", "-o", "out"]
        process = subprocess.Popen([UPCYCLE, "evaluate", *line], cwd=tmp_path,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        while server.stats()["requests"] < 12 and process.poll() is None:
            asyncio.run(asyncio.sleep(0.01))
        process.kill()
        process.wait()
        before = server.stats()["requests"]
        done = command(*line, "--json", cwd=tmp_path)
        after = server.stats()
    assert before < len(UNSEEN)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accuracy"] == 1
    assert after["requests"] <= len(UNSEEN) + 2  # what was in flight when it was killed may be asked again


# -- a language model in this process ------------------------------------------------------------------------------


async def test_a_foreign_language_model_is_scored_by_likelihood_with_the_benchmarks_prompt(tmp_path: Path):
    for library in ("torch", "transformers", "peft", "trl", "accelerate"):
        pytest.importorskip(library, reason="needs upcycle[train]", exc_type=ImportError)
    import byte_models

    examples = [{"input": f"film {n}", "target_scores": {"great": n % 2, "bad": 1 - n % 2}} for n in range(12)]
    task = {"name": "films", "metrics": ["multiple_choice_grade"], "task_prefix": "Say.", "examples": examples}
    (tmp_path / "task.json").write_text(json.dumps(task))
    model = byte_models.save(tmp_path / "model", context=256)
    found = await upcycle.evaluate(model, tmp_path / "task.json", shots=2, out=tmp_path / "out")
    assert found.scores.main.items == 10
    assert set(found.scores.estimates) == {
        "multiple_choice_grade", "per_character", "per_token", "normalized_aggregate_score",
    }  # fmt: skip
    assert all(math.isfinite(one) for item in found.scores.items for one in item.likelihoods or (math.nan,))


async def test_prompts_longer_than_the_model_are_cut_and_counted(tmp_path: Path):
    for library in ("torch", "transformers", "peft", "trl", "accelerate"):
        pytest.importorskip(library, reason="needs upcycle[train]", exc_type=ImportError)
    import byte_models

    rows = [
        {"input": "long words " * (40 if n < 3 else 1), "output": "yes", "choices": ["yes", "no"]} for n in range(8)
    ]
    model = byte_models.save(tmp_path / "model", context=64)
    found = await upcycle.evaluate(model, rows_in(tmp_path / "gold.jsonl", rows), out=tmp_path / "out")
    assert "3 items longer than the model reads: the beginning was cut off" in found.scores.warnings
