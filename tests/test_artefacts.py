"""What gives a label away is found, what does not is not, and the published numbers come out again."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random

import pytest

from upcycle.contract import with_options
from upcycle.curation.artefacts import artefact_check, artefacts
from upcycle.curation.balance import balance, balance_check, quota_check, shuffled_options
from upcycle.evaluation.intervals import wilson
from upcycle.parts import label_counts, part_names, parts_of
from upcycle.records import Example, Origin
from upcycle.sources.examples import read_examples

IDS = (f"{n:016x}" for n in count(1))
WORDS = (
    "river",
    "stone",
    "cloud",
    "garden",
    "winter",
    "music",
    "paper",
    "window",
    "forest",
    "bridge",
    "letter",
    "silver",
)


def example(text: str, output: str, choices: tuple[str, ...] | None = None) -> Example:
    return Example(next(IDS), text, output, Origin("test"), choices=choices)


def some_words(random: Random, number: int = 8) -> str:
    return " ".join(random.choice(WORDS) for _ in range(number))


def entailments(number: int, *, habit: bool, seed: int = 0) -> list[Example]:
    """Pairs whose hypothesis says "never" whenever the label is no, where there is a habit."""
    random = Random(seed)
    rows = []
    for _ in range(number):
        label = random.choice(["yes", "no"])
        start = "it never was" if habit and label == "no" else "it once was"
        rows.append(example(f"Premise: {some_words(random)}\nHypothesis: {start} {some_words(random)}", label))
    return rows


def test_a_habit_of_the_hypothesis_gives_the_label_away():
    audit = artefacts(entailments(300, habit=True))
    found = {probe.part: probe for probe in audit.probes}
    assert found["Hypothesis"].accuracy > 0.99
    assert found["Hypothesis"].gives_away
    assert not found["Premise"].gives_away
    told = audit.warnings()
    assert any("guessed from the Hypothesis alone" in warning for warning in told)
    assert any("negation in the Hypothesis goes with the label: no 100.0%, yes 0.0%" in warning for warning in told)


def test_without_a_habit_nothing_is_said():
    audit = artefacts(entailments(300, habit=False))
    assert not [probe.part for probe in audit.probes if probe.gives_away]
    assert [w for w in audit.warnings() if "begin" not in w] == []


def test_rows_of_one_premise_are_no_habit_when_they_are_kept_apart():
    random = Random(1)
    rows = []
    for _ in range(60):
        premise = " ".join(f"word{random.randrange(400)}" for _ in range(12))
        label = random.choice(["yes", "no"])
        rows += [example(f"Premise: {premise}\nHypothesis: {some_words(random)}", label) for _ in range(5)]
    premise = next(probe for probe in artefacts(rows).probes if probe.part == "Premise")
    assert premise.accuracy > 0.9  # the same premise has the same label in another fold
    assert premise.apart is not None
    assert premise.apart < 0.65
    assert not premise.gives_away


def test_options_that_tell_which_is_right_are_found():
    random = Random(2)
    rows = []
    for number in range(120):
        options = [f"certainly {some_words(random, 3)}", some_words(random, 3), some_words(random, 3)]
        right = options[0]
        random.shuffle(options)
        rows.append(example(with_options(f"Which {number}?", options), right, tuple(options)))
    probe = artefacts(rows).probes[0]
    assert (probe.part, probe.accuracy > 0.95, probe.gives_away) == ("options", True, True)


def test_only_examples_whose_label_is_given_away_are_dropped():
    rows = entailments(300, habit=False) + (given := entailments(100, habit=True, seed=5))
    check = artefact_check(rows, guess=0.9)
    dropped = [row for row in rows if not check(row).keep]
    assert dropped
    assert all("never" in row.input for row in dropped)
    assert all(row in given for row in dropped)
    assert check(dropped[0]).kind == "artefact"
    assert check(example("Premise: a\nHypothesis: b", "no")).keep  # not of this set


@pytest.mark.parametrize(
    "rows", [[], [example("one", "yes")], [example("same", "yes")] * 200, entailments(60, habit=True)]
)
def test_any_set_can_be_audited(rows: list[Example]):
    audit = artefacts(rows)
    assert audit.rows == len(rows)
    assert all(isinstance(warning, str) for warning in audit.warnings())
    assert audit.facts()["rows"] == len(rows)


def test_parts_are_read_off_the_lines_that_all_inputs_share():
    rows = entailments(20, habit=False)
    assert part_names(rows) == ("Premise", "Hypothesis")
    assert parts_of("Premise: a\nb: c\nHypothesis: d\ne", ("Premise", "Hypothesis")) == {
        "Premise": "a\nb: c",
        "Hypothesis": "d\ne",
    }
    assert parts_of("nothing of the kind", ("Premise", "Hypothesis")) == {"Premise": "", "Hypothesis": ""}
    assert part_names([example("Just a text.", "yes")] * 9) == ()


def test_outputs_are_labels_only_where_they_are_few_short_and_repeat():
    assert label_counts([example("x", "no")] * 2 + [example("x", "yes")] * 9) == {"yes": 9, "no": 2}
    assert label_counts([example("x", f"free text number {n}") for n in range(20)]) is None
    assert label_counts([example("x", str(n % 12)) for n in range(200)]) is None
    assert label_counts([]) is None


def test_the_balance_of_labels_and_positions_is_counted():
    options = ("a b", "c d")
    rows = [example(with_options(f"q{n}", options), options[n % 4 == 0], options) for n in range(200)]
    found = balance(rows)
    assert found.positions == (150, 50)
    assert found.position_p is not None
    assert found.position_p < 1e-6
    even = balance([example("x", label) for label in ["yes", "no"] * 20])
    assert (even.entropy, even.positions, even.position_p) == (1.0, (), None)


def test_positions_are_even_after_shuffling_and_nothing_else_changes():
    options = tuple(f"option {letter}" for letter in "abcd")
    rows = [example(with_options(f"q{n}", options), options[0], options) for n in range(1000)]
    mixed = [shuffled_options(row, seed=3) for row in rows]
    found = balance(mixed)
    assert found.position_p is not None
    assert found.position_p > 0.01
    assert [shuffled_options(row, seed=3) for row in rows] == mixed
    assert all(row.id == new.id and row.output == new.output for row, new in zip(rows, mixed, strict=True))
    assert all(sorted(new.choices or ()) == sorted(options) for new in mixed)
    assert all(new.input.endswith(f"choice: {(new.choices or ('',))[-1]}") for new in mixed)


def test_a_frequent_label_is_cut_to_the_rarest_by_a_repeatable_draw():
    rows = [example(f"text {n}", "yes" if n % 4 else "no") for n in range(400)]
    check = balance_check(rows, most=1.5, seed=1)
    kept = [row for row in rows if check(row).keep]
    assert label_counts(kept) == {"yes": 150, "no": 100}
    again = balance_check(rows, most=1.5, seed=1)
    assert [row.id for row in rows if again(row).keep] == [row.id for row in kept]
    dropped = next(check(row) for row in rows if not check(row).keep)
    assert dropped.reason == "'yes' is the output of 300 examples, 150 are kept"


def test_a_label_that_has_its_share_takes_no_more():
    check = quota_check(0.5, rows=10)
    verdicts = [check(example(f"t{n}", "yes")).keep for n in range(7)]
    assert verdicts == [True] * 5 + [False] * 2
    assert check(example("t", "no")).keep


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 0, 0, 1), (0, 20, 0, 0.1611), (20, 20, 0.8389, 1)]
)
def test_wilsons_interval_is_that_of_the_books(hits: int, rows: int, low: float, high: float):
    assert wilson(hits, rows) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.data
def test_the_audit_of_the_released_s3_sets_comes_out_again(shared_data: Path):
    folder = shared_data / "s3" / "rte"
    first, second, gold = (
        list(read_examples(folder / name).examples)
        for name in ("additional_1.jsonl", "additional_2.jsonl", "train_gold.parquet")
    )
    for rows, quoted, negated in ((first, 654, 0.085), (second, 477, 0.078), (gold, 16, 0.019)):
        habits = next(habit for habit in artefacts(rows).habits if habit.part == "Hypothesis")
        assert habits.quoted == quoted
        assert habits.negated["1"] == pytest.approx(negated, abs=0.0006)
    both = {probe.part: probe for probe in artefacts([*first, *second]).probes}
    assert both["Hypothesis"].majority == pytest.approx(0.602, abs=0.0005)
    assert both["Hypothesis"].accuracy == pytest.approx(0.746, abs=0.01)
    assert both["Hypothesis"].gives_away
    known = {probe.part: probe for probe in artefacts(gold).probes}
    assert known["Hypothesis"].accuracy == pytest.approx(0.516, abs=0.01)
    assert not known["Hypothesis"].gives_away
