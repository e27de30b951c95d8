"""What a model is held against: one labelled item, and a set of them with how they are asked.

The decision: an item holds *every* acceptable output, and where there are options what each of them is worth, so that
one definition serves exact match, extractive answers with several annotators and BIG-bench's graded choices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class GoldItem:
    """One labelled item.

    Attributes:
        id: stable name inside its set.
        input: what the model is asked, options listed where the set lists them.
        answers: every acceptable output; the first is the one that is shown as a demonstration.
        choices: the options in the order in which the input lists them; None where the answer is free.
        worth: what choosing each of them scores, 0 to 1; None: 1 for those among `answers`, 0 for the others.
        listed: the values of an answer that is several (a column of a table): right in any order.
    """

    id: str
    input: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] | None = None
    worth: tuple[float, ...] | None = None
    listed: tuple[str, ...] | None = None

    @property
    def output(self) -> str:
        return self.answers[0]

    def worths(self) -> tuple[float, ...]:
        """What choosing each option scores; empty where there are none."""
        if self.worth is not None:
            return self.worth
        right = set(self.answers)
        return tuple(float(choice in right) for choice in self.choices or ())

    def chance(self) -> float | None:
        """Mean score of a blind choice; None where there is nothing to choose from."""
        worths = self.worths()
        return sum(worths) / len(worths) if worths else None


@dataclass(frozen=True, slots=True)
class PromptForm:
    r"""How an item and its demonstrations become one text.

    By default an input ends with a line break, the output follows, and an empty line parts demonstrations: what
    `upcycle export --to lm-eval` writes, so that both score the same text.

    Attributes:
        prefix: said once, before everything.
        before: said before each input.
        between: said between an input and its output.
        after: said after the output of a demonstration.
    """

    prefix: str = ""
    before: str = ""
    between: str = "\n"
    after: str = "\n\n"

    def asked(self, text: str, shown: Sequence[tuple[str, str]] = ()) -> str:
        r"""The whole prompt: the answer is what comes next.

        >>> PromptForm().asked("2 + 2?", [("1 + 1?", "2")])
        '1 + 1?\n2\n\n2 + 2?\n'
        """
        return self.shown(text, shown) + self.between

    def shown(self, text: str, shown: Sequence[tuple[str, str]] = ()) -> str:
        """The same without what stands between input and output: for a model that puts a frame around its input."""
        before = "".join(f"{self.before}{one}{self.between}{output}{self.after}" for one, output in shown)
        return f"{self.prefix}{before}{self.before}{text}"


@dataclass(frozen=True, slots=True)
class GoldSet:
    """Labelled items with how they are asked.

    Attributes:
        name: of the file or task.
        items: in the order of the file.
        metric: what they are scored by, one of `evaluate.METRICS`.
        read_as: one line that says which format was recognised.
        instruction: what the task is, where the set says so.
        prompt: how items become a prompt for a model that only continues text.
        left_out: why rows could not be read, and how many for each reason.
        notes: what whoever reads the numbers should know.
        shown: (input, output) of the task's own demonstrations, where it has some.
    """

    name: str
    items: Sequence[GoldItem]
    metric: str
    read_as: str = ""
    instruction: str | None = None
    prompt: PromptForm = PromptForm()
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shown: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.items)


def gold_items(rows: Sequence[Mapping[str, object]]) -> list[GoldItem]:
    """Items from rows with `input`, `output` and, where there are some, `choices`."""
    return [
        GoldItem(
            str(row.get("id", number)), str(row["input"]), (str(row["output"]),),
            tuple(map(str, choices)) if isinstance(choices := row.get("choices"), list | tuple) and choices else None,
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip
