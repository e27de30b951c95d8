"""What tests of Source2Synth share: keepers of animals as a source, their questions, and students that know them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from upcycle.errors import RowKind
from upcycle.llm.model import Request
from upcycle.methods.source2synth.application import Blank, Grounded, Unit, Writer
from upcycle.methods.source2synth.matching import soft_match
from upcycle.records import Dropped, Example, Origin
from upcycle.training.predictor import Told

ANIMALS = ("bear", "heron", "lynx", "otter", "raven", "toad", "vole", "wren")


def animal(keeper: int, number: int) -> str:
    """The animal of a keeper: `3-1` always has the same."""
    return random.Random(f"{keeper}-{number}").choice(ANIMALS)


class Keepers:
    """An application over so many keepers; of every `spoiled` examples one has a wrong answer.

    With `asks`, each question is worded by the model. A rebuilt question ends in `mark`.
    """

    name = "keepers"

    def __init__(
        self, keepers: int, *, spoiled: int = 0, broken: int = 0, asks: bool = False, mark: str = " (rebuilt)"
    ) -> None:
        self.keepers, self.spoiled, self.broken, self.asks, self.mark = keepers, spoiled, broken, asks, mark
        self.closed = 0

    def units(self, seed: int) -> Iterator[Unit | Dropped]:
        order = list(range(self.keepers))
        random.Random(seed).shuffle(order)
        for number in order:
            if self.broken and number % self.broken == 0:
                origin = Origin("source2synth", source="zoo", record=f"keeper-{number}")
                yield Dropped(f"broken-{number}", origin, "source", RowKind.SKIPPED, "no animals")
            else:
                yield Unit(f"keeper-{number}", "zoo", number, "v1", ("CC0-1.0",))

    async def construct(self, unit: Unit, writer: Writer) -> list[Grounded | Dropped]:
        made: list[Grounded | Dropped] = []
        for number in range(writer.wanted):
            question = f"Which animal does keeper {unit.value} feed at {number} o'clock?"
            if self.asks:
                request = Request(({"role": "user", "content": question},), "source2synth")
                question = (await writer.ask(request)).value
            truth = animal(unit.value, number)
            wrong = self.spoiled and (unit.value * writer.wanted + number) % self.spoiled == 0
            answer = ANIMALS[(ANIMALS.index(truth) + 1) % len(ANIMALS)] if wrong else truth
            made.append(
                writer.grounded(
                    question, answer, context=f"Keeper {unit.value} feeds a {truth} at {number}.", kind="spoiled" if
                    wrong else "sound", rationale="The book of the zoo says so.", details={"part": f"part {question}"},
                )
            )  # fmt: skip
        return made

    async def right(self, grounded: Grounded, said: str, unit: Unit) -> bool:
        assert unit.id == grounded.units[0]
        return soft_match(said, grounded.answer)

    def blank(self, grounded: Grounded) -> Blank | None:
        return Blank(f"Rebuild: {grounded.question}", grounded.details["part"])

    async def rebuild(self, grounded: Grounded, said: str, writer: Writer) -> Grounded | Dropped:
        if said == "nonsense":
            return writer.dropped("the entity is still in the question")
        return writer.grounded(
            f"{said}{self.mark}", grounded.answer, context=grounded.context, rationale=grounded.rationale
        )

    async def close(self) -> None:
        self.closed += 1


class Knows:
    """A student that reads the truth off the question, and says it so often; `temperature` as real students have it."""

    def __init__(self, *, right: float = 1.0, seed: int = 0, rebuilds: str | None = None) -> None:
        self.right, self.rebuilds, self.temperature = right, rebuilds, 0.7
        self.asked: list[str] = []
        self._random = random.Random(seed)

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        self.asked += inputs
        return [[self._say(text) for _ in range(samples)] for text in inputs]

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        return [[-float(len(choice)) for choice in one] for one in choices]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "student.json").write_bytes(orjson.dumps({"right": self.right}))

    def _say(self, text: str) -> str:
        if text.startswith("Rebuild: "):
            return text.removeprefix("Rebuild: ") if self.rebuilds is None else self.rebuilds
        words = text.split("keeper ")[-1].split()
        truth = animal(int(words[0]), int(words[words.index("at") + 1]))
        if self._random.random() < self.right:
            return f"It says so. Answer: a {truth}"
        return "Answer: I cannot tell"


class School:
    """Trains students that know, into folders, and opens those it finds; remembers what it was taught."""

    def __init__(self, student: Any = None) -> None:
        self.student = student or Knows()
        self.taught: list[list[Example]] = []
        self.opened = 0

    def __call__(self, examples: Sequence[Example], *, folder: Path, told: Told) -> Any:
        if (folder / "student.json").is_file():
            self.opened += 1
            return self.student
        self.taught.append(list(examples))
        self.student.save(folder)
        return self.student
