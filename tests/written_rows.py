"""A model that writes what `generate` asks for: made-up words, the same for the same request; and a task for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from upcycle.contract import Contract
from upcycle.llm.model import Request
from upcycle.task import Demonstration, Task, make_task

INSTRUCTION = "Say whether a film review is positive or negative."
REVIEWS = [
    ("The film was a delight from start to end.", "positive"),
    ("I left after twenty minutes, bored to tears by it.", "negative"),
    ("A warm and funny story.", "positive"),
]
_ROW = re.compile(r"^(\d+): (.*)$", re.MULTILINE)


def reviews(**more: Any) -> Task:
    """Film reviews with a closed label set."""
    return make_task(INSTRUCTION, demonstrations=[Demonstration(input=i, output=o) for i, o in REVIEWS], **more)


def questions() -> Task:
    """Multiple choice whose options differ from item to item."""
    shown = [
        ("What do bees make?\nchoice: silk\nchoice: honey\nchoice: wax paper", "honey"),
        ("What falls from clouds?\nchoice: rain\nchoice: sand\nchoice: leaves", "rain"),
    ]
    return make_task("Answer the question.", demonstrations=[Demonstration(input=i, output=o) for i, o in shown])


def plain(**contract: Any) -> Task:
    """Free text in, free text out."""
    shown = [("Somebody is at the door.", "Who is at the door?"), ("It is late.", "Is it late?")]
    task = make_task("Turn it into a question.", demonstrations=[Demonstration(input=i, output=o) for i, o in shown])
    return task.model_copy(update={"contract": Contract(**{**task.contract.model_dump(), **contract})})


def asked(request: Request) -> dict[str, str]:
    """Id to what is wanted of each row a request asks for."""
    return dict(_ROW.findall(request.messages[-1]["content"]))


def is_topics(request: Request) -> bool:
    return "Name the topics and the styles" in request.messages[-1]["content"]


def topics() -> str:
    """Twelve topics and two styles."""
    return json.dumps({"topics": [f"subject {n}" for n in range(12)], "styles": ["blunt", "wry"]})


def words(seed: object, count: int = 7) -> str:
    """Made-up words."""
    random = Random(str(seed))
    syllables = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "wi", "zo")
    return " ".join("".join(random.sample(syllables, 3)) for _ in range(count))


def row(request: Request, key: str, wish: str) -> dict[str, Any]:
    """One row as a good model writes it."""
    seed = (request.sample, key, wish)
    options = re.search(r"(\d+) wrong options", wish)
    if options:
        wrong = [words((seed, n), 2) for n in range(int(options[1]))]
        return {"input": words(seed) + "?", "correct": words((seed, "right"), 2), "wrong": wrong}
    written = {"input": words(seed) + "."}
    return written if "the right output is" in wish else {**written, "output": words((seed, "out"), 4) + "?"}


def scribe(request: Request) -> str:
    """The reply of a good model."""
    if is_topics(request):
        return topics()
    return json.dumps({key: row(request, key, wish) for key, wish in asked(request).items()})


def spoiled(by: Callable[[dict[str, Any], Request], Any]) -> Callable[[Request], str]:
    """A scribe whose rows (id to row) go through `by` before they are sent, as text or as a value."""

    def reply(request: Request) -> str:
        if is_topics(request):
            return topics()
        said = by(json.loads(scribe(request)), request)
        return said if isinstance(said, str) else json.dumps(said)

    return reply
