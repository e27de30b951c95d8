"""Plans, their steps and the programs they become."""

from __future__ import annotations

import time
from typing import Any

import pytest

from upcycle.contract import listed_options
from upcycle.errors import ConfigError
from upcycle.methods.datatune.plans import values
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.program import Failed, Made, Program, Skip, compile_plan
from upcycle.records import Record

RENAMED = (
    "source: s\nsteps:\n- do: map-label\n  field: label\n  mapping: {0: no, 1: yes}\ninput: '{q}'\noutput: '{label}'\n"
)


def record(number: int = 0, **fields: Any) -> Record:
    return Record("s", "default", "train", str(number), fields)


def program(*steps: dict[str, Any], seed: int = 0, **ends: Any) -> Program:
    plan = Plan.model_validate({"source": "s", "steps": steps, "input": "{q}", "output": "{a}", **ends})
    return compile_plan(plan, seed=seed)


def made(result: list[Made] | Skip | Failed) -> Made:
    assert isinstance(result, list), result
    return result[0]


def test_a_plan_survives_its_file() -> None:
    plan = Plan.model_validate(
        {
            "source": "some/where",
            "splits": ["train"],
            "prose": "Take the question.",
            "steps": [
                {"do": "strip-options", "field": "options"},
                {"do": "pick-option", "options": "options", "key": "correct", "by": "letter"},
                {"do": "llm", "into": "why", "fields": ["q"], "ask": "Say why."},
            ],
            "input": "{q}",
            "output": "{answer}",
            "choices": "options",
        }
    )
    again = Plan.from_yaml(plan.to_yaml())
    assert again == plan
    assert again.sha() == plan.sha()
    assert again.needs_model


def test_the_prose_of_a_plan_does_not_change_what_it_is() -> None:
    plan = Plan(source="s", input="{q}", output="{a}")
    assert plan.model_copy(update={"prose": "more words"}).sha() == plan.sha()
    assert plan.model_copy(update={"output": "{b}"}).sha() != plan.sha()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source: s\ninput: '{q}'\noutput: '{a}'\ncolour: red\n", "plan:4: unknown key 'colour'"),
        ("source: s\nsteps:\n- do: after\n  field: a\n  delimeter: x\ninput: q\noutput: a\n", "plan:5: unknown key"),
        ("source: s\nsteps:\n- do: jump\ninput: q\noutput: a\n", "plan:3:"),
        ("source: [\n", "not valid YAML"),
        ("- 1\n", "expected keys and values"),
        ("source: s\nsteps:\n- do: filter\n  field: a\n  matches: '('\ninput: q\noutput: a\n", "plan:5:"),
    ],
)
def test_a_mistake_in_a_plan_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match="plan") as caught:
        Plan.from_yaml(text)
    assert said in str(caught.value)


def test_label_keys_may_be_written_as_numbers_and_truth_values() -> None:
    plan = Plan.from_yaml(RENAMED)
    run = compile_plan(plan, seed=0)
    assert made(run(record(q="text", label=1))).output == "yes"
    assert made(run(record(q="text", label="0"))).output == "no"
    skipped = run(record(q="text", label=2))
    assert isinstance(skipped, Skip)
    assert "'2' is not in the mapping" in skipped.reason


def test_a_plan_says_which_columns_it_needs_and_refuses_a_source_without_them() -> None:
    plan = Plan.from_yaml(RENAMED)
    assert plan.columns() == {"q", "label"}
    with pytest.raises(ConfigError, match="reads 'label', which is no column"):
        plan.require(["q", "answer"])


def test_the_pages_for_people_show_every_step() -> None:
    plan = Plan.from_yaml(RENAMED)
    assert "map-label" in plan.to_markdown()
    assert "Costs no model call." in plan.to_markdown()
    compile(plan.to_program(), "plan", "exec")


def test_an_option_is_picked_by_letter_and_its_prefix_is_stripped() -> None:
    run = program(
        {"do": "strip-options", "field": "options"},
        {"do": "pick-option", "options": "options", "key": "correct", "by": "letter"},
        {"do": "shuffle-options", "field": "options"},
        output="{answer}",
        choices="options",
    )
    row = record(q="How many?", options=["A)2", "B)4", "C)6"], correct="B")
    example = made(run(row))
    assert example.output == "4"
    assert sorted(example.choices or ()) == ["2", "4", "6"]
    assert listed_options(example.input) == list(example.choices or ())
    assert made(run(row)) == example


def test_the_right_option_stands_at_every_position_equally_often() -> None:
    run = program({"do": "shuffle-options", "field": "o"}, output="{a}", choices="o")
    places = [0, 0, 0, 0]
    for number in range(2_000):
        options = made(run(record(number, q="q", a="x", o=["x", "y", "z", "w"]))).choices
        assert options is not None
        places[options.index("x")] += 1
    assert min(places) > 430
    assert max(places) < 570


@pytest.mark.parametrize(
    ("key", "by", "right"),
    [("(c)", "letter", 2), (0, "index", 0), ("3", "number", 2), ("yes ", "text", 1), (["B"], "letter", 1)],
)
def test_a_key_is_read_as_it_was_said(key: Any, by: str, right: int) -> None:
    assert values.option_at(["no", "yes", "maybe"], key, by) == right


@pytest.mark.parametrize(("key", "by"), [("D", "letter"), (3, "index"), ("0", "number"), ("perhaps", "text")])
def test_a_key_that_means_no_option_is_not_guessed(key: Any, by: str) -> None:
    assert values.option_at(["no", "yes", "maybe"], key, by) is None


def test_prefixes_are_stripped_only_where_all_stand_in_order() -> None:
    assert values.strip_options(["(A) 1", "(B) 2"]) == ["1", "2"]
    assert values.strip_options(["a. x", "b. y", "c. z"]) == ["x", "y", "z"]
    assert values.strip_options(["1) x", "2) y"]) == ["x", "y"]
    assert values.strip_options(["A cat", "B side"]) == ["A cat", "B side"]
    assert values.strip_options(["1.5", "2.5"]) == ["1.5", "2.5"]
    assert values.strip_options(["A)1", "C)2"]) == ["A)1", "C)2"]


def test_two_equal_options_lose_the_record() -> None:
    run = program(output="{a}", choices="o")
    skipped = run(record(q="q", a="x", o=["x", "y", "Y."]))
    assert isinstance(skipped, Skip)
    assert "two options are the same" in skipped.reason


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("39.0", "39"),
        (39.0, "39"),
        ("1,000", "1000"),
        ("$5.50", "5.5"),
        ("3/4", "3/4"),
        ("-0.0", "0"),
        ("007", "7"),
        ("12%", "12%"),
        ("12 apples", None),
        ("", None),
        ("1,00", None),
        ("-", None),
    ],
)
def test_numbers_are_written_plainly(raw: Any, plain: str | None) -> None:
    assert values.format_number(raw) == plain


def test_wrong_options_come_from_other_records_and_never_equal_the_answer() -> None:
    run = program({"do": "sample-option", "field": "a", "count": 3, "into": "o"}, choices="o")
    rows = [record(n, q=f"code {n}", a=f"{word}s the {word}ed {n % 7} things") for n, word in enumerate(WORDS)]
    rows += [record(100 + n, q="twin", a=row.fields["a"].upper() + ".") for n, row in enumerate(rows)]
    pool = run.fill(rows)
    for row in rows:
        options = made(run(row, pool)).choices or ()
        assert len(options) == 4
        assert len({values.same(option) for option in options}) == 4
    assert [run(row, pool) for row in reversed(rows)] == [run(row, pool) for row in rows][::-1]


def test_wrong_numbers_differ_in_value_not_only_in_writing() -> None:
    run = program({"do": "sample-option", "field": "a", "count": 3, "into": "o"}, choices="o")
    rows = [record(n, q="q", a=text) for n, text in enumerate(["5", "5.0", "5.00", "$5", "6", "7", "8", "9"])]
    options = made(run(rows[0], run.fill(rows))).choices
    assert options is not None
    assert [option for option in options if values.format_number(option) == "5"] == ["5"]


def test_another_seed_draws_other_options() -> None:
    rows = [record(n, q="q", a=str(n * n)) for n in range(200)]
    first, second = (
        [
            run(row, run.fill(rows))
            for run in [program({"do": "sample-option", "field": "a", "count": 3, "into": "o"}, seed=seed, choices="o")]
            for row in rows[:20]
        ]
        for seed in (1, 2)
    )
    assert first != second


def test_code_and_docstring_are_taken_apart() -> None:
    split = values.docstring_split(
        'import os\n\ndef f(x):\n    """ Add one to x.\n    >>> f(1)\n    2\n    """\n    return x + 1\n'
    )
    assert split is not None
    assert split.code == "import os\n\ndef f(x):\n    return x + 1"
    assert split.docstring.startswith("Add one to x.")
    assert values.docstring_split("def f(x):\n    return x") is None
    assert values.docstring_split("def f(x:\n") is None
    assert values.docstring_split('def f():\n    """Only words."""') is None


def test_sentences_end_where_a_reader_ends_them() -> None:
    text = "Return e.g. the sum of 1.5 and 2. Raises ValueError.\n\nMore text"
    assert values.sentences(text) == ["Return e.g. the sum of 1.5 and 2.", "Raises ValueError.", "More text"]


def test_a_clause_loses_its_capital_unless_it_opens_with_a_name() -> None:
    known, named = {"water", "rose"}.__contains__, {"Tom"}.__contains__
    assert values.lower_first("Water flowed", known, named) == "water flowed"
    assert values.lower_first("The man ran", known, named) == "the man ran"
    assert values.lower_first("I ran", known, named) == "I ran"
    assert values.lower_first("I've run", known, named) == "I've run"
    assert values.lower_first("Tom ran", known, named) == "Tom ran"
    assert values.lower_first("NASA ran", known, named) == "NASA ran"
    assert values.lower_first("Visby burned", known, named) is None


def test_cause_and_effect_are_put_in_order() -> None:
    run = program(
        {
            "do": "order-by-direction",
            "first": "premise",
            "second": "other",
            "direction": "asks",
            "keep_when": ["effect"],
            "swap_when": ["cause"],
        },
        {"do": "clause", "field": "effect", "stop": "drop"},
        {"do": "clause", "field": "cause", "first": "lower"},
        {"do": "template", "text": "{effect} because {cause}.", "into": "q"},
        output="{asks}",
    )
    rows = [
        record(0, premise="The tap was open.", other="Water ran.", asks="effect"),
        record(1, premise="Tom got wet.", other="It rained.", asks="cause"),
    ]
    pool = run.fill(rows)
    assert made(run(rows[0], pool)).input == "Water ran because the tap was open."
    assert made(run(rows[1], pool)).input == "Tom got wet because it rained."


def test_what_needs_no_model_runs_before_the_model() -> None:
    run = program(
        {"do": "llm", "into": "wrong", "fields": ["q"], "ask": "Write a wrong answer."},
        {"do": "filter", "field": "q", "min_chars": 5},
        {"do": "options-from", "fields": ["a", "wrong"], "into": "o"},
        {"do": "shuffle-options", "field": "o"},
        choices="o",
    )
    short, row = run.start([record(q="no", a="x"), record(q="long enough", a="x")])
    assert isinstance(short.ended, Skip)
    assert row.ended is None
    assert [step.into for step in run.llm_steps] == ["wrong"]
    row.values["wrong"] = "y"
    ((_, end),) = run.finish([row])
    assert isinstance(end, Made)
    assert set(end.choices or ()) == {"x", "y"}


def test_a_model_is_not_asked_about_what_is_known_only_later() -> None:
    with pytest.raises(ConfigError, match="reads 'b', which is made from another answer"):
        program(
            {"do": "llm", "into": "w", "fields": ["q"], "ask": "Write."},
            {"do": "template", "text": "{w}!", "into": "b"},
            {"do": "llm", "into": "v", "fields": ["b"], "ask": "Write."},
        )


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ({"min_words": 2}, True),
        ({"max_words": 1}, False),
        ({"one_of": ["two words"]}, True),
        ({"equals": "x"}, False),
        ({"matches": "^two"}, True),
        ({"not_matches": "wor"}, False),
        ({"not_in": "q"}, False),
        ({"parses": "python"}, False),
    ],
)
def test_a_filter_keeps_what_its_conditions_say(condition: dict[str, Any], kept: bool) -> None:
    result = program({"do": "filter", "field": "a", **condition})(record(q="here are Two  words", a="two words"))
    assert isinstance(result, Skip) is not kept


def test_a_hundred_thousand_records_pass_in_a_few_seconds() -> None:
    run = program({"do": "map-label", "field": "a", "mapping": {"0": "no", "1": "yes"}}, input="Q: {q}")
    rows = [record(n, q="some text here", a=n % 2) for n in range(20_000)]
    start = time.process_time()
    assert all(not isinstance(run(row), Skip) for row in rows)
    assert time.process_time() - start < 2


WORDS = tuple("abcdefghijklmnopqrstuvwxyz"[n : n + 5] for n in range(20))
