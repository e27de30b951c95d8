"""A comparison tells which rows help, is honest about what it cannot tell, and never trains a finished leg again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import upcycle
from upcycle import api
from upcycle.comparing.compare import seconds_left
from upcycle.comparing.finished import key_of
from upcycle.comparing.gold import part_gold
from upcycle.comparing.legs import Leg, Pool
from upcycle.comparing.pools import legs_of
from upcycle.config import Training
from upcycle.errors import ConfigError
from upcycle.llm.model import Request
from upcycle.records import Example, Origin
from upcycle.task import Demonstration, Gold, make_task
from upcycle.testing import FakeServer
from written_rows import asked, is_topics, topics

UPCYCLE = str(Path(sys.executable).with_name("upcycle"))
GOOD, BAD = (
    ["lovely", "warm", "funny", "bright", "tender", "gripping"],
    ["dull", "awful", "flat", "noisy", "hollow", "tedious"],
)
NOUNS = ["plot", "actor", "scene", "music", "story", "camera", "ending", "dialogue", "cast", "pace"]
INSTRUCTION = "Decide whether a film review is positive or negative"
TASK = f"""\
name: films
instruction: {INSTRUCTION}.
demonstrations:
- {{input: "A lovely plot and a warm ending.", output: positive}}
- {{input: "An awful cast and a dull story.", output: negative}}
- {{input: "A funny scene and a bright camera.", output: positive}}
gold: gold.jsonl
metric: accuracy
sources: [./hub]
model: none
compare: {{rows: 80, seeds: 3}}
"""


def review(random: Random, number: int) -> dict[str, str]:
    """A review with one or two words that say what it thinks, now and then against its label."""
    good = random.random() < 0.5
    words = [random.choice(NOUNS) for _ in range(9)]
    words.insert(random.randrange(9), random.choice(GOOD if good else BAD))
    if random.random() < 0.25:
        words.insert(random.randrange(9), random.choice(BAD if good else GOOD))
    return {"text": f"Film {number}: {' '.join(words)}", "label": "positive" if good else "negative"}


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(map(json.dumps, rows)))


def write_task(folder: Path, *, gold: int = 240, source: int = 300, task: str = TASK) -> Path:
    """A task with gold and one source of the same kind."""
    random = Random(0)
    write_rows(folder / "hub" / "reviews" / "train.jsonl", [review(random, n) for n in range(source)])
    (folder / "hub" / "reviews" / "README.md").write_text(
        "---\nlicense: mit\nlanguage: [en]\n---\n# Film reviews\n\nFilm reviews, positive or negative.\n"
    )
    rows = [review(random, 10_000 + n) for n in range(gold)]
    write_rows(folder / "gold.jsonl", [{"input": one["text"], "output": one["label"]} for one in rows])
    (folder / "task.yaml").write_text(task)
    return folder / "task.yaml"


def command(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    asked = [UPCYCLE, "compare", str(folder / "task.yaml"), "-o", str(folder / "cmp"), *flags]
    return subprocess.run(asked, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A whole comparison on the command line: its folder and what it printed as JSON."""
    folder = tmp_path_factory.mktemp("films")
    write_task(folder)
    done = command(folder, "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.fixture
def changed(compared: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The same for tests that change it: afterwards it is as it was, in whatever order tests are run."""
    folder, found = compared
    shutil.copytree(folder / "cmp", tmp_path / "before")
    yield folder, found
    shutil.rmtree(folder / "cmp")
    shutil.copytree(tmp_path / "before", folder / "cmp")


def test_every_leg_that_can_be_had_is_there_and_every_other_is_named_with_its_reason(compared):
    _, found = compared
    names = [leg["name"] for leg in found["legs"]]
    assert names == ["always the same", "existing", "transformed", "gold", "gold + transformed", "random rows"]
    left = {one["leg"]: one["why"] for one in found["left_out"]}
    assert left["generated"] == "it asks a model, and none is named (--model)"
    assert "no language model" in left["few-shot prompting"]
    assert any("transformed, curated" in note for note in found["notes"])


def test_all_legs_have_as_many_rows_and_seeds_and_are_scored_on_the_same_items(compared):
    folder, found = compared
    trained = [leg for leg in found["legs"] if leg["kind"] != "constant"]
    assert {leg["seeds"] for leg in trained} == {3}
    assert {leg["rows"] for leg in trained if leg["name"] != "gold"} == {80}, "of gold there are fewer"
    scores = [json.loads(file.read_text()) for file in (folder / "cmp" / "legs").glob("*.json")]
    assert {len(one["right"]) for one in scores} == {found["items"]}


def test_rows_that_say_what_the_task_says_are_told_from_always_saying_the_same(compared):
    _, found = compared
    legs = {leg["name"]: leg for leg in found["legs"]}
    assert found["baseline"] == "existing"
    assert legs["transformed"]["value"] > legs["always the same"]["value"] + 0.1
    assert legs["always the same"]["versus"]["significant"]
    assert legs["existing"]["versus"] is None


def test_a_leg_has_a_score_at_each_size(compared):
    _, found = compared
    legs = {leg["name"]: leg for leg in found["legs"]}
    assert [point["rows"] for point in legs["transformed"]["points"]] == [20, 40, 80]
    assert all(point["low"] <= point["value"] <= point["high"] for point in legs["transformed"]["points"])


def test_gold_costs_what_its_labels_cost_and_made_rows_what_they_cost(compared):
    _, found = compared
    legs = {leg["name"]: leg for leg in found["legs"]}
    gold = legs["gold"]
    assert gold["usd"] == pytest.approx(0.1 * gold["rows"])
    assert gold["usd_per_point"] == pytest.approx(gold["usd"] / (100 * (gold["value"] - found["chance"])))
    assert legs["transformed"]["usd"] == 0
    assert found["usd"] == 0


def test_what_is_not_significant_is_said_to_be_not_significant(compared):
    _, found = compared
    for leg in found["legs"]:
        if leg["versus"] and leg["kind"] != "constant":
            (said,) = [one for one in found["said"] if one.startswith(f"{leg['name']} is") and "existing" in one]
            assert said.count("not significant at 95 %") == (not leg["versus"]["significant"])
    assert any(one.endswith("one item is 0.6 points") for one in found["said"])


def test_the_page_and_the_table_hold_what_the_json_holds(compared):
    folder, found = compared
    assert json.loads((folder / "cmp" / "compare.json").read_text())["legs"] == found["legs"]
    assert (folder / "cmp" / "report.html").stat().st_size > 50_000
    done = command(folder)
    assert f"{100 * found['legs'][2]['value']:.1f}" in done.stdout
    assert "for the same money" in done.stdout
    assert "$8.00" in done.stdout, "what 80 labels cost"


def test_run_again_nothing_is_trained_again(compared):
    folder, found = compared
    before = {file.name: file.stat().st_mtime_ns for file in (folder / "cmp" / "legs").iterdir()}
    again = json.loads(command(folder, "--json").stdout)
    assert again["trained"] == 0
    assert again["found"] == found["trained"] == len(before)
    assert {file.name: file.stat().st_mtime_ns for file in (folder / "cmp" / "legs").iterdir()} == before
    assert again["legs"] == found["legs"]


def test_more_seeds_train_only_what_is_new(changed):
    folder, found = changed
    more = json.loads(command(folder, "--seeds", "4", "--json").stdout)
    assert more["found"] == found["trained"]
    assert 0 < more["trained"] < found["trained"]


@pytest.mark.slow
def test_killed_with_minus_9_it_goes_on_and_trains_no_finished_leg_again(tmp_path: Path):
    write_task(tmp_path)
    asked = [UPCYCLE, "compare", str(tmp_path / "task.yaml"), "-o", str(tmp_path / "cmp")]
    process = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if " 5 of " in line:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    process.stderr.close()
    finished = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cmp" / "legs").glob("*.json")}
    assert len(finished) >= 5
    assert not (tmp_path / "cmp" / "compare.json").exists()
    found = json.loads(command(tmp_path, "--json").stdout)
    assert found["found"] == len(finished)
    now = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cmp" / "legs").glob("*.json")}
    assert {name: now[name] for name in finished} == finished
    assert len(now) == found["found"] + found["trained"]


def test_a_finished_leg_whose_file_was_broken_is_trained_again(changed):
    folder, _ = changed
    file = min((folder / "cmp" / "legs").glob("existing-80-*.json"))
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    again = json.loads(command(folder, "--json").stdout)
    assert again["trained"] == 1
    assert json.loads(file.read_text())["right"] == json.loads(whole)["right"]


# -- gold ----------------------------------------------------------------------------------------------------------


def task_with_gold(count: int, **more: Any) -> Any:
    gold = [Gold(input=f"question {n}", output="yes" if n % 2 else "no") for n in range(count)]
    return make_task("Answer the question", gold=gold, **more)


def test_an_items_part_depends_on_its_question_and_not_on_its_place():
    task = task_with_gold(300)
    first = part_gold(task, 0.3)
    turned = part_gold(task.model_copy(update={"gold": tuple(reversed(task.gold))}), 0.3)
    assert {item.input for item in first.test} == {item.input for item in turned.test}
    assert not {one.input for one in first.train} & {item.input for item in first.test}
    assert 60 < len(first.train) < 120


def test_what_repeats_a_demonstration_is_in_no_part_and_counted():
    shown = [Demonstration(input="Question  3", output="yes"), Demonstration(input="another", output="no")]
    parts = part_gold(task_with_gold(300, demonstrations=shown), 0.3)
    assert parts.shown == 1
    assert "question 3" not in {one.input for one in (*parts.train, *parts.test)}
    assert parts.told() == ["1 gold item left out: a demonstration asks the same"]


def test_an_item_that_is_asked_twice_is_scored_once_and_never_trained_on_too():
    gold = [Gold(input=f"question {n % 150}", output="yes") for n in range(300)]
    parts = part_gold(make_task("Answer the question", gold=gold), 0.3)
    assert parts.repeated == 150
    assert len(parts.train) + len(parts.test) == 150


def test_an_answer_that_is_not_among_the_choices_is_left_out_and_counted():
    gold = [Gold(input=f"q {n}", output="c" if n == 0 else "a", choices=("a", "b")) for n in range(20)]
    parts = part_gold(make_task("Choose", gold=gold), 0.3)
    assert parts.unanswerable == 1
    assert len(parts.test) == 19


def test_little_gold_is_all_scored():
    parts = part_gold(task_with_gold(99), 0.3)
    assert not parts.train
    assert len(parts.test) == 99


def test_without_gold_nothing_can_be_compared(tmp_path: Path):
    write_task(tmp_path, task=TASK.replace("gold: gold.jsonl\n", ""))
    done = command(tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nothing can be compared without gold" in done.stderr


# -- legs ----------------------------------------------------------------------------------------------------------


def pool(name: str, count: int, usd: float = 0.0) -> Pool:
    return Pool(name, "", [Example(f"{name}{n}", f"{name} {n}", "x", Origin("t")) for n in range(count)], usd)


def test_a_smaller_draw_is_part_of_a_larger_one_of_the_same_seed():
    leg = Leg("a", "", [pool("a", 100)])
    small, large, other = leg.drawn(20, 0), leg.drawn(50, 0), leg.drawn(20, 1)
    assert small == large[:20]
    assert {one.id for one in small} != {one.id for one in other}


def test_what_is_drawn_does_not_depend_on_the_order_rows_were_read_in():
    rows = pool("a", 100).examples
    assert Pool("a", "", rows).drawn(30, 2) == Pool("a", "", list(reversed(rows))).drawn(30, 2)


def test_a_mix_is_half_of_each_and_what_one_lacks_the_other_gives():
    leg = Leg("a + b", "", [pool("a", 100), pool("b", 10)])
    assert leg.shares(16) == [8, 8]
    assert leg.shares(60) == [50, 10]
    assert len(leg.drawn(500, 0)) == 110


def test_a_mix_is_compared_with_checks_and_without_where_they_drop_anything_of_either_half():
    def pool(name: str, rows: int) -> Pool:
        return Pool(name, "", [Example(f"{name}-{n}", f"{name} {n}", "yes", Origin("test")) for n in range(rows)])

    pools = {one.name: one for one in (
        pool("transformed", 40), pool("generated", 40), pool("transformed, curated", 40), pool("generated, curated", 31)
    )}  # fmt: skip
    legs = {leg.name: leg for leg in legs_of(pools, 20, "tfidf")}
    assert list(legs) == [
        "transformed", "generated", "transformed + generated", "generated, curated", "transformed + generated, curated",
    ]  # fmt: skip
    assert [pool.name for pool in legs["transformed + generated, curated"].pools] == [
        "transformed, curated", "generated, curated"
    ]  # fmt: skip
    whole = pools | {"generated, curated": pool("generated, curated", 40)}
    assert "transformed + generated, curated" not in {leg.name for leg in legs_of(whole, 20, "tfidf")}


def test_how_long_the_rest_takes_is_told_from_students_like_it():
    done = [("", 100, 50.0), ("tfidf", 100, 1.0)]
    assert seconds_left(done, [("", 200), ("", 50), ("tfidf", 200)]) == pytest.approx(127)
    assert seconds_left(done[:1], [("tfidf", 200)]) is None
    assert seconds_left(done[:1], [("", 10), ("tfidf", 200)]) == pytest.approx(5)
    assert seconds_left([], [("", 1)]) is None
    assert seconds_left(done, []) == 0


def test_rows_that_no_json_holds_have_a_key_all_the_same():
    odd = Example("odd", "half a pair \ud83d", "yes", Origin("test"))
    plain = Example("odd", "half a pair ?", "yes", Origin("test"))
    keys = {key_of([one], Training(), 0, [], "accuracy") for one in (odd, plain)}
    assert len(keys) == 2


def test_money_buys_as_many_rows_as_it_can_and_all_of_what_costs_nothing():
    assert Leg("a", "", [pool("a", 100, usd=10.0)]).rows_for(2.55) == 25
    assert Leg("a", "", [pool("a", 100)]).rows_for(0.01) == 100
    assert Leg("a", "", [pool("a", 100, usd=10.0), pool("b", 100)]).usd_of(50) == pytest.approx(2.5)


# -- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--student", "nobody"], "student 'nobody' is not there"),
        (["--baseline", "nobody"], "'nobody' is no leg of a comparison; one of 'always the same', "),
        (["--curve", "half"], "--curve 'half' is not like 0.25,0.5"),
        (["--curve", "2"], "compare.curve.0: Input should be less than 1"),
        (["--rows", "0"], "compare.rows: Input should be greater than or equal to 2"),
        (["--existing", "nowhere"], "there is no dataset 'nowhere'"),
        (["--gold-share", "1"], "compare.gold_share: Input should be less than 1"),
    ],
)
def test_a_wrong_flag_is_one_sentence_and_nothing_begins(tmp_path: Path, flags: list[str], said: str):
    pytest.importorskip("torch")
    write_task(tmp_path, gold=30, source=20)
    done = command(tmp_path, *flags)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "cmp").exists()


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path):
    write_task(tmp_path, gold=30, source=20)
    (tmp_path / "cmp").write_text("mine")
    done = command(tmp_path)
    assert done.returncode == 2
    assert "is a file; give a folder" in done.stderr
    assert (tmp_path / "cmp").read_text() == "mine"


async def test_few_items_are_said_to_tell_little(tmp_path: Path):
    write_task(tmp_path, gold=51, source=60)
    found = await api.compare(
        tmp_path / "task.yaml", out=tmp_path / "cmp", compare={"rows": 20, "seeds": 2, "curve": ()}
    )
    assert "51 test items: one item is 2.0 points" in found.said()
    assert any("fewer than 100, so all of them are scored" in one.why for one in found.left_out)
    assert any("2 seeds tell little" in note for note in found.notes)


async def test_of_a_handful_of_items_nothing_is_called_significant(tmp_path: Path):
    write_task(tmp_path, gold=20, source=120)
    found = await api.compare(
        tmp_path / "task.yaml", out=tmp_path / "cmp", compare={"rows": 90, "seeds": 1, "curve": ()}
    )
    assert "20 test items: one item is 5.0 points, too few for any conclusion" in found.said()
    assert not any(line.versus.significant for line in found.lines if line.versus)


async def test_rows_that_repeat_test_items_are_taken_out_and_counted(tmp_path: Path):
    file = write_task(tmp_path, source=150)
    gold = [json.loads(line) for line in (tmp_path / "gold.jsonl").read_text().splitlines()]
    source = tmp_path / "hub" / "reviews" / "train.jsonl"
    leaked = [{"text": one["input"], "label": one["output"]} for one in gold[:40]]
    source.write_text("\n".join([*map(json.dumps, leaked), source.read_text()]))
    found = await api.compare(file, out=tmp_path / "cmp", compare={"rows": 150, "seeds": 1, "curve": ()})
    (said,) = [note for note in found.notes if note.startswith("existing:") and "repeat test items" in note]
    test = {item.input for item in part_gold(api.resolve(file)[0], 0.3).test}
    assert f"{sum(one['input'] in test for one in gold[:40])} rows" in said


async def test_a_dataset_can_be_named_for_use_as_it_is(tmp_path: Path):
    file = write_task(tmp_path)
    write_rows(tmp_path / "mine.jsonl", [{"input": f"Film {n} was {GOOD[n % 6]}", "output": "yes"} for n in range(100)])
    settings = {"rows": 30, "seeds": 1, "curve": (), "existing": (str(tmp_path / "mine.jsonl"),)}
    found = await upcycle.compare(file, out=tmp_path / "cmp", compare=settings)
    (line,) = [line for line in found.lines if line.name == "existing"]
    assert line.value == 0
    assert "existing: 100% of its outputs are none that the test items have" in found.notes
    assert found.baseline == "always the same", "what is no better than that is no baseline"


async def test_a_task_of_options_is_compared_without_torch_too(tmp_path: Path):
    random = Random(1)
    animals, tools = ["cat", "dog", "owl", "fox"], ["saw", "axe", "awl", "hoe"]

    def question(number: int) -> dict[str, Any]:
        options = [random.choice(animals), random.choice(tools)]
        random.shuffle(options)
        right = next(one for one in options if one in animals)
        text = f"Which of these lives, number {number}?"
        return {"question": text, "choices": options, "answer": right}

    write_rows(tmp_path / "hub" / "living" / "train.jsonl", [question(n) for n in range(200)])
    gold = [question(1000 + n) for n in range(150)]
    listed = [
        {"input": one["question"] + "".join(f"\nchoice: {option}" for option in one["choices"]),
         "output": one["answer"], "choices": one["choices"]}
        for one in gold
    ]  # fmt: skip
    write_rows(tmp_path / "gold.jsonl", listed)
    settings = {"rows": 60, "seeds": 2, "curve": ()}
    found = await api.compare(
        "Choose what lives", gold=str(tmp_path / "gold.jsonl"), metric="multiple_choice_grade", model="none",
        examples=[(one["input"], one["output"]) for one in listed[:2]], sources=(str(tmp_path / "hub"),),
        out=tmp_path / "cmp", compare=settings,
    )  # fmt: skip
    legs = {line.name: line for line in found.lines}
    assert found.metric == "multiple_choice_grade"
    assert legs["always the same"].value == pytest.approx(0.5)
    assert legs["gold"].value > 0.9


@pytest.mark.slow
def test_ctrl_c_says_that_the_same_command_goes_on(tmp_path: Path):
    write_task(tmp_path)
    asked = [UPCYCLE, "compare", str(tmp_path / "task.yaml"), "-o", str(tmp_path / "cmp")]
    process = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if " 2 of " in line:
            process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    process.stderr.close()
    assert "the same command goes on where it stopped" in said[-1]
    assert "Traceback" not in "".join(said)


def test_the_error_of_a_comparison_is_a_config_error():
    with pytest.raises(ConfigError, match="nothing can be compared"):
        part_gold(make_task("Answer the question"), 0.3)


# -- a model is named ----------------------------------------------------------------------------------------------


def film_reply(request: Request) -> str:
    """The reply of a model that writes reviews as asked; what else it is asked it does not understand."""
    if is_topics(request):
        return topics()
    rows = {}
    for key, wish in asked(request).items():
        random = Random(f"{request.sample} {key} {wish}")
        said = random.choices(NOUNS, k=6)
        said.insert(random.randrange(6), random.choice(GOOD if "positive" in wish else BAD))
        rows[key] = {"input": f"Film {random.randrange(10**9)}: {' '.join(said)}"}
    return json.dumps(rows)


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A comparison with a model that costs money."""
    folder = tmp_path_factory.mktemp("paid")
    write_task(folder)
    (folder / "prices.yaml").write_text("openai/fake: {input: 100, output: 400}\n")
    with FakeServer(film_reply) as server:
        flags = ["--model", "openai/fake", "--base-url", server.url, "--prices", str(folder / "prices.yaml")]
        flags += ["--curve", "0.5", "--label-usd", "0.05", "--budget", "20usd", "--json"]
        done = command(folder, *flags)
        assert done.returncode == 0, done.stderr
        paid = [server.stats()["paid"]]
        again = json.loads(command(folder, *flags).stdout)
        paid.append(server.stats()["paid"])
    counts = {name: again[name] for name in ("trained", "found")}
    return folder, {**json.loads(done.stdout), "paid": paid, "again": counts}


def test_with_a_model_there_are_generated_rows_and_a_mix_at_the_size_of_its_parts(paid):
    _, found = paid
    legs = {leg["name"]: leg for leg in found["legs"]}
    assert {"generated", "transformed + generated"} <= set(legs)
    assert {legs[name]["rows"] for name in ("transformed", "generated", "transformed + generated")} == {80}
    assert legs["generated"]["value"] > found["chance"] + 0.2
    assert {("transformed + generated", "transformed"), ("transformed + generated", "generated")} <= {
        (one["leg"], one["other"]) for one in found["questions"]
    }


def test_the_second_view_gives_each_leg_as_many_rows_as_the_same_money_buys(paid):
    _, found = paid
    legs = {leg["name"]: leg for leg in found["legs"]}
    dearest = max(leg["usd"] for leg in found["legs"] if leg["kind"] == "data")
    assert found["usd"] == pytest.approx(dearest)
    assert dearest > 0
    assert legs["generated"]["usd_per_point"] > 0
    gold = legs["gold"]
    if gold["money"] is not None:
        assert gold["money"]["rows"] == min(int(found["usd"] / 0.05 + 1e-9), gold["rows"])
    for leg in found["legs"]:
        if leg["money"]:
            assert leg["money"]["usd"] <= found["usd"] + 1e-6


def test_what_costs_money_is_paid_once(paid):
    _, found = paid
    assert found["paid"][0] > 10
    assert found["paid"][1] == found["paid"][0], "calls after the same command was run again"
    assert found["again"] == {"trained": 0, "found": found["trained"]}
