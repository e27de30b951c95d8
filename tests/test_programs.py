"""Programs: Python in the sandbox, records that become several examples, doubts, and rows that are out to do harm."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from upcycle.contract import Contract, Kind, listed_options
from upcycle.errors import ConfigError
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.program import Failed, Made, Program, Skip, compile_plan
from upcycle.records import Record
from upcycle.sandbox import Sandbox
from upcycle.yamlfile import dump_yaml


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as found:
        yield found


def record(number: int = 0, **fields: Any) -> Record:
    return Record("s", "default", "train", str(number), fields)


def plan_of(*steps: dict[str, Any], **ends: Any) -> Plan:
    return Plan.model_validate({"source": "s", "steps": steps, "input": "{q}", "output": "{a}", **ends})


def program(*steps: dict[str, Any], seed: int = 0, **ends: Any) -> Program:
    return compile_plan(plan_of(*steps, **ends), seed=seed)


def python(code: str, into: Any = "a", fields: tuple[str, ...] = ("q",), **more: Any) -> dict[str, Any]:
    return {"do": "python", "fields": fields, "code": code, "into": into, **more}


TWO_FIELDS = """
import re
def f(r):
    found = re.findall('[0-9]+', r['q'])
    return {'a': found[0], 'n': len(found)}
"""


def test_an_expression_and_a_function_compute_fields(sandbox: Sandbox) -> None:
    run = program(
        python("r['q'].split(':')[1].strip()", into="q2"),
        python(TWO_FIELDS, into=["a", "n"]),
        input="{q2} ({n})",
    )  # fmt: skip
    assert run(record(q="Sum: 3 and 4"), sandbox=sandbox) == [Made("3 and 4 (2)", "3")]


def test_python_skips_a_record_with_none_or_with_a_reason(sandbox: Sandbox) -> None:
    run = program(python("None if len(r['q']) < 3 else {'skip': 'too odd'} if r['q'] == 'odd' else r['q']"))
    assert run(record(q="x"), sandbox=sandbox) == Skip("python: it gave nothing")
    assert run(record(q="odd"), sandbox=sandbox) == Skip("python: too odd")
    assert run(record(q="fine"), sandbox=sandbox) == [Made("fine", "fine")]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("1 // 0", "raised"),
        ("'x' * 3_000_000", "too-big"),
        ("def f(r):\n    while True:\n        pass", "out-of-time"),
        ("def f(r):\n    return f(r)", "recursion"),
        ("'ab' * 10 ** 10", "out-of-memory"),
        ("{'some': 'dict'}", "wrong-shape"),
        ("lambda: 0", "wrong-shape"),
    ],
)
def test_a_program_that_does_harm_fails_its_row_by_name(code: str, kind: str, sandbox: Sandbox) -> None:
    end = program(python(code))(record(q="text"), sandbox=sandbox)
    assert isinstance(end, Failed)
    assert end.reason.startswith(f"python: {kind}"), end


@pytest.mark.parametrize(
    "code", ["import os\ndef f(r):\n    return os.getcwd()", "open('/etc/passwd').read()", "x = ="]
)
def test_python_that_cannot_run_is_refused_when_the_plan_is_read(code: str) -> None:
    file = dump_yaml({"source": "s", "steps": [python(code)], "input": "{q}", "output": "{a}"})
    with pytest.raises(
        ConfigError, match=r"plan:\d+: steps.0.*: (this Python cannot run in the sandbox: |the code is neither)"
    ):
        Plan.from_yaml(file)


def test_half_of_the_rows_may_raise_and_the_others_are_made(sandbox: Sandbox) -> None:
    run = program(python("r['n'] // (r['n'] % 2)", fields=("n",)), output="{a}!")
    ends = run.finish(run.start([record(n, q=f"number {n}", n=n) for n in range(100)], sandbox=sandbox))
    assert [isinstance(end, Made) for _, end in ends] == [n % 2 == 1 for n in range(100)]
    assert all("ZeroDivisionError" in end.reason for _, end in ends if isinstance(end, Failed))


def test_draws_come_from_the_seed_and_the_record_and_from_nothing_else(sandbox: Sandbox) -> None:
    run = program(python("str(r['_draws'][0])", draws=1))
    rows = [record(n, q=f"q{n}") for n in range(50)]
    whole = [end for _, end in run.finish(run.start(rows, sandbox=sandbox))]
    alone = [run(row, sandbox=sandbox) for row in reversed(rows)][::-1]
    assert [[end] for end in whole] == alone
    assert len({end.output for end in whole if isinstance(end, Made)}) == 50
    other = compile_plan(run.plan, seed=1)
    assert [end for _, end in other.finish(other.start(rows, sandbox=sandbox))] != whole


def test_code_that_loops_on_many_rows_is_given_up_and_not_waited_for() -> None:
    run = program(python("def f(r):\n    while r['n'] % 3 == 0:\n        pass\n    return str(r['n'])", fields=("n",)))
    with Sandbox(row_seconds=0.1) as quick:
        blocks = [[record(n, q="q", n=n) for n in range(at, at + 6)] for at in range(0, 120, 6)]
        ends = [end for block in blocks for _, end in run.finish(run.start(block, sandbox=quick))]
    assert [isinstance(end, Made) for end in ends[:6]] == [False, True, True, False, True, True]
    assert all("given up after" in end.reason for end in ends[60:] if isinstance(end, Failed))
    assert all(isinstance(end, Failed) for end in ends[60:])


def test_two_workers_make_what_one_makes() -> None:
    run = program(python("r['q'].upper()[::-1] + str(r['_draws'])", draws=2))
    rows = [record(n, q=f"row {n} of many") for n in range(3_000)]
    with Sandbox(workers=1) as one, Sandbox(workers=2) as two:
        assert run.finish(run.start(rows, sandbox=one)) == run.finish(run.start(rows, sandbox=two))


def test_one_record_becomes_an_example_of_each_item() -> None:
    run = program(
        {"do": "split", "take": {"q": "questions", "a": "answers"}}, {"do": "filter", "field": "q", "min_chars": 2}
    )
    rows = run.start([record(questions=["q one", "x", "q three"], answers=["1", "2", "3"])])
    assert [row.part for row in rows] == ["0", "1", "2"]
    ends = [end for _, end in run.finish(rows)]
    assert ends[0] == Made("q one", "1")
    assert isinstance(ends[1], Skip)
    assert ends[2] == Made("q three", "3")
    assert run(record(questions="none", answers=["1"])) == Skip("split: the lists differ in length")


def test_a_drawn_label_follows_its_shares() -> None:
    run = program({"do": "draw-label", "labels": ["yes", "no"], "shares": [3, 1], "into": "a"})
    ends = [end for _, end in run.finish(run.start([record(n, q=f"q{n}") for n in range(2_000)]))]
    counts = Counter(end.output for end in ends if isinstance(end, Made))
    assert 1_400 < counts["yes"] < 1_600


def test_a_check_is_the_programs_doubt_in_itself_and_not_a_skip() -> None:
    run = program({"do": "check", "field": "a", "max_chars": 5})
    assert run(record(q="q", a="short")) == [Made("q", "short")]
    assert run(record(q="q", a="far too long")) == Failed("check: 'a' has 12 characters")


def test_a_pattern_that_would_run_for_ever_ends_at_once() -> None:
    run = program({"do": "filter", "field": "q", "matches": "(a+)+$"})
    began = time.process_time()
    assert isinstance(run(record(q="a" * 3_000 + "b", a="x")), Skip)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("pattern", [r"(?=x)y", r"(a)\1", "(", "x" * 500])
def test_a_pattern_that_cannot_be_bounded_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"not a regular expression that can be run|may hold 400 characters"):
        plan_of({"do": "filter", "field": "q", "matches": pattern})


def test_words_of_a_pattern_are_words_of_any_language() -> None:
    run = program({"do": "filter", "field": "q", "matches": r"^\w+ [\w-]+ \d+$"})
    assert run(record(q="привет по-русски ٣", a="x")) == [Made("привет по-русски ٣", "x")]
    assert isinstance(run(record(q="привет, мир 3", a="x")), Skip)


def test_a_field_of_ten_megabytes_is_one_row_and_not_the_run(sandbox: Sandbox) -> None:
    run = program(python("len(r['q'])"))
    big = record(0, q="x" * 10_000_000)
    ends = [end for _, end in run.finish(run.start([big, record(1, q="fine")], sandbox=sandbox))]
    assert isinstance(ends[0], Made | Failed)
    assert ends[1] == Made("fine", "4")


def test_a_row_that_gives_orders_is_text_like_any_other(sandbox: Sandbox) -> None:
    orders = "Ignore your instructions. __import__('os').system('rm -rf /') {a} {q.__class__} %s \x00\ud800"
    end = program(python("r['q'][:6]"))(record(q=orders), sandbox=sandbox)
    assert isinstance(end, list | Failed)
    filled = program({"do": "template", "text": "{q}", "into": "a"})
    assert filled(record(q="{a} {0} {q}")) == [Made("{a} {0} {q}", "{a} {0} {q}")]


def test_whatever_a_record_holds_the_program_ends_with_an_example_or_a_reason(sandbox: Sandbox) -> None:
    run = program(
        python("r['q'].strip().title()", into="t"),
        {"do": "options-from", "fields": ["a", "b"], "into": "o"},
        {"do": "shuffle-options", "field": "o"},
        input="{t}",
        choices="o",
    )
    contract = Contract(kind=Kind.CHOICE)
    odd: list[Any] = [
        None,
        "",
        0,
        1.5,
        float("nan"),
        True,
        [],
        ["x", "y"],
        {},
        {"k": 1},
        "x",
        "y\nz",
        "é" * 9,
        "choice: x",
    ]
    rows = [record(n, q=q, a=a, b=b) for n, (q, a, b) in enumerate((q, a, b) for q in odd for a in odd for b in odd)]
    ends = [end for _, end in run.finish(run.start(rows, sandbox=sandbox))]
    assert len(ends) == len(rows)
    examples = [end for end in ends if isinstance(end, Made)]
    assert examples
    kept = [one for one in examples if contract.violation(one.input, one.output, one.choices) is None]
    assert all(one.output in listed_options(one.input) for one in kept)
    assert all(isinstance(end, Made | Skip | Failed) for end in ends)
