"""A small world S3 can be tried in: reviews in made-up words, a critic that writes them as asked, and tasks over them.

Each subject has words of praise and of blame of its own. The critic, left alone, writes about the common subjects
only; shown a review it writes another one on the same subject. So a student of the first set gets the rare subjects
wrong, and rows written from its errors are what it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any

from upcycle.llm.model import Request
from upcycle.task import Gold, Task, make_task

COMMON, SUBJECTS = 2, 8
LABELS = ("negative", "positive")
INSTRUCTION = "Say whether a film review is positive or negative."
_LETTERS = "abdefgiklmnoprstuvz"


def word(*seed: object) -> str:
    """A made-up word, the same for the same seed."""
    random = Random(repr(seed))
    return "".join(random.choice(_LETTERS) for _ in range(8))


FILLERS = [word("filler", number) for number in range(300)]
TELLING = {
    (label, subject): [word(label, subject, number) for number in range(3)]
    for label in LABELS
    for subject in range(SUBJECTS)
}


def review(label: str, subject: int, seed: object) -> str:
    """A review of this label about this subject."""
    random = Random(repr((label, subject, seed)))
    words = [*random.sample(FILLERS, 12), *random.sample(TELLING[label, subject], 2)]
    random.shuffle(words)
    return " ".join(words).capitalize() + "."


def subject_of(text: str) -> int | None:
    """Which subject a review is about."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return next((subject for (_, subject), telling in TELLING.items() if words & set(telling)), None)


def gold(rows: int, *, seed: int = 0) -> list[Gold]:
    """Reviews of all subjects alike, labels by turns."""
    return [
        Gold(input=review(LABELS[n % 2], (n // 2) % SUBJECTS, ("gold", seed, n)), output=LABELS[n % 2])
        for n in range(rows)
    ]


def reviews(rows: int = 160, **more: Any) -> Task:
    """The task, with so much gold."""
    return make_task(INSTRUCTION, gold=more.pop("gold", None) or gold(rows), **more)


def asked(request: Request) -> str:
    """What a request asks, without what every request says."""
    return request.messages[-1]["content"]


def label_in(prompt: str, labels: Sequence[str] = LABELS) -> str:
    """The label a prompt asks for."""
    found = re.findall(r'right output (?:is|for it is) "([^"]+)"', prompt)
    assert found, prompt
    assert found[0] in labels, prompt
    return found[0]


class Critic:
    """Writes what is asked for, differently each time it is asked."""

    def __init__(self) -> None:
        self.written = 0

    def __call__(self, request: Request) -> Any:
        prompt = asked(request)
        if "different reasons" in prompt:
            return {"reasons": [f"{label_in(prompt)} reason {number}" for number in range(20)]}
        if '"pattern"' in prompt:
            subject = subject_of(prompt.partition("<input>")[2])
            return {"pattern": f"They are about subject {subject}, which is rarely spoken of"}
        self.written += 1
        shown = re.search(r"<input>(.*?)</input>|have this in common: ([^\n]*)", prompt, re.DOTALL)
        subject = subject_of(shown[1]) if shown and shown[1] else None
        if shown and shown[2] and (named := re.search(r"subject (\d+)", shown[2])):
            subject = int(named[1])
        if subject is None:
            subject = Random(f"{prompt}{request.sample}").randrange(COMMON)
        return review(label_in(prompt), subject, (prompt, request.sample, self.written))
