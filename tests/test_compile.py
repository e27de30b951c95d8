"""Compiling: drafts vote, a bad one loses, failures go back at most twice, and the price before is the price after."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import upcycle
from upcycle.contract import Kind
from upcycle.errors import SourceError
from upcycle.llm.model import Completion, Request, Usage
from upcycle.methods.datatune.agreement import agreements
from upcycle.methods.datatune.doubts import doubts
from upcycle.methods.datatune.plans.program import Made
from upcycle.records import Example, Origin
from upcycle.task import Demonstration, make_task
from upcycle.testing import FakeServer

DEMOS = [
    ("The kettle is on the stove.", "kitchen"),
    ("A towel hangs by the shower.", "bathroom"),
    ("The pillow lies on the bed.", "bedroom"),
    ("The oven is hot.", "kitchen"),
]
ROOMS = ("kitchen", "bathroom", "bedroom")
SPLIT = """
def f(r):
    room, text = r['line'].split('|')
    return {'room': room.strip().lower()[4:], 'text': text}
"""
RIGHT = {
    "prose": "1. The room stands before the bar. 2. The sentence stands behind it.",
    "steps": [
        {"do": "python", "fields": ["line"], "into": ["room", "text"],
         "code": SPLIT}
    ],
    "input": "{text}",
    "output": "{room}",
}  # fmt: skip
ALSO_RIGHT = {
    **RIGHT,
    "steps": [
        {"do": "after", "field": "line", "delimiter": "|", "into": "text"},
        {"do": "python", "fields": ["line"], "into": "room", "code": "r['line'].split('|')[0][4:].strip().lower()"},
    ],
}
CONSTANT = {**RIGHT, "steps": [*RIGHT["steps"], {"do": "template", "text": "kitchen", "into": "room"}]}
WRONG = {
    **RIGHT,
    "steps": [
        *RIGHT["steps"],
        {"do": "map-label", "field": "room",
         "mapping": {"kitchen": "bedroom", "bedroom": "bathroom", "bathroom": "kitchen"}},
    ],
}  # fmt: skip
BROKEN = {
    **RIGHT,
    "steps": [{"do": "python", "fields": ["line"], "into": ["room", "text"], "code": "r['line'][10 ** 6]"}],
}


class Planner:
    """Writes the plans it is given, draft by draft, and executes plans on records rightly."""

    def __init__(self, *plans: dict[str, Any]) -> None:
        self.plans = list(plans)
        self.asked: dict[str, int] = {}
        self.feedback: list[str] = []

    def __call__(self, request: Request) -> Completion:
        prompt = "\n".join(message["content"] for message in request.messages)
        stage, text = self._answer(prompt)
        self.asked[stage] = self.asked.get(stage, 0) + 1
        return Completion(text, Usage(len(prompt) // 4, len(text) // 4 + 1))

    def _answer(self, prompt: str) -> tuple[str, str]:
        if "You choose data" in prompt:
            return "rerank", json.dumps({"ranking": ["d1"], "none": False})
        if "Explain this task" in prompt:
            return "expand", "Say in which room the thing is."
        if "Give every column one role" in prompt:
            return "fields", json.dumps({"roles": {"line": "material"}})
        if "Write a plan" in prompt:
            if "An earlier plan made" in prompt:
                self.feedback.append(prompt[prompt.index("An earlier plan made") :])
            return "plan", json.dumps(self.plans[min(self.asked.get("plan", 0), len(self.plans) - 1)])
        rows = {}
        for key, shown in re.findall(r'<record id="(\d+)">(.*?)</record>', prompt):
            room, text = json.loads(shown)["line"].split("|")
            rows[key] = {"made_input": text.strip(), "made_output": room[4:].strip().lower()}
        return "row", json.dumps(rows)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    things = {"kitchen": "pan", "bathroom": "soap", "bedroom": "blanket"}
    rows = [
        {"line": f"No. {ROOMS[n % 3].upper()} | Somebody left the {things[ROOMS[n % 3]]} number {n} lying there."}
        for n in range(120)
    ]
    (tmp_path / "notes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "notes.jsonl"


def asked_of(source: Path, server: FakeServer, *, out: str = "run", **datatune: Any) -> dict[str, Any]:
    return {
        "examples": DEMOS,
        "sources": (str(source),),
        "contract": {"labels": list(ROOMS)},
        "methods": {"datatune": datatune},
        "model": {"planner": "openai/fake", "executor": "openai/fake", "judge": "none", "base_url": server.url},
        "out": source.parent / out,
    }


TASK = "Say in which room of a home the thing is found."


async def test_of_several_drafts_the_one_the_others_and_the_model_agree_with_wins(source: Path):
    planner = Planner(WRONG, ALSO_RIGHT, RIGHT)
    async with FakeServer(planner) as server:
        report = await upcycle.build(TASK, rows=60, **asked_of(source, server))
    assert report.kept == 60
    rows = pq.read_table(source.parent / "run/data").to_pylist()
    things = {"pan": "kitchen", "soap": "bathroom", "blanket": "bedroom"}
    assert all(next(room for thing, room in things.items() if thing in row["input"]) == row["output"] for row in rows)
    origins = pq.read_table(source.parent / "run/provenance").to_pylist()
    assert {origin["plan_by"] for origin in origins} == {"model"}
    assert all(origin["calls"] == [] and origin["program"] for origin in origins), "made by code alone"
    assert planner.asked["plan"] == 3


async def test_a_draft_that_breaks_goes_back_with_its_rows_at_most_twice(source: Path):
    planner = Planner(BROKEN, BROKEN, BROKEN, BROKEN, RIGHT)
    async with FakeServer(planner) as server:
        report = await upcycle.build(TASK, rows=30, **asked_of(source, server))
    assert report.kept == 30
    assert planner.asked["plan"] == 5
    assert "python: raised: IndexError" in planner.feedback[0]

    planner = Planner(BROKEN)
    async with FakeServer(planner) as server:
        with pytest.raises(SourceError, match="no source fits the task"):
            await upcycle.build(TASK, rows=30, **asked_of(source, server, out="hopeless"))
    assert planner.asked["plan"] == 3 + 2, "two revisions, and the source is dropped"


async def test_a_plan_that_says_the_same_of_every_row_goes_back(source: Path):
    planner = Planner(CONSTANT, CONSTANT, CONSTANT, RIGHT)
    async with FakeServer(planner) as server:
        await upcycle.plan(TASK, rows=30, **asked_of(source, server))
    assert "every example has the same output, 'kitchen'" in planner.feedback[0]


async def test_the_price_before_is_about_the_price_after(source: Path):
    whole = {
        "prose": "A model says the room.",
        "steps": [{"do": "after", "field": "line", "delimiter": "|", "into": "text"},
                  {"do": "llm", "into": "made_output", "fields": ["line"], "ask": "The room.",
                   "contract": {"kind": "label", "labels": list(ROOMS)}}],
        "input": "{text}",
        "output": "{made_output}",
    }  # fmt: skip

    class Labelling(Planner):
        def _answer(self, prompt: str) -> tuple[str, str]:
            stage, text = super()._answer(prompt)
            if stage == "row" and "made_input" not in prompt:
                text = json.dumps({key: {"made_output": row["made_output"]} for key, row in json.loads(text).items()})
            return stage, text

    async with FakeServer(Labelling(whole)) as server:
        asked = asked_of(source, server)
        plan = await upcycle.plan(TASK, rows=80, **asked)
        before = server.stats()["tokens"]
        report = await upcycle.build(TASK, rows=80, **asked)
        spent = server.stats()["tokens"] - before
    assert plan.price.examples == 80
    assert plan.price.by_code == 0
    assert 0.6 * spent < plan.price.tokens < 1.6 * spent
    assert plan.plans[0].pilot[0]["record"]["line"]
    assert "price for 80 examples" in repr(plan)
    assert "records  80, 0% of them by code alone" in repr(plan)
    assert "per example: $" in repr(report)
    assert "tokens by stage:" in repr(report)
    use = report.sources[0]
    assert use.tokens == sum(row["tokens"] for row in pq.read_table(source.parent / "run/provenance").to_pylist())


def made(*outputs: str) -> dict[str, Made]:
    return {str(number): Made(f"input {number}", output) for number, output in enumerate(outputs)}


def test_who_agrees_with_the_others_has_the_say():
    one, other, wrong, silent = made("a", "b", "c"), made("a", "b", "d"), made("x", "y", "z"), made()
    weights = agreements([one, other, wrong, silent], Kind.LABEL)
    assert weights[0] == weights[1] > weights[2] > weights[3] == 0
    assert agreements([one], Kind.LABEL) == [1.0]
    assert agreements([], Kind.TEXT) == []


def example(number: int, text: str, output: str) -> Example:
    return Example(f"{number:016x}", text, output, Origin("datatune"))


RUSSIAN = "Кошка сидит на окне и смотрит на улицу, где идёт дождь и едут машины."


def test_what_no_row_shows_alone_is_seen_in_all_together():
    task = make_task("Translate nothing, answer in English.", demonstrations=[
        Demonstration(input="Where does the cat sit?", output="It sits in the window and looks at the street."),
        Demonstration(input="What does the dog do?", output="It sleeps by the fire the whole day long."),
    ], language="en")  # fmt: skip

    def said(*pairs: tuple[str, str]) -> list[str]:
        return [doubt.told for doubt in doubts(task, [example(n, *pair) for n, pair in enumerate(pairs)])]

    fine = [(f"What does number {n} do?", f"It does the thing of number {n} all day.") for n in range(8)]
    assert said(*fine) == []
    assert said(*[("Always this?", output) for _, output in fine]) == ["every example has the same input"]
    assert said(*[(text, "Always the same answer.") for text, _ in fine])[0].startswith(
        "every example has the same output"
    )
    assert "stands in the input" in said(*[(f"{text} {output}", output) for text, output in fine])[0]
    assert said(*[(text, f"{RUSSIAN} {n}") for n, (text, _) in enumerate(fine)]) == [
        "the outputs are in ru; they must be in en"
    ]
    assert "about" in said(*[(text, f"{output} " * 30) for text, output in fine])[-1]
